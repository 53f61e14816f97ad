/** Answers and their undoing, whichever view they come from. */
import { announce, count, notify } from "./dom.js";
import { outbox, put } from "./outbox.js";
import { drop } from "./queue.js";
import { shared, take } from "./state.js";

const past = []; // what this page did: {action, back}

/** Forget what was done: somebody else labels now. */
export const forget = () => past.splice(0);

/**
 * Give answers, all of one key press; the page goes on at once.
 * @param {string} source - of the contract: page, grid, doubtful, review or map
 * @param {{item: number, kind: string, class?: number}[]} answers
 * @param {number} since - when the images were shown, of performance.now()
 * @param {() => void} back - brings the images back before the eyes, when this is undone
 */
export function act(source, answers, since, back) {
  const seconds = Math.round((performance.now() - since) / 10) / 100;
  const body = { annotator: shared.annotator.id, seconds, answers, source };
  drop(answers.filter((each) => !each.kind.endsWith("flag")).map((each) => each.item));
  const action = put("/api/answers", body, (reply, problem) => {
    if (problem) forgetOne(action);
    else take(reply.state);
  });
  past.push({ action, back });
}

/** @param {(items: object[]) => void} bring - shows images of an action that an earlier page did */
export function undo(bring) {
  if (shared.annotator === null) return;
  const last = past.pop();
  const body = { annotator: shared.annotator.id, target: last?.action ?? null };
  last?.back();
  if (last) announce("Undone.");
  put("/api/undo", body, (reply) => {
    if (reply?.state) take(reply.state);
    if (last || !reply) return;
    if (reply.items.length) bring(reply.items);
    notify(reply.undone ? `Undone: an answer of ${count(reply.items.length, "image")}.` : "There is nothing to undo.");
  });
}

function forgetOne(action) {
  const at = past.findIndex((each) => each.action === action);
  if (at >= 0) past.splice(at, 1);
}

outbox.addEventListener("refused", (event) => notify(`An answer was not taken: ${event.detail}`));
