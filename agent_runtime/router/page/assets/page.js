// The page as a whole: who looks at it, the link to the router, and what is drawn anew when something has changed.

import { changesOf, showChanges, since } from "./changes.js";
import { byId, empty, say } from "./dom.js";
import { showFleet } from "./fleet.js";
import { ask, follow, signedIn, signIn, signOut } from "./link.js";
import { showBudget, showCache, showSpend } from "./money.js";
import { showFigures, showLines, showProblems } from "./overview.js";
import { clearPlayground, offerModels, startPlayground } from "./playground.js";
import { addRequests, forgetRequests, startRequests } from "./requests.js";
import { showAliases } from "./tests.js";

/** Everything that the router has told. */
class State {
  parts = new Map();
  get(name) { return this.parts.get(name); }
  models() { return [...this.parts].filter(([name]) => name.startsWith("model/")).map(([, model]) => model); }
  may(scope) { return this.get("you")?.scopes.includes(scope) ?? false; }
}

const DRAWN = ["stack", "who-name", "problems", "problem-count", "figures", "lines", "models", "shares", "budget", "days", "cache", "spend",
  "aliases", "overrides", "audit", "model", "foot", "confirm-text", "confirm-body"];

let state = new State();
let link = null;
let heardAt = null;
const change = changesOf({ get: (name) => state.get(name), models: () => state.models(), may: (scope) => state.may(scope) });

const draw = {
  problems: showProblems, totals: showFigures, history: showLines, budget: showBudget,
  cache(now) { showFigures(now); showCache(now); },
  costs(now) { showBudget(now); showSpend(now); showFigures(now); },
  aliases: (now) => showAliases(now, change), experiments: (now) => showAliases(now, change),
  overrides(now) { showChanges(now, change); showAliases(now, change); },
  router(now) { say(byId("stack"), `${now.get("router").stack} · ${now.get("router").target}`); foot(); },
  you(now) { who(now); showChanges(now, change); },
};

function foot() {
  const { startedAt, workers } = state.get("router");
  say(byId("foot"), `This router has been up since ${since(startedAt)}${workers > 1 ? `, with ${workers} workers` : ""}. Figures are of the last minute unless they say otherwise, and of this router alone.`);
}

function who(now) {
  const you = now.get("you");
  byId("who").hidden = !signedIn();
  say(byId("who-name"), `${you.name} (${you.scopes.join(", ")})`);
  byId("playground").hidden = !now.may("chat");
  byId("limited").hidden = true;
  for (const section of document.querySelectorAll('[data-scope="metrics"]')) section.hidden = false;
}

function onEvent(name, { set, gone, decisions }) {
  if (name === "hello") state.parts.clear();
  heardAt = new Date();
  for (const [key, value] of Object.entries(set)) state.parts.set(key, value);
  for (const key of gone) state.parts.delete(key);
  addRequests(decisions, name === "hello");
  const names = new Set(Object.keys(set).filter((key) => key in draw));
  for (const key of names) draw[key](state);
  if ([...Object.keys(set), ...gone].some((key) => key.startsWith("model/")) || "you" in set) {
    showFleet(state, change);
    offer();
  }
}

function offer() {
  const chats = state.models().filter((model) => model.capabilities?.includes("chat") ?? true).map((model) => model.name);
  const aliases = Object.keys(state.get("aliases") ?? {});
  offerModels([...new Set([...aliases, ...chats])]);
}

const ago = () => (heardAt ? ` What you see is from ${heardAt.toLocaleTimeString("en-GB")}.` : "");

function onState(name, detail) {
  const pill = byId("link");
  if (name === "refused") { refused(detail); return; }
  pill.dataset.state = name;
  say(pill, { live: "Live", stale: `Stale: the router says nothing.${ago()}`, lost: `Not connected, trying again.${ago()}` }[name]);
  if (name === "live" && byId("app").hidden) open();
}

function open() {
  byId("sign-in").hidden = true;
  byId("app").hidden = byId("nav").hidden = false;
  say(byId("sign-in-problem"), "");
}

function close() {
  link?.stop();
  state = new State();
  heardAt = null;
  forgetRequests();
  clearPlayground();
  byId("app").hidden = byId("nav").hidden = byId("who").hidden = true;
  // Nothing of what one key has seen is left for who comes next.
  for (const id of DRAWN) empty(byId(id));
  document.title = "Paddock";
  if (byId("confirm").open) byId("confirm").close();
}

async function refused(problem) {
  close();
  const pill = byId("link");
  pill.dataset.state = "lost";
  if (problem.status === 403) {
    // The key may not see figures; perhaps it may ask models.
    const names = await ask("/v1/models").then((list) => list.data.map((one) => one.id), () => null);
    if (names) { limited(problem, names); return; }
  }
  say(pill, "Not signed in");
  byId("sign-in").hidden = false;
  say(byId("sign-in-problem"), signedIn() || problem.status !== 401 ? problem.text : "");
  signOut();
  byId("key").focus();
}

/** The playground alone, for a key that may ask models and see nothing else. */
function limited(problem, names) {
  open();
  for (const section of document.querySelectorAll('[data-scope="metrics"], [data-scope="admin"]')) section.hidden = true;
  byId("nav").hidden = true;
  byId("playground").hidden = false;
  byId("who").hidden = false;
  byId("limited").hidden = false;
  say(byId("limited"), `You can use the playground. For everything else: ${problem.text}.`);
  say(byId("who-name"), "");
  byId("link").dataset.state = "live";
  say(byId("link"), "Playground only");
  offerModels(names);
}

function start() {
  link = follow({ event: onEvent, state: onState });
}

byId("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("key").value.trim());
  byId("key").value = "";
  start();
});
byId("sign-out").addEventListener("click", () => {
  signOut();
  close();
  start();
});
startRequests();
startPlayground();
start();
