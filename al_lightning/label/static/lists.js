/** Doubtful labels, disagreements and the latest answers: a card an image, each with what is said of it. */
import { act } from "./acts.js";
import { get } from "./api.js";
import { cursorOf, moved, setCursor } from "./cursor.js";
import { $, announce, el, picture, whole } from "./dom.js";
import { unsent } from "./outbox.js";
import { classList } from "./pick.js";
import { changes, classOf, colorOf, nameOf } from "./state.js";

const N = 24;
const named = (id) => el("span", { class: "named", "data-color": colorOf(id) }, nameOf(id));
const said = (each) => (each.kind === "label" ? named(each.class) : each.kind);
const line = (...parts) => el("p", {}, ...parts);

const DOUBTFUL = {
  path: "/api/doubtful",
  source: "doubtful",
  title: "Labels that the model doubts, the most doubtful first",
  none: "No label is in doubt. The list comes with the model, after some answers of each class.",
  facts: (item) => [line("label: ", named(item.label)), line("model: ", named(item.suggested))],
  choices: (item) => [
    ["Enter", `Keep ${nameOf(item.label)}`, item.label],
    [" ", `Make it ${nameOf(item.suggested)}`, item.suggested],
  ],
};
const REVIEW = {
  path: "/api/review",
  source: "review",
  title: "Images that people disagree on; your answer decides",
  none: "Nobody disagrees.",
  facts: (item) => item.answers.map((each) => line(`${each.annotator}: `, said(each))),
  choices: (item) =>
    [...new Set(item.answers.map((each) => each.class).filter((id) => id !== null))].map((id) => [
      null,
      nameOf(id),
      id,
    ]),
};
const LABELED = {
  path: "/api/labeled",
  source: "review",
  title: "The latest answers; a class that you give here decides",
  none: "No answers yet.",
  facts: (item) => [
    line("label: ", named(item.label)),
    el("p", { class: "quiet" }, `${item.by}, ${new Date(item.at).toLocaleString()}`),
  ],
  choices: () => [],
  older: true,
};

/** The three lists, by the name of their view. */
export const makeLists = (open) => ({
  doubtful: makeList("doubtful", DOUBTFUL, open),
  review: makeList("review", REVIEW, open),
  labeled: makeList("labeled", LABELED, open),
});

function makeList(view, what, open) {
  const cards = el("ul", { class: "cards", "aria-label": what.title });
  const empty = el("p", { class: "empty", role: "status" });
  const more = el("button", { onclick: older, hidden: true }, "Older answers");
  const left = el("span", { class: "quiet" });
  $(`view-${view}`).append(el("div", { class: "bar" }, el("h2", {}, what.title), left), empty, cards, more);
  let items = [];
  let since = 0;
  let asked = 0;

  function draw(at, focus) {
    cards.replaceChildren(...items.map(card));
    setCursor(cards, at, focus);
    empty.hidden = items.length > 0;
  }

  function card(item) {
    return el(
      "li",
      {
        class: "card",
        tabindex: -1,
        "aria-label": `${item.name}, ${what
          .facts(item)
          .map((each) => each.textContent)
          .join(", ")}`,
      },
      picture(item.thumb, item.name),
      el("div", { class: "facts" }, el("p", { class: "file" }, item.name), ...what.facts(item)),
      el(
        "div",
        { class: "choices" },
        ...what
          .choices(item)
          .map(([short, text, id]) =>
            el(
              "button",
              { onclick: () => give(item, "label", id) },
              short && el("kbd", {}, short === " " ? "Space" : short),
              text,
            ),
          ),
        classList(`Class of ${item.name}`, "Another class\u2026", (id) => id !== null && give(item, "label", id)),
      ),
    );
  }

  /** Answer for an image: it leaves the list, and the next one takes its place. */
  function give(item, kind, label) {
    const at = items.indexOf(item);
    items.splice(at, 1);
    act(what.source, [{ item: item.item, kind, ...(kind === "label" ? { class: label } : {}) }], since, () => {
      open(view);
      asked++; // what is on its way comes too late
      items.splice(at, 0, item);
      draw(at, true);
    });
    announce(kind === "label" ? `${item.name}: ${nameOf(label)}.` : `${item.name}: ${kind}.`);
    draw(at, true);
    since = performance.now();
    if (!items.length) show();
  }

  async function show() {
    const mine = ++asked;
    empty.textContent = items.length ? "" : "Loading.";
    const gone = new Set(unsent());
    try {
      const found = await get(what.path, { n: N });
      if (mine !== asked) return;
      items = found.items.filter((each) => !gone.has(each.item));
      left.textContent = found.left ? `${whole(found.left)} more` : "";
      more.hidden = !what.older || found.items.length < N;
      since = performance.now();
      draw(0, document.activeElement === document.body);
      empty.textContent = what.none;
    } catch (problem) {
      empty.textContent = problem.message;
    }
  }

  async function older() {
    const found = await get(what.path, { n: N, before: items.at(-1).event }).catch(() => ({ items: [] }));
    const at = items.length;
    items.push(...found.items);
    more.hidden = found.items.length < N;
    draw(at, true);
  }

  function key(pressed) {
    const at = cursorOf(cards);
    const item = items[at];
    if (!item) return false;
    const next = moved(cards, at, pressed);
    const label = classOf(pressed);
    const short = what.choices(item).find((each) => each[0] === pressed);
    if (next !== null) setCursor(cards, next);
    else if (label !== undefined) give(item, "label", label);
    else if (short) give(item, "label", short[2]);
    else if (pressed === "u") give(item, "unsure");
    else if (pressed === "s") give(item, "skip");
    else return false;
    return true;
  }

  changes.addEventListener("classes", () => items.length && draw(cursorOf(cards), false));
  return { show, key };
}
