/** How good the model is, how sure that is, and what further labels would bring. */
import { get } from "./api.js";
import { curve, interval } from "./curve.js";
import { $, count, el, percent, whole } from "./dom.js";
import { share } from "./learner.js";
import { changes, nameOf, shared } from "./state.js";

const row = (tag, ...cells) =>
  el(
    "tr",
    {},
    ...cells.map((each, i) =>
      el(i || tag === "th" ? tag : "th", tag === "th" ? { scope: "col" } : i ? {} : { scope: "row" }, each),
    ),
  );
const table = (head, rows) =>
  el(
    "div",
    { class: "wide", tabindex: 0, role: "group", "aria-label": head[0] },
    el("table", {}, el("thead", {}, row("th", ...head)), el("tbody", {}, ...rows)),
  );
const list = (facts) => el("dl", {}, ...facts.flatMap(([name, said]) => [el("dt", {}, name), el("dd", {}, said)]));
const block = (title, ...inner) => el("section", {}, el("h2", {}, title), ...inner);

/** The view of the accuracy. */
export function makePanel() {
  const root = $("view-panel");
  let drawn = "";

  function draw(measured) {
    const state = shared.project;
    root.replaceChildren(
      el(
        "div",
        { class: "panel" },
        ...[
          head(state.estimate),
          next(state.estimate),
          course(measured, Math.min(620, root.clientWidth)),
          classes(measured),
          people(state),
          numbers(state),
          chosen(state),
        ].filter(Boolean),
      ),
    );
  }

  /** What has to change before there is something new to draw. */
  const now = () => {
    const { estimate, model, annotators, learner } = shared.project;
    return JSON.stringify([estimate, model, annotators, learner?.message]);
  };

  async function show() {
    drawn = now();
    try {
      draw(await get("/api/curve"));
    } catch (problem) {
      root.replaceChildren(el("p", { class: "empty" }, problem.message));
    }
  }

  changes.addEventListener("state", () => !root.hidden && now() !== drawn && show());
  return { show, key: () => false };
}

function head(estimate) {
  if (!estimate)
    return block(
      "Accuracy",
      el("p", {}, "Not known yet: it is measured on images drawn at random, whose answers the model has not seen."),
    );
  const { accuracy, low, high, n, n_labeled: labeled } = estimate;
  return block(
    "Accuracy",
    el("p", { class: "figure" }, el("b", {}, percent(accuracy)), ` 95% interval ${percent(low)} to ${percent(high)}`),
    el(
      "p",
      { class: "quiet" },
      `of the model of ${count(labeled, "label")}, on the images without an answer; from ${count(n, "image")} drawn at random.`,
    ),
  );
}

function next(estimate) {
  if (!estimate?.expected && !estimate?.enough) return null;
  const { expected, enough } = estimate;
  return block(
    "Go on?",
    enough
      ? el(
          "p",
          { class: enough.said ? "enough" : "" },
          el("b", {}, enough.said ? "Enough: " : "Not yet enough: "),
          `${enough.why}.`,
        )
      : null,
    expected ? el("p", {}, bring(expected)) : null,
  );
}

const points = (share) => (100 * share).toFixed(1);

function bring({ labels, gain, low, high, money, minutes }) {
  const work = minutes === null ? "" : ` and take about ${count(Math.max(1, Math.round(minutes)), "minute")}`;
  return (
    `The next ${count(labels, "label")} cost ${money.toFixed(2)}${work}; they are expected to bring ` +
    `${points(gain)} percentage points of accuracy (95% interval ${points(low)} to ${points(high)}).`
  );
}

function course({ points }, width) {
  if (points.length < 2) return null;
  return block(
    "Accuracy by labels",
    curve(points, width),
    el("p", { class: "quiet" }, "The band is the 95% interval."),
  );
}

function classes({ classes: measured }) {
  if (!measured.length) return null;
  const rows = measured.map((each) =>
    row("td", nameOf(each.id), whole(each.n), percent(each.accuracy, 0), interval(each)),
  );
  return block(
    "By class: images of a class that the model knows",
    table(["Class", "Images", "Accuracy", "95% interval"], rows),
  );
}

function people({ annotators, kappa, kappa_n: both }) {
  if (!annotators.length) return null;
  const rows = annotators.map((each) =>
    row(
      "td",
      each.name,
      whole(each.n),
      each.per_minute == null ? "\u2013" : each.per_minute.toFixed(1),
      each.accuracy == null ? "\u2013" : `${percent(each.accuracy, 0)} of ${whole(each.accuracy_n)}`,
    ),
  );
  const agreement =
    kappa == null ? "" : `Agreement: kappa ${kappa.toFixed(2)}, of ${count(both, "image")} that two people answered.`;
  return block("People", table(["Name", "Answers", "A minute", "Right"], rows), el("p", { class: "quiet" }, agreement));
}

function numbers(state) {
  const facts = [
    ["Images", state.n_items],
    ["Labeled", state.n_labeled],
    ["Open", state.n_open],
    ["Skipped", state.n_skipped],
    ["Unsure", state.n_unsure],
    ["Flagged", state.n_flagged],
    ["Disputed", state.n_disputed],
    ["Unreadable", state.n_unreadable],
  ];
  return block("Images", list(facts.map(([name, n]) => [name, whole(n)])));
}

/** How images are chosen, and by which features: the learner says which, and why these. */
function chosen({ strategy, random_share: random, learner }) {
  const facts = [
    ["Strategy", strategy],
    ["At random", random ? `${share(random)} of the images` : "none: the accuracy is not measured"],
    ["Learner", learner?.message || null],
  ];
  return block("Choice of images", list(facts.filter(([, said]) => said !== null)));
}
