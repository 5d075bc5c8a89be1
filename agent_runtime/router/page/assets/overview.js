// What is broken and what to do, the figures of the last minute, and two lines of the last ten.

import { byId, count, el, keyed, known, large, percent, rate, say, seconds, svg, usd } from "./dom.js";

const WORDS = { error: "Broken", warning: "Look at this", note: "Note", fine: "All is well" };

/** A text in which `code` is set as code. */
export function worded(text) {
  return text.split("`").map((part, place) => (place % 2 ? el("code", {}, part) : part));
}

export function showProblems(state) {
  const found = state.get("problems") ?? [];
  const fine = [{ level: "fine", what: "every endpoint in service takes requests.", fix: "" }];
  const keyOf = (one) => `${one.level}|${one.what}|${one.fix}`;
  keyed(byId("problems"), found.length ? found : fine, keyOf, (one) =>
    el("li", { "data-level": one.level },
      el("p", {}, el("span", { class: "level" }, `${WORDS[one.level]}: `), worded(one.what)),
      one.fix ? el("p", { class: "fix" }, worded(one.fix)) : null), () => {});
  const errors = found.filter((one) => one.level === "error").length;
  say(byId("problem-count"), found.length ? `${found.length} things to look at, ${errors} of them broken` : "All is well");
  document.title = `${errors ? `(${errors}) ` : ""}Paddock ${state.get("router")?.stack ?? ""}`;
}

export function showFigures(state) {
  const totals = state.get("totals");
  if (!totals) return;
  const cache = state.get("cache"), budget = state.get("budget"), costs = state.get("costs");
  const asked = cache.hits + cache.misses;
  const figures = [
    ["requests a minute", rate(totals.requestsPerMinute)],
    ["tokens a second", rate(totals.tokensPerSecond)],
    ["first token, half sooner", seconds(totals.timeToFirstTokenSeconds.p50)],
    ["first token, 95 % sooner", seconds(totals.timeToFirstTokenSeconds.p95)],
    ["in flight", count(totals.active)],
    ["waiting", count(totals.waiting)],
    ["failed in this minute", percent(totals.errorRate)],
    ["answered from the cache", state.get("router").cache ? percent(asked ? cache.hits / asked : null) : "off", `${large(cache.entries)} kept`],
    ["spent this month", usd(costs?.total?.usd ?? budget.spentUsd)],
  ];
  keyed(byId("figures"), figures, ([name]) => name, ([name]) =>
    el("dl", { class: "figure" }, el("dt", {}, name), el("dd", {}, el("span"), " ", el("small"))),
  (node, [, value, more]) => {
    say(node.querySelector("span"), value);
    say(node.querySelector("small"), more ?? "");
  });
}

export function showLines(state) {
  const history = state.get("history");
  if (!history) return;
  const lines = [
    ["Requests a minute", history.requestsPerMinute],
    ["Tokens a second", history.tokensPerSecond],
  ];
  const minutes = Math.round((history.requestsPerMinute.length * history.stepSeconds) / 60);
  keyed(byId("lines"), lines, ([name]) => name, ([name]) => el("div", { class: "card" }, el("h3", {}, name)), (node, [name, values]) => {
    const highest = Math.max(...values);
    const label = `${name}, last ${minutes} minutes: now ${rate(values.at(-1))}, at most ${rate(highest)}`;
    node.querySelector("svg")?.remove();
    node.append(line(values, highest, label, minutes));
  });
}

function line(values, highest, label, minutes) {
  const width = 600, height = 110, left = 38, bottom = 92, top = 10;
  const x = (place) => left + ((width - left) * place) / (values.length - 1);
  const y = (value) => bottom - ((bottom - top) * value) / (highest || 1);
  const points = values.map((value, place) => `${x(place).toFixed(1)},${y(value).toFixed(1)}`).join(" L");
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    [0, 0.5, 1].map((share) => svg("line", { class: "grid", x1: left, x2: width, y1: y(highest * share || share), y2: y(highest * share || share) })),
    svg("text", { x: left - 6, y: bottom + 4, "text-anchor": "end" }, "0"),
    known(highest) && highest > 0 ? svg("text", { x: left - 6, y: top + 4, "text-anchor": "end" }, rate(highest)) : null,
    svg("text", { x: left, y: height - 3 }, `${minutes} min ago`),
    svg("text", { x: width, y: height - 3, "text-anchor": "end" }, "now"),
    svg("path", { class: "area", d: `M${x(0)},${bottom} L${points} L${x(values.length - 1)},${bottom} Z` }),
    svg("path", { class: "stroke", d: `M${points}` }));
}
