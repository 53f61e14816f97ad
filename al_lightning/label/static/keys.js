/** What a key press means. */

const ACTIONS = "sufnz"; // skip, unsure, flag, new class, zoom: no class has these
const PLAIN = [..."1234567890", ..."abcdefghijklmnopqrstuvwxyz"].filter((key) => !ACTIONS.includes(key));

/** Keys of the classes, in the classes' order: digits, letters, then both with shift. */
export const CLASS_KEYS = [...PLAIN, ...PLAIN.map((key) => `shift+${key}`)];

/** A key as people read it. */
export const shownKey = (key) => (key === undefined ? "" : key.replace("shift+", "\u21e7").toUpperCase());

/**
 * The key of an event, in the words that views know: `1`, `shift+1`, `q`, `ArrowLeft`, `shift+ArrowLeft`, ` `, `?`.
 * Digits and, where the layout has no Latin letters, letters go by the place of the key. Null: not ours.
 */
export function pressed(event) {
  if (event.altKey) return null;
  if (event.ctrlKey || event.metaKey) return event.key.toLowerCase() === "z" && !event.shiftKey ? "Backspace" : null;
  const shift = event.shiftKey ? "shift+" : "";
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code);
  if (digit) return shift + digit[1];
  if (/^[a-z]$/i.test(event.key)) return shift + event.key.toLowerCase();
  const letter = /^\p{L}$/u.test(event.key) && /^Key([A-Z])$/.exec(event.code);
  if (letter) return shift + letter[1].toLowerCase();
  return event.key.startsWith("Arrow") ? shift + event.key : event.key === "=" ? "+" : event.key;
}

/** Whether a key that is held down may act again and again; an answer acts once. */
export const mayRepeat = (key) => key.includes("Arrow") || key === "+" || key === "-";

/** Whether a press belongs to what has the focus: text that is typed, a list that is open, a button that is pressed. */
export function isTaken(event) {
  const on = event.target;
  if (on.closest("dialog, input, textarea")) return true;
  if (on.closest("select")) return !["PageUp", "PageDown"].includes(event.key) && !event.key.startsWith("F");
  const acts = event.key === "Enter" || event.key === " ";
  if (on.closest("[role=tab]")) return acts || event.key.startsWith("Arrow");
  return Boolean(acts && on.closest("button, summary, a"));
}

const HELP = [
  [
    "Everywhere",
    [
      [", .", "previous, next view"],
      ["\u232b", "undo, across all views; also Ctrl+Z"],
      ["N", "add a class"],
      ["?", "this list"],
    ],
  ],
  [
    "Label",
    [
      ["1\u20139 0 A\u2026", "the class with that key; shift for more"],
      ["Space", "accept the suggestion"],
      ["S", "skip"],
      ["U", "unsure"],
      ["F", "flag, or take the flag off"],
      ["+ \u2212", "zoom; also the wheel, or two fingers"],
      ["Z", "one to one, or all of it"],
      ["Arrows", "move an enlarged image; also drag it"],
      ["/", "find a class"],
    ],
  ],
  [
    "Grid, Map",
    [
      ["Arrows", "move; with shift, take the range along"],
      ["Space", "take an image out, or in again; also a click"],
      ["Click, \u21e7 click", "take out one, or a range"],
      ["Enter", "give the class to all that are left in"],
      ["1\u20139 0 A\u2026", "Grid: the class of those taken out; Map: the class of those left in"],
      ["PgUp PgDn", "Grid: previous, next class"],
      ["Esc", "take all in again"],
    ],
  ],
  [
    "Doubtful, Review, Labeled",
    [
      ["Arrows", "move"],
      ["Enter", "keep the label"],
      ["Space", "take the suggestion"],
      ["1\u20139 0 A\u2026", "give this class"],
    ],
  ],
];

/** The list of keys, for the help: [heading, [[keys, meaning], ...]]. */
export const helpLines = () => HELP;
