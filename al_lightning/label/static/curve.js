/** The two drawings of the panel, in SVG: the accuracy by labels, and an interval. */
import { percent, svg } from "./dom.js";

const HEIGHT = 260; // CSS pixels
const PLOT = { left: 52, right: 12, top: 12, bottom: 40 };

/** A round step for about four lines in a range. */
function step(range) {
  const rough = range / 4;
  const ten = 10 ** Math.floor(Math.log10(rough));
  return ten * [1, 2, 5, 10].find((each) => each * ten >= rough);
}

const lines = (low, high, by) => {
  const first = Math.ceil(low / by - 1e-9);
  return Array.from({ length: Math.floor(high / by + 1e-9) - first + 1 }, (_, i) => (first + i) * by);
};

/**
 * @param {{n_labeled: number, accuracy: number, low: number, high: number}[]} points - by labels, ascending
 * @param {number} width - of the drawing, in CSS pixels
 */
export function curve(points, width) {
  const [from, to] = [points[0].n_labeled, points.at(-1).n_labeled];
  const by = step(
    Math.max(0.02, Math.max(...points.map((each) => each.high)) - Math.min(...points.map((each) => each.low))),
  );
  const low = Math.max(0, Math.floor(Math.min(...points.map((each) => each.low)) / by) * by);
  const high = Math.min(1, Math.ceil(Math.max(...points.map((each) => each.high)) / by) * by);
  const x = (n) => PLOT.left + ((n - from) / (to - from || 1)) * (width - PLOT.left - PLOT.right);
  const y = (share) => HEIGHT - PLOT.bottom - ((share - low) / (high - low)) * (HEIGHT - PLOT.top - PLOT.bottom);
  const path = (some, key) =>
    some.map((each) => `${x(each.n_labeled).toFixed(1)},${y(each[key]).toFixed(1)}`).join(" ");
  const last = points.at(-1);
  return svg(
    "svg",
    {
      viewBox: `0 0 ${width} ${HEIGHT}`,
      width,
      height: HEIGHT,
      class: "curve",
      role: "img",
      "aria-label": `Accuracy from ${percent(points[0].accuracy)} at ${Math.round(from)} labels to ${percent(last.accuracy)} at ${Math.round(to)}`,
    },
    ...lines(low, high, by).flatMap((each) => [
      svg("line", { x1: PLOT.left, x2: width - PLOT.right, y1: y(each), y2: y(each), class: "rule" }),
      svg("text", { x: PLOT.left - 8, y: y(each) + 4, "text-anchor": "end" }, percent(each, by < 0.01 ? 1 : 0)),
    ]),
    ...lines(from, to, step(to - from || 4)).map((each) =>
      svg("text", { x: x(each), y: HEIGHT - PLOT.bottom + 18, "text-anchor": "middle" }, String(Math.round(each))),
    ),
    svg("text", { x: (PLOT.left + width - PLOT.right) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "labels"),
    svg("polygon", { points: `${path(points, "low")} ${path([...points].reverse(), "high")}`, class: "band" }),
    svg("polyline", { points: path(points, "accuracy"), class: "line" }),
    svg("circle", { cx: x(last.n_labeled), cy: y(last.accuracy), r: 3.5, class: "dot" }),
  );
}

/** A bar from 0 to 100% with the interval and the accuracy, and its ends in words. */
export function interval({ accuracy, low, high }) {
  const at = (share) => (100 * share).toFixed(1);
  const shown = document.createElement("span");
  shown.className = "interval";
  shown.append(
    svg(
      "svg",
      { viewBox: "0 0 100 10", "aria-hidden": "true" },
      svg("line", { x1: 0, x2: 100, y1: 5, y2: 5, class: "rule" }),
      svg("line", { x1: at(low), x2: at(high), y1: 5, y2: 5, class: "range" }),
      svg("circle", { cx: at(accuracy), cy: 5, r: 3, class: "dot" }),
    ),
    `${percent(low, 0)}\u2013${percent(high, 0)}`,
  );
  return shown;
}
