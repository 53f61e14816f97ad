/** A cursor in a grid of elements, by arrow keys: one of them has tabindex 0 and is what Tab comes to. */

const cells = (root) => [...root.children];

/** Where the cursor is; -1 where there is nothing. */
export const cursorOf = (root) => cells(root).findIndex((each) => each.tabIndex === 0);

/** Put the cursor on a cell, the last one if there are fewer; with `focus` the keyboard goes there, too. */
export function setCursor(root, at, focus = true) {
  const all = cells(root);
  const wanted = Math.max(0, Math.min(all.length - 1, at));
  all.forEach((each, i) => (each.tabIndex = i === wanted ? 0 : -1));
  if (focus) all[wanted]?.focus();
}

/** How many columns the grid has at the moment. */
export function columns(root) {
  return getComputedStyle(root).gridTemplateColumns.split(" ").length;
}

/** Where an arrow key goes from a place, or null if it is no arrow key. */
export function moved(root, at, key) {
  const step = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columns(root),
    ArrowDown: columns(root),
    Home: -1e9,
    End: 1e9,
  };
  const by = step[key.replace("shift+", "")];
  if (by === undefined) return null;
  const last = cells(root).length - 1;
  const next = at + by;
  // From the last full row downwards is the end; above the first row is where one is.
  return next < 0 ? (by < -1e6 ? 0 : at) : Math.min(next, last);
}
