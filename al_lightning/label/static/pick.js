/** A list to pick a class from. */
import { el } from "./dom.js";
import { shownKey } from "./keys.js";
import { keyOf, shared } from "./state.js";

/** Fill a list of classes; what is picked stays picked. `first` stands before them. */
export function fill(list, first) {
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
