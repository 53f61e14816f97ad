/** The images on a map of their features; a region that is picked there is labeled on a screen of its own. */
import { get } from "./api.js";
import { $, count, whole } from "./dom.js";
import { drawLegend, drawPoints } from "./points.js";
import { makeScreen } from "./screen.js";
import { changes, shared } from "./state.js";

const MARGIN = 12; // CSS pixels around the points
const NEAR = 6; // CSS pixels: a shorter drag picks nothing

/** @param {(view: string) => void} open - shows a view */
export function makeMap(open) {
  const canvas = $("map");
  const points = document.createElement("canvas"); // drawn once; the rectangle moves above it
  let data = { items: [], x: [], y: [], label: [], predicted: [] };
  let place = new Map(); // image -> its position in data
  let only = null;
  let path = []; // the outline of the region: [x, y] in [0, 1]
  let drawing = false; // with the pointer, at the moment
  let box = { x: 0.4, y: 0.4, w: 0.2, h: 0.2 }; // the keyboard's rectangle
  let region = []; // images that were picked and are not shown yet

  const screen = makeScreen($("region"), {
    source: "map",
    chosen: "given",
    open: () => {
      open("map");
      $("region").hidden = false;
    },
    load: async (n) => {
      const mine = region; // another one may be picked meanwhile
      const items = [];
      // Those that somebody else has, or that were skipped, are not given: on to the next ones then.
      while (mine.length && items.length < n) {
        const wanted = mine.slice(0, n);
        items.push(...(await get("/api/region", { annotator: shared.annotator.id, items: wanted.join() })).items);
        mine.splice(0, wanted.length);
      }
      return { items, left: mine.length };
    },
    told: (answers) => {
      for (const each of answers) data.label[place.get(each.item)] = each.class;
      redraw();
    },
  });

  const scale = () => [canvas.clientWidth - 2 * MARGIN, canvas.clientHeight - 2 * MARGIN];
  const toMap = (event) => {
    const frame = canvas.getBoundingClientRect();
    const [w, h] = scale();
    return [(event.clientX - frame.left - MARGIN) / w, (event.clientY - frame.top - MARGIN) / h];
  };
  const corners = ([ax, ay], [bx, by]) => [
    [ax, ay],
    [bx, ay],
    [bx, by],
    [ax, by],
  ];
  const boxPath = () => corners([box.x, box.y], [box.x + box.w, box.y + box.h]);

  function redraw() {
    const ratio = devicePixelRatio;
    for (const each of [canvas, points]) {
      each.width = canvas.clientWidth * ratio;
      each.height = canvas.clientHeight * ratio;
    }
    if (!canvas.width) return; // not shown
    drawPoints(points, data, { by: $("map-by").value, only, ratio, margin: MARGIN });
    paint();
  }

  function paint() {
    const to = canvas.getContext("2d");
    to.clearRect(0, 0, canvas.width, canvas.height);
    to.drawImage(points, 0, 0);
    const outline = canvas.matches(":focus-visible") && !path.length ? boxPath() : path;
    if (!outline.length) return;
    const [w, h] = scale();
    to.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    to.beginPath();
    outline.forEach(([x, y]) => to.lineTo(MARGIN + x * w, MARGIN + y * h));
    to.closePath();
    to.strokeStyle = getComputedStyle(canvas).getPropertyValue("--accent");
    to.lineWidth = 2;
    to.stroke();
    to.setTransform(1, 0, 0, 1, 0, 0);
  }

  function pick(outline) {
    const inside = data.items.map((_, i) => i).filter((i) => isInside(data.x[i], data.y[i], outline));
    const free = inside.filter((i) => data.label[i] < 0);
    const [cx, cy] = middle(free);
    const away = new Map(free.map((i) => [i, (data.x[i] - cx) ** 2 + (data.y[i] - cy) ** 2]));
    region = free.sort((a, b) => away.get(a) - away.get(b)).map((i) => data.items[i]);
    $("map-said").textContent = `${count(inside.length, "image")} there, ${whole(free.length)} without a label`;
    $("region").hidden = !free.length;
    if (!free.length) return;
    screen.restart();
    $("region").scrollIntoView({ block: "nearest" });
  }

  const middle = (some) => ["x", "y"].map((axis) => some.reduce((sum, i) => sum + data[axis][i], 0) / some.length);

  async function load() {
    try {
      data = await get("/api/map");
      place = new Map(data.items.map((item, i) => [item, i]));
      $("map-said").textContent = data.items.length
        ? `${count(data.items.length, "image")}; drag to pick a region`
        : "The map comes once the images are embedded.";
    } catch (problem) {
      $("map-said").textContent = problem.message;
    }
    redraw();
  }

  const legend = () =>
    drawLegend($("legend"), only, (id) => {
      only = only === id ? null : id;
      legend();
      redraw();
    });

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drawing = true;
    path = [toMap(event)];
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    path = $("map-pick").value === "lasso" ? [...path, toMap(event)] : corners(path[0], toMap(event));
    paint();
  });
  canvas.addEventListener("pointerup", () => {
    drawing = false;
    const [w, h] = scale();
    if (path.some(([x, y]) => Math.hypot((x - path[0][0]) * w, (y - path[0][1]) * h) > NEAR)) pick(path);
    else path = [];
    paint();
  });
  canvas.addEventListener("pointercancel", () => {
    drawing = false;
    path = [];
    paint();
  });
  canvas.addEventListener("focus", paint);
  canvas.addEventListener("blur", paint);
  $("map-by").addEventListener("change", redraw);
  new ResizeObserver(redraw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  changes.addEventListener("classes", legend);

  function key(pressed) {
    if (!$("region").hidden && document.activeElement !== canvas) return screen.key(pressed);
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[pressed];
    const grow = { "+": 1, "-": -1 }[pressed];
    if (step) {
      box.x = within(box.x + step[0] * 0.02, 1 - box.w);
      box.y = within(box.y + step[1] * 0.02, 1 - box.h);
    } else if (grow) {
      const side = Math.max(0.04, Math.min(1, box.w + grow * 0.04));
      box = {
        x: within(box.x - (side - box.w) / 2, 1 - side),
        y: within(box.y - (side - box.h) / 2, 1 - side),
        w: side,
        h: side,
      };
    } else if (pressed === "Enter") pick(boxPath());
    else return false;
    if (pressed !== "Enter") path = boxPath();
    canvas.focus();
    paint();
    return true;
  }

  return { show: load, key };
}

const within = (value, most) => Math.max(0, Math.min(most, value));

/** Whether a point is inside a polygon: a ray from it crosses the outline an odd number of times. */
function isInside(x, y, outline) {
  let inside = false;
  outline.forEach(([ax, ay], i) => {
    const [bx, by] = outline[(i + 1) % outline.length];
    if (ay > y !== by > y && x < ax + ((bx - ax) * (y - ay)) / (by - ay)) inside = !inside;
  });
  return inside;
}
