/** A screen of images that get one class together, but for those that are taken out. */
import { act } from "./acts.js";
import { columns, cursorOf, moved, setCursor } from "./cursor.js";
import { announce, count, el, percent, picture, whole } from "./dom.js";
import { unsent } from "./outbox.js";
import { elsewhere } from "./queue.js";
import { changes, classOf, colorOf, keyOf, nameOf, shared } from "./state.js";
import { shownKey } from "./keys.js";

const rowHeight = () => (matchMedia("(max-width: 600px)").matches ? 134 : 168); // CSS pixels, with its gap
const MOST = 48;

/** Fill a list of classes; what is picked stays picked. `first` stands before them. */
function fill(list, first) {
  const before = list.value;
  list.replaceChildren(
    el("option", { value: "" }, first),
    ...shared.project.classes.map((each) =>
      el("option", { value: each.id }, keyOf(each.id) ? `${each.name}  (${shownKey(keyOf(each.id))})` : each.name),
    ),
  );
  list.value = before;
}

/** A list to pick a class from. */
export function classList(label, first, onchange) {
  const list = el("select", {
    "aria-label": label,
    onchange: () => onchange(list.value === "" ? null : Number(list.value)),
  });
  fill(list, first);
  return list;
}

/**
 * A screen of images.
 * @param {HTMLElement} root - is filled
 * @param {string} source - of the answers
 * @param {"given"|"rest"} chosen - what a class key picks: the class given, or the one of those taken out
 * @param {(n: number, have: Set<number>, given: number|null) => Promise<{items: object[], left: number}>} load
 * @param {() => void} open - shows the view that the screen is in
 * @param {(given: object[]) => void} [told] - hears of what was answered
 */
