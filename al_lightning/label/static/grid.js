/** Images that the model takes for one class, the surest first. */
import { get } from "./api.js";
import { $ } from "./dom.js";
import { makeScreen } from "./screen.js";
import { changes, shared } from "./state.js";

const load = (n, have, given, past) =>
  get("/api/grid", {
    annotator: shared.annotator.id,
    class: given,
    n,
    have: have.join() || null,
    past: past.join() || null,
  });

/** @param {(view: string) => void} open - shows a view */
export function makeGrid(open) {
  const screen = makeScreen($("view-grid"), { source: "grid", chosen: "rest", load, open: () => open("grid") });
  changes.addEventListener("annotator", () => screen.given() !== null && screen.restart());
  return {
    show: () => {
      if (screen.given() === null) screen.turn(1);
      else if (screen.isEmpty()) screen.renew();
    },
    key: (pressed) => {
      if (pressed === "PageDown") screen.turn(1);
      else if (pressed === "PageUp") screen.turn(-1);
      else return screen.key(pressed);
      return true;
    },
  };
}
