// Models and endpoints: what runs, and how it is.

import { byId, count, el, keyed, percent, rate, say, seconds } from "./dom.js";

const MANY = 6;

function stateOf(model) {
  const ends = model.endpoints;
  const kinds = ends.map((end) => endState(end, model.tier)[0]);
  const good = kinds.filter((kind) => kind === "good").length;
  if (model.asleep) return ["off", "asleep"];
  if (!ends.length) return ["bad", "no endpoint"];
  const text = `${good} of ${ends.length} in service`;
  if (good === ends.length) return ["good", text];
  return [kinds.includes("good") || kinds.includes("warn") ? "warn" : "bad", text];
}

function endState(end, tier) {
  if (end.drained) return ["off", "drained"];
  if (end.health === "down") return ["bad", "down"];
  if (end.breaker === "open") return ["bad", "breaker open"];
  if (end.breaker === "half_open") return ["warn", "being tried"];
  // An API that is paid for is known by its answers only.
  return end.health === "up" || tier === "commercial" ? ["good", "up"] : ["warn", "not asked yet"];
}

function mark(node, [kind, text]) {
  node.className = `state s-${kind}`;
  say(node, text);
}

export function showFleet(state, change) {
  const rows = state.models().flatMap((model) => [
    { key: `${model.tier}/${model.name}`, model },
    { key: `${model.tier}/${model.name}/ends`, model, ends: true },
  ]);
  keyed(byId("models"), rows, (row) => row.key, (row) => (row.ends ? endsRow() : modelRow(row.model)), (node, row) => {
    if (row.ends) updateEnds(node, row.model, state, change);
    else updateModel(node, row.model);
  });
}

function modelRow(model) {
  const cells = Array.from({ length: 8 }, () => el("td", { class: "n" }));
  return el("tr", { class: "model" },
    el("th", { scope: "row" }, model.name, " ", el("span", { class: `tier c-${model.tier}` }, model.tier), el("span", { class: "sub" })),
    el("td", {}, el("span")), cells);
}

function updateModel(node, model) {
  say(node.querySelector(".sub"), model.model === model.name ? model.engine : `${model.model} · ${model.engine}`);
  mark(node.children[1].firstElementChild, stateOf(model));
  const first = model.timeToFirstTokenSeconds;
  const values = [count(model.active), count(model.waiting), rate(model.requestsPerMinute), rate(model.tokensPerSecond),
    rate(model.answerTokensPerSecond), seconds(first.p50), seconds(first.p95), percent(model.errorRate)];
  values.forEach((value, place) => say(node.children[place + 2], value));
}

function endsRow() {
  return el("tr", { class: "ends" }, el("td", { colspan: 10 }));
}

function updateEnds(node, model, state, change) {
  const cell = node.firstElementChild;
  const folded = model.endpoints.length > MANY;
  if (cell.dataset.folded !== String(folded)) {
    cell.dataset.folded = String(folded);
    const list = el("ul", { "aria-label": `Endpoints of ${model.name}, ${model.tier}` });
    cell.replaceChildren(folded ? el("details", {}, el("summary", {}), list) : list);
  }
  if (folded) say(cell.querySelector("summary"), `${model.endpoints.length} endpoints`);
  keyed(cell.querySelector("ul"), model.endpoints, (end) => end.url, (end) =>
    el("li", {}, el("span"), el("code", {}, end.url), el("span", { class: "muted" }),
      el("button", { type: "button", class: "quiet", hidden: true }), el("span", { class: "why", hidden: true })),
  (item, end) => {
    const [badge, , load, button, why] = item.children;
    mark(badge, endState(end, model.tier));
    say(load, `${end.outstanding} in flight${end.limit ? ` of at most ${end.limit}` : ""}`);
    button.hidden = !state.may("admin");
    say(button, end.drained ? "Put back" : "Drain");
    button.setAttribute("aria-label", `${end.drained ? "Put back" : "Drain"} ${end.url}`);
    button.onclick = () => change.drain(model, end);
    const problem = end.drained ? "" : end.problem ?? "";
    why.hidden = !problem;
    say(why, problem);
  });
}
