/** Requests to the server, all to where the page came from. */

const PATIENCE = 15_000; // milliseconds

/** What went wrong; `refused`: the server understood and said no, so that asking again is of no use. */
export class Problem extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
    this.refused = status >= 400 && status < 500 && ![401, 408, 429].includes(status);
  }
}

async function ask(address, options) {
  let answer, found;
  try {
    answer = await fetch(address, { ...options, signal: AbortSignal.timeout(PATIENCE) });
    found = await answer.json();
  } catch {
    // A body that is cut off, or no JSON, is a server that died or something between it and us.
    throw new Problem("The server does not answer.", answer?.ok ? 0 : (answer?.status ?? 0));
  }
  if (!answer.ok) throw new Problem(found.error ?? `The server says ${answer.status}.`, answer.status);
  return found;
}

/** GET; parameters that are null are left out. */
export function get(path, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value != null);
  return ask(given.length ? `${path}?${new URLSearchParams(given)}` : path, {});
}

/** POST of JSON; goes on when the tab is closed meanwhile. */
export function post(path, body) {
  return ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    keepalive: true,
  });
}
