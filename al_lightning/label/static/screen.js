/** A screen of images that get one class together, but for those that are taken out. */
import { act } from "./acts.js";
import { columns, cursorOf, moved, setCursor } from "./cursor.js";
import { announce, count, el, notify, percent, picture, whole } from "./dom.js";
import { unsent } from "./outbox.js";
import { classList, fill } from "./pick.js";
import { elsewhere } from "./queue.js";
import { changes, classOf, colorOf, nameOf, shared } from "./state.js";

const rowHeight = () => (matchMedia("(max-width: 600px)").matches ? 134 : 168); // CSS pixels, with its gap
const MOST = 48;

/**
 * A screen of images.
 * @param {HTMLElement} root - is filled
 * @param {string} source - of the answers
 * @param {"given"|"rest"} chosen - what a class key picks: the class given, or the one of those taken out
 * @param {(n: number, have: number[], given: number|null, past: number[]) => Promise<{items: object[], left: number}>}
 *   load - `have`: images that are open here; `past`: those that are open no more, and are not wanted again
 * @param {() => void} open - shows the view that the screen is in
 * @param {(given: object[]) => void} [told] - hears of what was answered
 */
export function makeScreen(root, { source, chosen, load, open, told = () => {} }) {
  let items = []; // before the eyes
  let coming = []; // of the next screen, loaded while this one is looked at
  let left = 0; // further ones that the server has
  let since = 0;
  let anchor = 0;
  let begun = 0; // times that all was started anew: what is on its way for an earlier one comes too late
  let loading = false;
  let trouble = null;
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
    (id) => ((given = id), chosen === "rest" ? renew() : draw()),
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

  const onHand = () => [...items, ...coming].map((each) => each.item);
  elsewhere.push({ items: onHand, drop });

  function draw() {
    givenList.value = given ?? "";
    restList.value = rest ?? "";
    [...tiles.children].forEach((tile, i) => tile.setAttribute("aria-selected", !out.has(items[i].item)));
    const n = items.length - out.size;
    take.disabled = !items.length || (given === null && n > 0);
    const further = coming.length + left;
    more.textContent = further ? `${whole(further)} more` : "";
    said.hidden = items.length > 0;
    said.textContent = emptiness();
    const what = n ? `${count(n, "image")}: ${given === null ? "pick a class" : nameOf(given)}` : "None: go on";
    take.replaceChildren(el("kbd", {}, "Enter"), what);
  }

  function emptiness() {
    if (given === null && chosen === "rest") return "Pick a class.";
    if (loading) return "Loading.";
    return trouble ?? "No images are left here.";
  }

  function show(some) {
    items = some;
    out.clear();
    anchor = 0;
    since = performance.now();
    tiles.replaceChildren(...items.map(tile));
    setCursor(tiles, 0, root.contains(document.activeElement) || document.activeElement === document.body);
    draw();
    if (items.length) announce(`${count(items.length, "image")}, ${whole(coming.length + left)} more.`);
  }

  /** Images that somebody else has now, or that were answered in another view, are no longer here. */
  function drop(gone) {
    coming = coming.filter((each) => !gone.has(each.item));
    const kept = items.filter((each) => !gone.has(each.item));
    const n = items.length - kept.length;
    if (!n) return;
    const at = items.slice(0, cursorOf(tiles)).filter((each) => !gone.has(each.item)).length;
    const hadFocus = tiles.contains(document.activeElement);
    [...tiles.children].forEach((tile, i) => gone.has(items[i].item) && tile.remove());
    items = kept;
    anchor = 0;
    for (const item of gone) out.delete(item);
    setCursor(tiles, at, hadFocus);
    draw();
    if (root.checkVisibility())
      notify(`${count(n, "image")} left this screen: open here for too long, now somebody else's or answered.`);
    if (!items.length) advance();
  }

  function tile(each) {
    const { guess } = each;
    const [named, sure] = guess ? [nameOf(guess.class), percent(guess.probability, 0)] : [each.name, ""];
    return el(
      "div",
      {
        role: "option",
        class: "tile",
        tabindex: -1,
        title: each.name,
        "aria-label": guess ? `${each.name}, ${named} ${sure}` : each.name,
        onclick: (event) => clicked(items.indexOf(each), event),
      },
      each.image,
      el("span", { class: "cross", "aria-hidden": "true" }, "\u2715 out"),
      el(
        "span",
        { class: "caption" },
        el("span", guess ? { class: "named", "data-color": colorOf(guess.class) } : {}, named),
        el("span", { class: "sure" }, sure),
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

  /** How many images fit on the screen; whole rows. */
  const fitting = () => {
    const across = columns(tiles);
    const rows = Math.max(
      2,
      Math.floor((innerHeight - root.firstElementChild.getBoundingClientRect().bottom - 20) / rowHeight()),
    );
    return Math.min(MOST, across * rows);
  };

  /** Load the next screen, unless it is there. */
  async function loadNext() {
    if (loading || coming.length || shared.annotator === null || (given === null && chosen === "rest")) return;
    const mine = begun;
    loading = true;
    trouble = null;
    draw();
    try {
      const found = await load(fitting(), [...onHand(), ...unsent()], given, [...passed]);
      if (mine !== begun) return;
      const known = new Set([...onHand(), ...unsent(), ...passed]);
      const fresh = found.items.filter((each) => each.label === null && !known.has(each.item));
      coming.push(...fresh.map((each) => ({ ...each, image: picture(each.thumb, "") })));
      left = found.left;
    } catch (problem) {
      if (mine !== begun) return;
      trouble = problem.message;
    }
    loading = false;
    if (!items.length && coming.length) advance();
    else draw();
  }

  /** Go on to the next screen, and load the one after it. */
  function advance() {
    show(coming.splice(0, fitting()));
    loadNext();
  }

  /** Start anew. */
  function renew() {
    begun++;
    loading = false;
    left = 0;
    coming = [];
    advance();
  }

  function accept() {
    if (take.disabled) return;
    const before = { items, given, rest, out: [...out] };
    const answers = items
      .map(({ item }) => ({ item, kind: "label", class: out.has(item) ? rest : given }))
      .filter((each) => each.class !== null);
    if (rest === null) out.forEach((each) => passed.add(each));
    items = []; // no key may mean them again
    if (answers.length) {
      told(answers);
      act(source, answers, since, () => {
        before.out.forEach((each) => passed.delete(each));
        open();
        told(answers.map((each) => ({ ...each, class: -1 })));
        bringBack(before);
      });
    }
    advance();
  }

  /** Show a screen again that was answered; the one that is shown comes after it. */
  function bringBack(before) {
    const back = new Set(before.items.map((each) => each.item));
    if (chosen === "rest" && given !== before.given) {
      begun++;
      loading = false;
      left = 0;
      coming = [];
    } else coming = [...items, ...coming].filter((each) => !back.has(each.item));
    ({ given, rest } = before);
    show(before.items);
    before.out.forEach((each) => out.add(each));
    draw();
    loadNext();
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
