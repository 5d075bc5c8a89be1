// The router's stream of events, and requests to it. The key is kept by this tab alone, and goes out as a header:
// no other page's request can carry it, as it could a cookie.

const KEY = "paddock-key";
const STALE_MS = 12000;
const LONGEST_WAIT_MS = 15000;

export const signedIn = () => sessionStorage.getItem(KEY) !== null;
export const signIn = (key) => sessionStorage.setItem(KEY, key);
export const signOut = () => sessionStorage.removeItem(KEY);

export function headers(more = {}) {
  const key = sessionStorage.getItem(KEY);
  return key === null ? more : { ...more, Authorization: `Bearer ${key}` };
}

/** The error that an answer tells, in either dialect of the router's. */
export async function problemOf(reply) {
  let body = null;
  try { body = await reply.json(); } catch { /* no JSON: the status says it */ }
  const error = body?.error;
  const text = typeof error === "string" ? error : error?.message;
  return { status: reply.status, text: text || `the router answered ${reply.status}` };
}

/** Asks for a change, or a list. Throws an Error with the router's own words. */
export async function ask(path, body) {
  const options = body === undefined ? { headers: headers() }
    : { method: "POST", headers: headers({ "Content-Type": "application/json" }), body: JSON.stringify(body) };
  const reply = await fetch(path, options);
  if (!reply.ok) throw new Error((await problemOf(reply)).text);
  return reply.json();
}

/**
 * Follows the stream until `stop` is called, and comes back by itself.
 * `on.event(name, data)` gets each event, `on.state(state, detail)` how the link is:
 * live, stale, lost (with the seconds until the next try), refused (with the router's problem).
 */
export function follow(on) {
  let aborter = null, timer = null, stopped = false, failures = 0, heardAt = 0;

  async function run() {
    timer = null;
    aborter = new AbortController();
    heardAt = Date.now();
    try {
      const reply = await fetch("/api/paddock/live", { headers: headers(), signal: aborter.signal, cache: "no-store" });
      if (stopped) return;
      if (reply.status === 401 || reply.status === 403 || reply.status === 429) {
        on.state("refused", await problemOf(reply));
        return;
      }
      if (!reply.ok) throw new Error((await problemOf(reply)).text);
      await read(reply.body);
    } catch { /* the network, or our own abort: told below */ }
    if (!stopped) again();
  }

  async function read(stream) {
    const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done || stopped) return;
      heardAt = Date.now();
      failures = 0;
      on.state("live");
      text += value;
      let end;
      while ((end = text.indexOf("\n\n")) >= 0) {
        const lines = text.slice(0, end).split("\n");
        text = text.slice(end + 2);
        const name = lines.find((line) => line.startsWith("event: "))?.slice(7);
        const data = lines.find((line) => line.startsWith("data: "))?.slice(6);
        if (name && data) on.event(name, JSON.parse(data));
      }
    }
  }

  function again() {
    const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** failures++);
    on.state("lost", Math.ceil(wait / 1000));
    timer = setTimeout(run, wait);
  }

  const watch = setInterval(() => {
    if (timer === null && Date.now() - heardAt > STALE_MS) {
      on.state("stale");
      aborter?.abort();
    }
  }, 1000);

  run();
  return { stop() { stopped = true; clearTimeout(timer); clearInterval(watch); aborter?.abort(); } };
}
