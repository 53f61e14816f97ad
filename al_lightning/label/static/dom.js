/** Small helpers for elements. Text from users (names of classes, files, people) goes in as text only. */

/** @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);

/**
 * An element with attributes, listeners (`onclick: f`) and children; strings become text.
 * An attribute that is false or null is left out.
 */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((each) => each != null));
  return made;
}

/** The same in SVG; its text is text, too. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Say something to a screen reader. */
export function announce(text) {
  $("said").textContent = text;
}

/** Show a line that stays until it is dismissed or the next one comes; null takes it away. */
export function notify(text) {
  $("notice").hidden = text === null;
  $("notice").firstElementChild.textContent = text ?? "";
}

/** An image that is asked for at once; `side` sets what is reserved for it. */
export function picture(address, name) {
  return el("img", { src: address, alt: name, draggable: "false" });
}

const WHOLE = new Intl.NumberFormat("en");
/** 12345 -> "12,345". */
export const whole = (n) => WHOLE.format(n);
/** 0.9234 -> "92.3%". */
export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}%`;
/** 1 -> "1 label", 2 -> "2 labels". */
export const count = (n, word) => `${whole(n)} ${word}${n === 1 ? "" : "s"}`;
