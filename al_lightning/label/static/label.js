/** One image at a time. */
import { act, undo } from "./acts.js";
import { $, announce, el, notify, percent } from "./dom.js";
import { outbox } from "./outbox.js";
import { bringBack, empty, isDone, queue, refill, reload } from "./queue.js";
import { changes, classOf, colorOf, nameOf, shared } from "./state.js";
import { fit, zoomKey } from "./zoom.js";

const BLIND = ["random", "again"]; // kinds whose answer measures: nothing of the model's is shown
let shown = null;
let since = 0;
let goTo = () => {};

/** @param {(view: string) => void} open - shows another view */
export function beginLabel(open) {
  goTo = open;
  $("suggestion").addEventListener("click", accept);
  for (const button of document.querySelectorAll("#actions [data-key], #zoom [data-key]"))
    button.addEventListener("click", () => labelKey(button.dataset.key));
  changes.addEventListener("state", more);
  changes.addEventListener("classes", () => shown && describe(shown.item));
  changes.addEventListener("annotator", () => {
    empty();
    show();
    more();
  });
  outbox.addEventListener("change", show);
}

async function more() {
  if (!shared.unreachable) reload();
  const lost = await refill();
  const gone = shown && lost.has(shown.item.item) ? shown.item.name : null;
  show();
  if (gone !== null && !$("view-label").hidden)
    notify(`${gone} left this screen: open here for too long, now somebody else's or answered. Here is the next image.`);
}

/** Show the first image of the queue, or say why there is none. */
function show() {
  const entry = queue[0] ?? null;
  if (entry && entry === shown && $("stage").firstElementChild === entry.image) return;
  fit();
  shown = entry;
  for (const button of document.querySelectorAll("#view-label .side button:not([data-key=Backspace], [data-key=n])"))
    button.disabled = entry === null;
  if (entry === null) {
    delete $("stage").dataset.item;
    $("stage").replaceChildren(el("p", { class: "empty" }, emptiness()));
    describe(null);
    return;
  }
  since = performance.now();
  const { image, item } = entry;
  $("stage").replaceChildren(image);
  $("stage").dataset.item = item.item;
  entry.ready.then((fine) => {
    if (entry === shown && !fine) $("stage").prepend(el("p", { class: "empty" }, `${item.name} cannot be loaded.`));
  });
  describe(item);
}

function emptiness() {
  if (shared.unreachable || shared.annotator === null) return "";
  if (!isDone()) return "The next images are on their way, or open at somebody else's.";
  return shared.project.n_open ? "The budget is used up." : "Every image has an answer.";
}

function describe(item) {
  const guess = item && !BLIND.includes(item.kind) ? item.guess : null;
  $("mark").hidden = item?.kind !== "random";
  $("mark").textContent = "random: part of the measurement";
  $("flag").setAttribute("aria-pressed", item?.flagged ?? false);
  $("suggestion").disabled = guess === null;
  $("suggestion").replaceChildren(
    ...(guess
      ? [el("kbd", {}, "Space"), el("b", {}, nameOf(guess.class)), el("span", {}, percent(guess.probability, 0))]
      : [item && BLIND.includes(item.kind) ? "No suggestion: your answer measures" : "No suggestion yet"]),
  );
  $("why").replaceChildren(...(item && !BLIND.includes(item.kind) ? why(item, guess) : []));
  if (item)
    announce(`${item.name}. ${guess ? `Suggestion: ${nameOf(guess.class)}, ${percent(guess.probability, 0)}` : ""}`);
}

function why(item, guess) {
  const facts = [];
  if (item.score !== null) facts.push(`score ${item.score.toPrecision(3)}`);
  if (guess?.second != null) facts.push(`${percent(guess.margin, 0)} ahead of ${nameOf(guess.second)}`);
  if (!facts.length && !item.why.length) return [];
  return [
    el("h2", {}, "Why this image"),
    facts.length ? el("p", { class: "quiet" }, facts.join(" \u00b7 ")) : null,
    item.why.length
      ? el(
          "ul",
          { class: "near", "aria-label": "Nearest labeled images" },
          ...item.why.map((each) =>
            el(
              "li",
              { "data-color": colorOf(each.class), title: nameOf(each.class) },
              el("img", { src: each.thumb, alt: "" }),
              el("span", {}, nameOf(each.class)),
              el("span", { class: "quiet" }, each.similarity.toFixed(2)),
            ),
          ),
        )
      : null,
  ].filter(Boolean);
}

/** Answer for the image that is shown, and go to the next. */
function answer(kind, label) {
  if (!shown) return;
  const { item } = shown;
  act("page", [{ item: item.item, kind, ...(label === undefined ? {} : { class: label }) }], since, () => {
    goTo("label");
    bringBack([item]);
    show();
  });
  show();
  more();
}

/** Give a class to the image that is shown. */
export const giveClass = (id) => answer("label", id);

function accept() {
  const guess = shown && !BLIND.includes(shown.item.kind) ? shown.item.guess : null;
  if (guess) giveClass(guess.class);
}

function flag() {
  if (!shown) return;
  const { item } = shown;
  const set = (flagged) => {
    item.flagged = flagged;
    describe(shown?.item ?? null);
  };
  act("page", [{ item: item.item, kind: item.flagged ? "unflag" : "flag" }], since, () => set(!item.flagged));
  set(!item.flagged);
  announce(item.flagged ? "Flagged." : "Flag taken off.");
}

/** Bring images of an undone answer back, which an earlier page gave. */
export function bring(items) {
  goTo("label");
  bringBack(items);
  show();
}

/** @returns {boolean} whether the key means something here */
export function labelKey(key) {
  const label = classOf(key);
  if (label !== undefined) giveClass(label);
  else if (key === " ") accept();
  else if (key === "s") answer("skip");
  else if (key === "u") answer("unsure");
  else if (key === "f") flag();
  else if (key === "Backspace") undo(bring);
  else if (key === "n") $("ask-class").showModal();
  else if (key === "/" && !$("filter").hidden) $("filter").focus();
  else return zoomKey(key);
  return true;
}
