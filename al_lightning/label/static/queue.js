/** The images that come next, loaded and decoded before they are wanted. */
import { get } from "./api.js";
import { picture } from "./dom.js";
import { unsent } from "./outbox.js";
import { shared } from "./state.js";

const AHEAD = 16; // images on hand; asked for again when a quarter of them is gone
const LOW = 12;
const MAGNIFIED = 12; // times its pixels, at most; zoom goes on from there

/** Entries {item, image, failed}, the first one is before the eyes. */
export const queue = [];
/** Each says which images another view shows: the server should not give these here, too. */
export const elsewhere = [];
let answered = new Set(); // images, since the server was last asked
let asking = false;
let ended = false;

/** Whether the server has nothing left to ask for. */
export const isDone = () => ended;

function load(entry) {
  entry.failed = false;
  entry.image = picture(entry.item.url, entry.item.name);
  entry.ready = entry.image.decode().then(
    () => {
      // What is tiny is easier to recognize below the size of the stage.
      entry.image.style.maxWidth = `${entry.image.naturalWidth * MAGNIFIED}px`;
      entry.image.style.maxHeight = `${entry.image.naturalHeight * MAGNIFIED}px`;
      return true;
    },
    () => {
      entry.failed = true;
      return false;
    },
  );
}

function entryOf(item) {
  const made = { item };
  load(made);
  return made;
}

/** Put images before all others: those of an undone answer. */
export function bringBack(items) {
  const back = new Set(items.map((each) => each.item));
  for (const item of back) answered.delete(item);
  const rest = queue.filter((each) => !back.has(each.item.item));
  queue.splice(0, queue.length, ...items.map(entryOf), ...rest);
}

/** Take images away that were answered, here or in another view. */
export function drop(items) {
  for (const item of items) answered.add(item);
  const rest = queue.filter((each) => !answered.has(each.item.item));
  queue.splice(0, queue.length, ...rest);
}

/** Start anew, for somebody else. */
export function empty() {
  queue.length = 0;
  ended = false;
}

/** Load again what could not be loaded; the server was away, perhaps. */
export function reload() {
  for (const entry of queue) if (entry.failed) load(entry);
}

/** Images that the server should not give: those on hand, and those whose answers are on their way. */
const had = () =>
  new Set([...queue.map((each) => each.item.item), ...elsewhere.flatMap((each) => each()), ...unsent()]);

/** Ask for what is missing. @returns {Promise<boolean>} whether anything came */
export async function refill() {
  if (asking || shared.annotator === null || queue.length > LOW) return false;
  asking = true;
  answered = new Set();
  const { id } = shared.annotator;
  try {
    const found = await get("/api/next", { annotator: id, n: AHEAD - queue.length, have: [...had()].join() || null });
    if (id !== shared.annotator.id) return false;
    const known = had();
    const fresh = found.items.filter((each) => !known.has(each.item) && !answered.has(each.item));
    queue.push(...fresh.map(entryOf));
    ended = found.done;
    return fresh.length > 0;
  } catch {
    return false; // the next look at the state says what is wrong, and asks again
  } finally {
    asking = false;
  }
}
