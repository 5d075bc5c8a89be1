// Where the last requests went and why. Prompts and answers never come here.

import { byId, clock, count, el, known, say, seconds, svg, usd } from "./dom.js";

const KEPT = 50;
const NAMES = { local: "local", cloud: "cloud", commercial: "commercial", cache: "from the cache", refused: "refused", here: "answered by the router" };
let paused = false;
let shown = [];
let waiting = [];

export function startRequests() {
  const button = byId("pause");
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    if (!paused) flush();
  });
}

export function forgetRequests() {
  shown = [];
  waiting = [];
  byId("decisions").replaceChildren();
  render();
}

export function addRequests(decisions, whole) {
  if (whole) forgetRequests();
  waiting.push(...decisions);
  waiting = waiting.slice(-KEPT);
  if (!paused || whole) flush(whole);
}

const placeOf = (one) => (one.kind === "cache" ? "cache" : one.tier || one.kind);

function flush(whole) {
  const body = byId("decisions");
  for (const one of waiting) body.prepend(row(one, !whole));
  shown = [...shown, ...waiting].slice(-KEPT);
  waiting = [];
  while (body.children.length > KEPT) body.lastElementChild.remove();
  render();
}

function render() {
  byId("no-decisions").hidden = shown.length > 0;
  const counts = {};
  for (const one of shown) counts[placeOf(one)] = (counts[placeOf(one)] ?? 0) + 1;
  const order = Object.keys(NAMES).filter((name) => counts[name]);
  const shares = byId("shares");
  if (!order.length) { shares.replaceChildren(); return; }
  let x = 0;
  const bars = order.map((name) => {
    const width = (counts[name] / shown.length) * 1000;
    const bar = svg("rect", { class: `t-${name}`, x, width, height: 14, y: 0 });
    x += width;
    return bar;
  });
  const label = `Of the last ${shown.length} requests: ${order.map((name) => `${counts[name]} ${NAMES[name]}`).join(", ")}`;
  shares.replaceChildren(
    svg("svg", { viewBox: "0 0 1000 14", preserveAspectRatio: "none", height: 14, role: "img", "aria-label": label }, bars),
    el("ul", { class: "legend" }, order.map((name) => el("li", {}, swatch(name), `${NAMES[name]} ${counts[name]}`))));
}

export const swatch = (name) =>
  svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { class: `t-${name}`, width: 10, height: 10, rx: 2 }));

function row(one, fresh) {
  const [kind, result] = resultOf(one.status);
  const tier = one.tier ? el("span", { class: `tier c-${one.tier}` }, one.tier) : null;
  return el("tr", { class: fresh ? "fresh" : null },
    el("td", {}, el("time", { datetime: new Date(one.at * 1000).toISOString() }, clock(one.at))),
    el("td", {}, one.model || "–"),
    el("td", {}, tier ?? "–"),
    el("td", { class: "reason" }, `${one.reason || reasonOf(one.kind)}${one.insteadOf ? `; instead of ${one.insteadOf}` : ""}`),
    el("td", {}, el("span", { class: `state s-${kind}` }, result)),
    el("td", { class: "n" }, seconds(one.firstByteSeconds)),
    el("td", { class: "n" }, seconds(one.seconds)),
    el("td", { class: "n" }, known(one.promptTokens) ? `${count(one.promptTokens)} + ${count(one.completionTokens)}` : "–"),
    el("td", { class: "n" }, usd(one.usd)),
    el("td", {}, one.key || "–"),
    el("td", {}, one.path));
}

function reasonOf(kind) {
  return { only: "the only tier that has it", refused: "refused before it was sent", here: "no model was needed" }[kind] ?? kind;
}

function resultOf(status) {
  if (status < 400) return ["good", String(status)];
  if (status === 499) return ["off", "client left"];
  return [status < 500 ? "warn" : "bad", String(status)];
}

/** What the router booked for a request, once it is known. */
export const costOf = (id) => [...shown, ...waiting].find((one) => one.id === id)?.usd;