export function makeScreen(root, { source, chosen, load, open, told = () => {} }) {
  let items = [];
  let left = 0;
  let since = 0;
  let anchor = 0;
  let asked = 0;
  let given = null;
  let rest = null;
  const out = new Set(); // images taken out
  const passed = new Set(); // those that were taken out on earlier screens and stayed open

  const tiles = el("div", {
    class: "tiles",
    role: "listbox",
    "aria-multiselectable": "true",
    "aria-label": "Images that get the class",
  });
  const said = el("p", { class: "empty", role: "status" });
  const more = el("span", { class: "quiet" });
  const take = el("button", { class: "main", onclick: accept });
  const givenList = classList(
    "Class to give",
    "pick a class",
    (id) => ((given = id), source === "grid" ? renew() : draw()),
  );
  const restList = classList("Class of those taken out", "stay open", (id) => ((rest = id), draw()));
  root.append(
    el(
      "div",
      { class: "bar" },
      el("label", {}, "Class ", givenList),
      el("label", {}, "Those taken out ", restList),
      take,
      more,
    ),
    said,
    tiles,
  );

  changes.addEventListener("classes", () => {
    fill(givenList, "pick a class");
    fill(restList, "stay open");
  });

  elsewhere.push(() => items.map((each) => each.item));

  function draw() {
    givenList.value = given ?? "";
    restList.value = rest ?? "";
    [...tiles.children].forEach((tile, i) => tile.setAttribute("aria-selected", !out.has(items[i].item)));
    const n = items.length - out.size;
    take.disabled = !items.length || (given === null && n > 0);
    more.textContent = left ? `${whole(left)} more` : "";
    const what = n ? `${count(n, "image")}: ${given === null ? "pick a class" : nameOf(given)}` : "None: go on";
    take.replaceChildren(el("kbd", {}, "Enter"), what);
  }

  function show(found) {
    ({ items, left } = found);
    out.clear();
    anchor = 0;
    since = performance.now();
    tiles.replaceChildren(...items.map(tile));
    setCursor(tiles, 0, root.contains(document.activeElement) || document.activeElement === document.body);
    said.hidden = items.length > 0;
    said.textContent = given === null && chosen === "rest" ? "Pick a class." : "No images are left here.";
    draw();
    if (items.length) announce(`${count(items.length, "image")}, ${left} more.`);
  }

  function tile(each, i) {
    const sure = each.guess ? `${nameOf(each.guess.class)} ${percent(each.guess.probability, 0)}` : each.name;
    return el(
      "div",
      {
        role: "option",
        class: "tile",
        tabindex: -1,
        title: each.name,
        "aria-label": `${each.name}, ${sure}`,
        onclick: (event) => clicked(i, event),
      },
      picture(each.thumb, ""),
      el("span", { class: "cross", "aria-hidden": "true" }, "\u2715 out"),
      el(
        "span",
        { class: "caption" },
        el("span", each.guess ? { class: "named", "data-color": colorOf(each.guess.class) } : {}, sure),
      ),
    );
  }

  function toggle(i) {
    const { item } = items[i];
    if (!out.delete(item)) out.add(item);
    anchor = i;
  }

  /** All from the last one that was toggled get what that one has. */
  function range(i) {
    const isOut = out.has(items[anchor].item);
    for (const { item } of items.slice(Math.min(anchor, i), Math.max(anchor, i) + 1))
      isOut ? out.add(item) : out.delete(item);
  }

  function clicked(i, event) {
    event.shiftKey ? range(i) : toggle(i);
    setCursor(tiles, i);
    draw();
  }

  const had = () => [...items.map((each) => each.item), ...passed, ...unsent()];

  /** How many images fit on the screen; whole rows. */
  const fitting = () => {
    const across = columns(tiles);
    const rows = Math.max(
      2,
      Math.floor((innerHeight - root.firstElementChild.getBoundingClientRect().bottom - 20) / rowHeight()),
    );
    return Math.min(MOST, across * rows);
  };

  async function renew() {
    const mine = ++asked;
    if (shared.annotator === null || (given === null && chosen === "rest")) return show({ items: [], left: 0 });
    const known = new Set(had());
    show({ items: [], left: 0 }); // what was there is answered: no key may mean it again
    said.textContent = "Loading.";
    try {
      const found = await load(fitting(), known, given);
      if (mine === asked)
        show({ ...found, items: found.items.filter((each) => each.label === null && !known.has(each.item)) });
    } catch (problem) {
      if (mine !== asked) return;
      show({ items: [], left: 0 });
      said.textContent = problem.message;
    }
  }

  function accept() {
    if (take.disabled) return;
    const before = { items, left, given, rest, out: [...out] };
    const answers = items
      .map(({ item }) => ({ item, kind: "label", class: out.has(item) ? rest : given }))
      .filter((each) => each.class !== null);
    if (rest === null) out.forEach((each) => passed.add(each));
    if (answers.length) {
      told(answers);
      act(source, answers, since, () => {
        before.out.forEach((each) => passed.delete(each));
        open();
        asked++; // what is on its way comes too late
        told(answers.map((each) => ({ ...each, class: -1 })));
        ({ given, rest } = before);
        show(before);
        before.out.forEach((each) => out.add(each));
        draw();
      });
    }
    renew();
  }

  function key(pressed) {
    const at = cursorOf(tiles);
    const next = moved(tiles, at, pressed);
    const label = classOf(pressed);
    if (next !== null && items.length) {
      setCursor(tiles, next);
      if (pressed.startsWith("shift+")) range(next);
    } else if (pressed === "Enter") accept();
    else if (pressed === " " && items.length) toggle(at);
    else if (pressed === "Escape") out.clear();
    else if (label !== undefined && chosen === "given") given = given === label ? null : label;
    else if (label !== undefined) rest = rest === label ? null : label;
    else return false;
    draw();
    return true;
  }

  /** Another class of the list, by steps. */
  function turn(by) {
    const all = shared.project.classes.map((each) => each.id);
    if (!all.length) return;
    items = [];
    given = all[(all.indexOf(given) + by + all.length) % all.length];
    renew();
  }

  return {
    key,
    turn,
    renew,
    isEmpty: () => !items.length,
    given: () => given,
    restart: () => (passed.clear(), renew()),
  };
}
