/** Starts the page: views, keys, and the line that says how far one is. */
import { forget, undo } from "./acts.js";
import { beginClasses, onSubmit } from "./classes.js";
import { $, count, el, notify, percent, whole } from "./dom.js";
import { makeGrid } from "./grid.js";
import { helpLines, isTaken, mayRepeat, pressed } from "./keys.js";
import { beginLabel, bring, labelKey } from "./label.js";
import { order } from "./learner.js";
import { makeLists } from "./lists.js";
import { makeMap } from "./map.js";
import { isOpen, outbox, pending, problem } from "./outbox.js";
import { makePanel } from "./panel.js";
import { begin, changes, knownName, shared, signIn } from "./state.js";

const tabs = [...document.querySelectorAll("[role=tab]")];
const nameOfTab = (tab) => tab.id.replace("tab-", "");
let open = null;

function show(view, focusTab = false) {
  for (const tab of tabs) {
    const isIt = nameOfTab(tab) === view;
    tab.setAttribute("aria-selected", isIt);
    tab.tabIndex = isIt ? 0 : -1;
    $(`view-${nameOfTab(tab)}`).hidden = !isIt;
    if (isIt) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    if (isIt && focusTab) tab.focus();
  }
  if (open === view) return;
  open = view;
  if (!focusTab) document.activeElement.blur(); // what had the focus is out of sight
  views[view].show();
}

const views = {
  label: { show: () => {}, key: labelKey },
  grid: makeGrid(show),
  ...makeLists(show),
  map: makeMap(show),
  panel: makePanel(),
};

/** The view before or after the one that is shown, round the end. */
const turn = (by, focusTab) => {
  const names = tabs.map(nameOfTab);
  show(names[(names.indexOf(open) + by + names.length) % names.length], focusTab);
};

document.addEventListener("keydown", (event) => {
  const key = shared.annotator && pressed(event);
  if (key === null || isTaken(event) || (event.repeat && !mayRepeat(key)) || document.querySelector("dialog[open]"))
    return;
  const everywhere = {
    ",": () => turn(-1),
    ".": () => turn(1),
    "?": () => $("help").showModal(),
    n: () => $("ask-class").showModal(),
    Backspace: () => undo(bring),
  };
  if (everywhere[key]) everywhere[key]();
  else if (!views[open].key(key)) return;
  event.preventDefault();
});

for (const tab of tabs) {
  tab.addEventListener("click", () => show(nameOfTab(tab)));
  tab.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by) turn(by, true);
  });
}

// After a click the keys are for the image again: else the space bar would press the same button once more.
$("view-label").addEventListener("click", (event) => {
  if (event.detail > 0 && event.target.closest("button") && !document.querySelector("dialog[open]"))
    $("stage").focus({ preventScroll: true });
});

/** How far one is, and whether all is saved. */
function facts() {
  const { n_items: all, n_labeled: labeled, annotators, n_disputed: disputed, estimate } = shared.project;
  const mine = annotators.find((each) => each.id === shared.annotator?.id);
  $("bar").max = all || 1;
  $("bar").value = labeled ?? 0;
  $("n-review").textContent = disputed ? whole(disputed) : "";
  $("facts").replaceChildren(
    ...[
      `${whole(labeled ?? 0)} of ${whole(all ?? 0)} labeled`,
      mine?.per_minute != null ? `${mine.per_minute.toFixed(0)} a minute` : null,
      money(shared.project),
    ]
      .filter(Boolean)
      .map((each) => el("span", {}, each)),
    ...(estimate ? [el("span", { class: "accuracy" }, atAGlance(estimate))] : []),
  );
  $("order").textContent = order(shared.project);
}

const atAGlance = ({ accuracy, low, high, enough }) =>
  `accuracy ${percent(accuracy)} (${percent(low)} to ${percent(high)})${enough?.said ? ", enough: see Accuracy" : ""}`;

function money({ budget, price, spent }) {
  if (budget == null) return spent ? `${spent.toFixed(2)} spent` : null;
  return price ? `${spent.toFixed(2)} of ${(budget * price).toFixed(2)} spent` : `budget of ${count(budget, "answer")}`;
}

function saved() {
  const n = pending().length;
  const away = problem() ?? shared.unreachable;
  $("saved").textContent = n ? `${n} not saved yet` : isOpen() ? "All saved" : "";
  $("saved").classList.toggle("waits", n > 0);
  const trouble = away ? whyAway(away) : shared.project.problems.join("; ");
  if (away || trouble !== told) notify(trouble || null);
  told = trouble;
}
let told = "";

const whyAway = (away) =>
  away.status === 401
    ? "The server was started anew: open the address that it has printed, in this browser. This page then goes on, with the answers that it keeps."
    : `${away.message} Answers are kept here, and sent when it is back.`;

changes.addEventListener("state", () => {
  facts();
  saved();
});
changes.addEventListener("annotator", () => {
  forget();
  $("open-name").textContent = shared.annotator.name;
  facts();
});
outbox.addEventListener("change", saved);
$("notice")
  .querySelector("button")
  .addEventListener("click", () => notify(null));
$("open-help").addEventListener("click", () => $("help").showModal());
$("open-name").addEventListener("click", () => {
  $("name").value = shared.annotator?.name ?? "";
  $("ask-name").showModal();
});
// Escape does not leave the question for a name open: there is nobody to answer as.
$("ask-name").addEventListener("cancel", (event) => shared.annotator === null && event.preventDefault());
for (const button of document.querySelectorAll("[data-close]"))
  button.addEventListener("click", () => button.closest("dialog").close());
onSubmit($("ask-name"), signIn);
$("help-keys").append(
  ...helpLines().flatMap(([title, lines]) => [
    el("h3", {}, title),
    el("dl", {}, ...lines.flatMap(([keys, meaning]) => [el("dt", {}, el("kbd", {}, keys)), el("dd", {}, meaning)])),
  ]),
);

beginClasses();
beginLabel(show);
show("label");
await begin();
if (knownName()) await signIn(knownName()).catch(() => {});
if (shared.annotator === null) $("open-name").click();
