/** The list of classes beside the image, and the one that a new class is added with. */
import { $, announce, el, whole } from "./dom.js";
import { giveClass } from "./label.js";
import { addClass, changes, colorOf, keyOf, shared } from "./state.js";
import { shownKey } from "./keys.js";

const MANY = 20; // classes from which on there is a field to find one

const wanted = () => $("filter").value.trim().toLowerCase();
const found = () => shared.project.classes.filter((each) => each.name.toLowerCase().includes(wanted()));

/** Buttons of classes are made anew only when the classes change: who is on one with the keyboard stays there. */
function list() {
  $("filter").hidden = shared.project.classes.length <= MANY;
  $("classes").replaceChildren(
    ...found().map((each) =>
      el(
        "button",
        { "data-class": each.id, "data-color": colorOf(each.id), onclick: () => giveClass(each.id) },
        el("kbd", {}, shownKey(keyOf(each.id))),
        el("span", { class: "name" }, each.name),
        el("span", { class: "count" }, whole(each.n)),
      ),
    ),
  );
  if (!shared.project.classes.length) $("classes").append(el("p", { class: "quiet" }, "No classes yet: N adds one."));
}

function counts() {
  for (const each of shared.project.classes) {
    const shown = $("classes").querySelector(`[data-class="${each.id}"] .count`);
    if (shown) shown.textContent = whole(each.n);
  }
}

/** Run a dialog's form; what it does may fail, which is said in it, and it stays open. */
export function onSubmit(dialog, does) {
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = dialog.querySelector("input");
    const told = dialog.querySelector(".problem");
    told.textContent = "";
    try {
      await does(field.value.trim());
      dialog.close();
    } catch (problem) {
      told.textContent = problem.message;
    }
  });
}

/** Make the list follow the classes, the field find one, and the dialog add one. */
export function beginClasses() {
  changes.addEventListener("classes", list);
  changes.addEventListener("state", counts);
  $("filter").addEventListener("input", list);
  $("filter").addEventListener("keydown", (event) => {
    const first = found()[0];
    if (event.key === "Enter" && wanted() && first) giveClass(first.id);
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    $("filter").value = "";
    list();
    $("stage").focus();
  });
  onSubmit($("ask-class"), async (name) => {
    const made = await addClass(name);
    $("class-name").value = "";
    const key = shownKey(keyOf(made.id));
    announce(`${made.name} has ${key ? `the key ${key}` : "no key: there are more classes than keys"}.`);
  });
}
