/** Zoom of the large image: wheel, two fingers, keys; a drag moves it. */
import { $ } from "./dom.js";

const MOST = 40;
const STEP = 1.4;
const PAN = 80; // CSS pixels an arrow key

const stage = $("stage");
const fingers = new Map(); // pointer -> where it is
let scale = 1;
let x = 0;
let y = 0;

const image = () => stage.querySelector("img");

function draw() {
  const box = stage.getBoundingClientRect();
  // An enlarged image always covers the middle of the stage, so that it cannot be lost.
  const reach = [(box.width * scale) / 2, (box.height * scale) / 2];
  x = scale === 1 ? 0 : Math.max(-reach[0], Math.min(reach[0], x));
  y = scale === 1 ? 0 : Math.max(-reach[1], Math.min(reach[1], y));
  const shown = image();
  if (shown) shown.style.transform = scale === 1 ? "" : `translate(${x}px, ${y}px) scale(${scale})`;
  stage.classList.toggle("enlarged", scale !== 1);
}

/** All of the image, as each new one starts. */
export function fit() {
  if (scale === 1) return;
  scale = 1;
  draw();
}

/** Zoom to a scale, and keep what is at a point (relative to the middle of the stage) where it is. */
function to(wanted, atX = 0, atY = 0) {
  const next = Math.max(1, Math.min(MOST, wanted));
  x = atX - ((atX - x) * next) / scale;
  y = atY - ((atY - y) * next) / scale;
  scale = next < 1.01 ? 1 : next;
  draw();
}

/** One pixel of the image on one of the screen, or back to all of it. */
function oneToOne() {
  const shown = image();
  if (!shown) return;
  const fitted = Math.min(shown.clientWidth / shown.naturalWidth, shown.clientHeight / shown.naturalHeight);
  const wanted = 1 / devicePixelRatio / fitted;
  // A small image is larger than one to one already; then the same key doubles it.
  to(scale !== 1 ? 1 : wanted > 1.01 ? wanted : 2);
}

/** @returns {boolean} whether the key was one of these */
export function zoomKey(key) {
  if (key === "+") to(scale * STEP);
  else if (key === "-") to(scale / STEP);
  else if (key === "z") oneToOne();
  else if (key.startsWith("Arrow") && scale !== 1) {
    x += key === "ArrowLeft" ? PAN : key === "ArrowRight" ? -PAN : 0;
    y += key === "ArrowUp" ? PAN : key === "ArrowDown" ? -PAN : 0;
    draw();
  } else return false;
  return true;
}

const fromMiddle = (event) => {
  const box = stage.getBoundingClientRect();
  return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
};
const spread = () => {
  const [a, b] = [...fingers.values()];
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
};

stage.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    to(scale * Math.exp(-event.deltaY * (event.deltaMode ? 0.06 : 0.002)), ...fromMiddle(event));
  },
  { passive: false },
);
stage.addEventListener("dblclick", oneToOne);
stage.addEventListener("pointerdown", (event) => {
  fingers.set(event.pointerId, fromMiddle(event));
  stage.setPointerCapture(event.pointerId);
});
stage.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const apart = fingers.size === 2 ? spread() : 0;
  const now = fromMiddle(event);
  fingers.set(event.pointerId, now);
  // Of two fingers each moves half of the picture.
  x += (now[0] - before[0]) / fingers.size;
  y += (now[1] - before[1]) / fingers.size;
  if (apart) {
    const [a, b] = [...fingers.values()];
    to((scale * spread()) / apart, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
  } else draw();
});
for (const end of ["pointerup", "pointercancel"])
  stage.addEventListener(end, (event) => fingers.delete(event.pointerId));
