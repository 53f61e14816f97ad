/** The images that come next, loaded and decoded before they are wanted. */
import { get } from "./api.js";
import { picture } from "./dom.js";
import { isUndoing, unsent } from "./outbox.js";
import { shared } from "./state.js";

const AHEAD = 16; // images on hand; asked for again when a quarter of them is gone
const LOW = 12;
const RENEW = 120_000; // milliseconds; the server keeps images for ten minutes from when it last heard of them
const MAGNIFIED = 12; // times its pixels, at most; zoom goes on from there

/** Entries {item, image, failed}, the first one is before the eyes. */
export const queue = [];
/** Other views with images, {items, drop}: which ones they have, and what takes some of them away. */
export const elsewhere = [];
let renewed = 0; // when the server last heard what is on hand; by the clock, which goes on while the machine sleeps
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

/** Take images away, here and in the other views: they were answered, or are somebody else's now. */
export function drop(items) {
  const gone = new Set(items);
  for (const item of gone) answered.add(item);
  for (const each of elsewhere) each.drop(gone);
  const rest = queue.filter((each) => !answered.has(each.item.item));
  queue.splice(0, queue.length, ...rest);
}

/** Start anew, for somebody else. */
export function empty() {
  queue.length = 0;
  renewed = 0;
  ended = false;
}

/** Load again what could not be loaded; the server was away, perhaps. */
export function reload() {
  for (const entry of queue) if (entry.failed) load(entry);
}

/** Images that are open on this page. */
const open = () => [...queue.map((each) => each.item.item), ...elsewhere.flatMap((each) => each.items())];

/**
 * Ask for what is missing, and every other minute all the same, so that what is open here stays so. Not while nobody
 * sees the page: then others may have it.
 * @returns {Promise<Set<number>>} images that were open here and are somebody else's, or answered; they are gone
 */
export async function refill() {
  const lost = new Set();
  const isDue = queue.length <= LOW || Date.now() - renewed > RENEW;
  if (asking || shared.annotator === null || isUndoing() || !isDue) return lost;
  asking = true;
  answered = new Set();
  const { id } = shared.annotator;
  const before = new Set(open());
  try {
    // The server is asked for one at least. It keeps what there is no room for, and gives it first the next time.
    const n = Math.max(1, AHEAD - queue.length);
    const have = [...new Set([...before, ...unsent()])].join() || null;
    const found = await get("/api/next", { annotator: id, n, have });
    if (id !== shared.annotator.id) return lost;
    renewed = Date.now();
    for (const item of found.lost ?? []) if (before.has(item) && !answered.has(item)) lost.add(item);
    drop(lost);
    const known = new Set([...open(), ...unsent()]);
    const fresh = found.items.filter((each) => !known.has(each.item) && !answered.has(each.item));
    queue.push(...fresh.slice(0, Math.max(0, AHEAD - queue.length)).map(entryOf));
    ended = found.done;
  } catch {
    // The next look at the state says what is wrong, and asks again.
  } finally {
    asking = false;
  }
  return lost;
}
