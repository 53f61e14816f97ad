/** What the whole page knows: the project's state, who labels, and which key and color a class has. */
import { get, post } from "./api.js";
import { CLASS_KEYS } from "./keys.js";
import { openOutbox } from "./outbox.js";

const EVERY = 2000; // milliseconds between two looks at the state
const COLORS = 10; // of style.css; from the eleventh class on they come again, and the key tells classes apart
const NAME = "al-label/name";

/** `project`: the answer of /api/state; `annotator`: {id, name}, null until it is known. */
export const shared = { project: { classes: [], annotators: [], problems: [] }, annotator: null, unreachable: null };

/** Fires `state` (something of the project changed), `classes` (one was added) and `annotator`. */
export const changes = new EventTarget();
const fire = (name) => changes.dispatchEvent(new Event(name));

/** Take a state, or a part of one, as a reply brings it. */
export function take(part) {
  const before = shared.project.classes.map((each) => each.id).join();
  Object.assign(shared.project, part);
  if (shared.project.classes.map((each) => each.id).join() !== before) fire("classes");
  fire("state");
}

/** Ask for the state now. Never throws: what is wrong is in `shared.unreachable`. */
async function refresh() {
  try {
    const found = await get("/api/state");
    shared.unreachable = null;
    take(found);
  } catch (problem) {
    shared.unreachable = problem;
    fire("state");
  }
}

/** The first state, then what an earlier page left unsent, then a look every other second while the page is seen. */
export async function begin() {
  await refresh();
  while (shared.unreachable) {
    await new Promise((done) => setTimeout(done, EVERY));
    await refresh();
  }
  openOutbox(shared.project.project);
  const look = () => document.hidden || refresh();
  setInterval(look, EVERY);
  document.addEventListener("visibilitychange", look);
}

/** The name that was given in this browser, or null. */
export const knownName = () => localStorage.getItem(NAME);

/** Label under a name from now on. */
export async function signIn(name) {
  shared.annotator = await post("/api/annotators", { name });
  localStorage.setItem(NAME, shared.annotator.name);
  fire("annotator");
}

/** Add a class, or find the one of that name; everybody sees it from then on. */
export async function addClass(name) {
  const made = await post("/api/classes", { name });
  if (!shared.project.classes.some((each) => each.id === made.id))
    take({ classes: [...shared.project.classes, { ...made, n: 0 }] });
  return made;
}

const place = (id) => shared.project.classes.findIndex((each) => each.id === id);

/** Name of a class; an id that the page has not heard of yet is shown as a number. */
export const nameOf = (id) => shared.project.classes[place(id)]?.name ?? `class ${id}`;

/** Which of the ten colors a class has. */
export const colorOf = (id) => Math.max(0, place(id)) % COLORS;

/** The key of a class, such as `1` or `shift+q`; undefined for the few that have none. */
export const keyOf = (id) => CLASS_KEYS[place(id)];

/** The class of a key; undefined where it has none. */
export const classOf = (key) => shared.project.classes[CLASS_KEYS.indexOf(key)]?.id;
