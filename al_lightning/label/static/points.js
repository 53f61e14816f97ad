/** The points of the map, and its legend. */
import { el } from "./dom.js";
import { colorOf, nameOf, shared } from "./state.js";

/**
 * Draw all points: those without a label first and pale, so that the labeled ones lie above them.
 * @param {HTMLCanvasElement} canvas
 * @param {{items: number[], x: number[], y: number[], label: number[], predicted: number[]}} data - x, y in [0, 1]
 * @param {{by: string, only: number|null, ratio: number, margin: number}} how - `only`: the class to bring out
 */
export function drawPoints(canvas, data, { by, only, ratio, margin }) {
  const to = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const n = data.items.length;
  const small = (n > 2000 ? 2.5 : 4.5) * ratio;
  const edge = margin * ratio;
  const [w, h] = [canvas.width - 2 * edge, canvas.height - 2 * edge];
  const groups = new Map(); // "labeled or not, class" -> positions
  for (let i = 0; i < n; i++) {
    const isLabeled = data.label[i] >= 0;
    const shown = isLabeled ? data.label[i] : by === "predicted" ? data.predicted[i] : -1;
    const key = `${isLabeled ? 1 : 0} ${shown}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(i);
  }
  for (const key of [...groups.keys()].sort()) {
    const [isLabeled, shown] = key.split(" ").map(Number);
    const side = isLabeled ? small * 1.8 : small;
    to.globalAlpha = only !== null && only !== shown ? 0.12 : isLabeled ? 1 : 0.75;
    to.fillStyle = style.getPropertyValue(shown < 0 ? "--point" : `--class-${colorOf(shown)}`);
    to.beginPath();
    for (const i of groups.get(key)) {
      const [x, y] = [edge + data.x[i] * w, edge + data.y[i] * h];
      to.moveTo(x + side / 2, y);
      to.arc(x, y, side / 2, 0, 7);
    }
    to.fill();
  }
  to.globalAlpha = 1;
}

/** A button a class, which brings its points out: colors alone tell few classes apart. */
export function drawLegend(root, only, bringOut) {
  root.replaceChildren(
    ...shared.project.classes.map(({ id }) =>
      el(
        "button",
        { "data-color": colorOf(id), "aria-pressed": String(only === id), onclick: () => bringOut(id) },
        el("span", { class: "named", "data-color": colorOf(id) }, nameOf(id)),
      ),
    ),
  );
}
