/** What decides which image comes next, in words. */
import { count, whole } from "./dom.js";

const ORDER = {
  strategy: "In the order of the strategy.",
  diverse: "In an order that covers all kinds of images, until there is a model.",
  random: "In random order, until there is a model.",
};

const PHASES = {
  starting: () => "The learner is starting.",
  embedding: (it) => `The learner computes features: ${whole(it.done)} of ${whole(it.total)}.`,
  waiting: (it) => `The learner waits. ${it.message}`,
  ready: () => "",
  failed: (it) => `The learner has failed: ${it.message}`,
};

/** 0.2 -> "20%", 0.005 -> "0.5%". */
export const share = (part) => `${+(100 * part).toFixed(2)}%`;

/** The order of the images, and how far the learner is. */
export function order({ ordered_by: by, random_share: random, learner: it, model, strategy, scanning }) {
  return [
    ORDER[by],
    random ? `${share(random)} of the images are drawn at random, to measure the accuracy.` : null,
    scanning ? `Looking through the folder: ${whole(scanning.done)} of ${whole(scanning.total)}.` : null,
    it ? PHASES[it.phase](it) : null,
    model ? `Model of ${count(model.n_labeled, "label")}, strategy ${strategy}.` : null,
  ]
    .filter(Boolean)
    .join(" ");
}
