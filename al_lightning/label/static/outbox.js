/**
 * Answers on their way to the server. Each is kept in localStorage, a key of its own (so that two tabs lose nothing to
 * each other), until the server has acknowledged it; they are sent one after the other, in their order. Its `action`
 * makes sending twice harmless: after a lost acknowledgement, or from two tabs.
 */
import { post } from "./api.js";

const RETRY = 1000; // milliseconds

/** Fires `change`: an answer was added, acknowledged or refused, or the server came or went. */
export const outbox = new EventTarget();

let prefix = null;
let latest = 0;
let sending = false;
let trouble = null;
let timer = 0;
const waiting = new Map(); // action -> what to do with the reply, of the answers of this page

const changed = () => outbox.dispatchEvent(new Event("change"));
const keys = () =>
  Object.keys(localStorage)
    .filter((key) => prefix !== null && key.startsWith(prefix))
    .sort();

/** Take up what an earlier page of this project has left behind. */
export function openOutbox(project) {
  prefix = `al-label/${project}/out/`;
  latest = Math.max(0, ...keys().map((key) => parseInt(key.slice(prefix.length), 10)));
  changed();
  flush();
}

/** Whether it is known what an earlier page has left behind. */
export const isOpen = () => prefix !== null;

/** The bodies that are not acknowledged. */
export const pending = () => keys().map((key) => JSON.parse(localStorage.getItem(key)).body);

/** Images whose answers are on their way. */
export const unsent = () => pending().flatMap((body) => (body.answers ?? []).map((each) => each.item));

/** Whether an undo is on its way: until it is there, the server takes what the page shows again for answered. */
export const isUndoing = () => pending().some((body) => !body.answers);

/** What keeps answers from being saved: a Problem, or null. */
export const problem = () => trouble;

/**
 * Keep a request, and send it when its turn comes.
 * @param {(reply: object|null, problem: Error|null) => void} then - called once it is acknowledged or refused
 * @returns {string} its action
 */
export function put(path, body, then) {
  latest = Math.max(latest + 1, Date.now()); // ascending, also when the clock is set back
  const random = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
  const action = `${String(latest).padStart(14, "0")}-${random}`;
  waiting.set(action, then);
  localStorage.setItem(prefix + action, JSON.stringify({ path, body: { ...body, action } }));
  changed();
  flush();
  return action;
}

/** Send all that is kept, unless that goes on already. */
async function flush() {
  if (sending) return;
  sending = true;
  clearTimeout(timer);
  for (let key; (key = keys()[0]) !== undefined;) {
    const { path, body } = JSON.parse(localStorage.getItem(key));
    let reply = null;
    try {
      reply = await post(path, body);
      trouble = null;
    } catch (error) {
      trouble = error;
      if (!error.refused) break;
    }
    localStorage.removeItem(key);
    waiting.get(body.action)?.(reply, trouble);
    if (trouble) outbox.dispatchEvent(new CustomEvent("refused", { detail: trouble.message }));
    trouble = null;
    waiting.delete(body.action);
    changed();
  }
  sending = false;
  if (trouble) {
    timer = setTimeout(flush, RETRY);
    changed();
  }
}
