// The month so far: the budget beyond the fleet, and what was spent on which tier, model and key.

import { byId, count, el, known, large, percent, svg, table, usd } from "./dom.js";
import { swatch } from "./requests.js";

const TIERS = ["local", "cloud", "commercial"];
const STATES = {
  open: ["good", "open"], soft: ["warn", "past the soft limit: commercial answers for high priority only"],
  closed: ["bad", "spent: paid tiers are closed"], unlimited: ["off", "no budget is set"],
};

export function showBudget(state) {
  const budget = state.get("budget"), costs = state.get("costs");
  if (!budget) return;
  const [kind, text] = STATES[budget.state] ?? ["off", budget.state];
  const limit = budget.monthlyUsd;
  const pairs = [
    ["Spent beyond the fleet", `${usd(budget.spentUsd)}${known(limit) ? ` of ${usd(limit)}` : ""}`],
    ["Set aside for requests in flight", usd(budget.reservedUsd)],
    ["Forecast to the month's end, beyond the fleet", usd(budget.forecastUsd)],
    ["All tiers this month", usd(costs?.total?.usd)],
    ["Forecast to the month's end, all tiers", usd(costs?.forecastUsd)],
    ["Saved, beside a commercial API", usd(costs?.total?.savedUsd)],
  ];
  for (const [group, what] of [["tiers", "Tier"], ["keys", "Key"]]) {
    for (const [name, one] of Object.entries(budget[group])) {
      if (known(one.monthlyUsd)) pairs.push([`${what} ${name}`, `${usd(one.spentUsd)} of ${usd(one.monthlyUsd)}`]);
    }
  }
  byId("budget").replaceChildren(
    el("p", {}, el("span", { class: `state s-${kind}` }, text)),
    limit ? bar(budget, limit) : "",
    el("dl", { class: "pairs" }, pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
}

export function showCache(state) {
  const cache = state.get("cache");
  if (!cache) return;
  const asked = cache.hits + cache.misses;
  const pairs = [
    ["Answered from the cache", `${count(cache.hits)} of ${count(asked)} (${percent(asked ? cache.hits / asked : null)})`],
    ["Answers kept", `${count(cache.entries)}, ${large(cache.sizeBytes / 1024)} KiB`],
    ["Tokens not computed again", large(cache.tokensSaved)],
  ];
  byId("cache").replaceChildren(
    el("p", { class: "muted" }, state.get("router")?.cache ? "Same request, same key, temperature 0 or a seed." : "Switched off in the stack's config."),
    el("dl", { class: "pairs" }, pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
}

function bar(budget, limit) {
  const most = Math.max(limit, budget.forecastUsd, budget.spentUsd) * 1.02;
  const x = (value) => (value / most) * 600;
  const label = `${usd(budget.spentUsd)} of ${usd(limit)} spent, forecast ${usd(budget.forecastUsd)}`;
  const soft = known(budget.softLimit) ? x(limit * budget.softLimit) : null;
  return svg("svg", { viewBox: "0 0 600 46", role: "img", "aria-label": label },
    svg("rect", { class: "track", x: 0.5, y: 4, width: x(limit), height: 18, rx: 4 }),
    svg("rect", { class: budget.spentUsd > limit ? "over" : "t-cloud", x: 0.5, y: 4, width: x(budget.spentUsd), height: 18, rx: 4 }),
    svg("rect", { class: "t-cloud held", x: x(budget.spentUsd), y: 4, width: x(budget.reservedUsd), height: 18 }),
    soft === null ? null : svg("line", { class: "mark", x1: soft, x2: soft, y1: 1, y2: 25, "stroke-dasharray": "3 3" }),
    soft === null ? null : svg("text", { x: Math.min(soft, 560), y: 40, "text-anchor": "end" }, `soft limit ${percent(budget.softLimit)}`),
    svg("line", { class: "mark", x1: x(budget.forecastUsd), x2: x(budget.forecastUsd), y1: 1, y2: 25 }),
    svg("text", { x: Math.max(2, Math.min(x(budget.forecastUsd), 545)), y: 40, "text-anchor": x(budget.forecastUsd) < 80 ? "start" : "middle" }, "forecast"));
}

export function showSpend(state) {
  const costs = state.get("costs");
  if (!costs) return;
  if (costs.problem) {
    byId("days").replaceChildren(el("p", { class: "bad" }, costs.problem));
    byId("spend").replaceChildren();
    return;
  }
  byId("days").replaceChildren(...days(costs));
  const groups = [["tier", "byTier"], ["model", "byModel"], ["key", "byKey"]];
  byId("spend").replaceChildren(...groups.map(([by, field]) =>
    el("div", { class: "card" }, el("h3", {}, `By ${by}`), table(`Spend by ${by} this month`, [
      [by, (row) => row[by] || "–"],
      ["requests", (row) => count(row.requests), true],
      ["tokens", (row) => large(row.promptTokens + row.completionTokens), true],
      ["spent", (row) => usd(row.usd), true],
      ["saved", (row) => usd(row.savedUsd), true],
    ], costs[field]))));
}

function days(costs) {
  const spent = new Map();
  for (const { day, tier, usd: amount } of costs.byDayAndTier) {
    if (!spent.has(day)) spent.set(day, {});
    spent.get(day)[tier] = amount;
  }
  const all = calendar(costs.from, costs.to);
  const highest = Math.max(0, ...[...spent.values()].map((tiers) => Object.values(tiers).reduce((a, b) => a + b, 0)));
  if (highest <= 0) return [el("p", { class: "muted" }, "Nothing was spent this month.")];
  const width = 600, left = 78, bottom = 140, top = 10, step = (width - left) / Math.max(all.length, 7);
  const tiers = TIERS.filter((tier) => [...spent.values()].some((one) => one[tier]));
  const bars = all.flatMap((day, number) => {
    let y = bottom;
    return TIERS.filter((tier) => spent.get(day)?.[tier]).map((tier) => {
      const height = ((bottom - top) * spent.get(day)[tier]) / highest;
      y -= height;
      return svg("rect", { class: `t-${tier}`, x: left + number * step + step * 0.12, y, width: step * 0.76, height },
        svg("title", {}, `${day} ${tier}: ${usd(spent.get(day)[tier])}`));
    });
  });
  const names = all.map((day, number) => (number % Math.max(1, Math.ceil(all.length / 8)) ? null
    : svg("text", { x: left + (number + 0.5) * step, y: bottom + 16, "text-anchor": "middle" }, day.slice(8))));
  const label = `Spend by day from ${costs.from} to ${costs.to}: at most ${usd(highest)} on a day, ${usd(costs.total.usd)} in all`;
  return [
    svg("svg", { viewBox: `0 0 ${width} 162`, role: "img", "aria-label": label },
      [0, 0.5, 1].map((share) => svg("line", { class: "grid", x1: left, x2: width, y1: bottom - (bottom - top) * share, y2: bottom - (bottom - top) * share })),
      svg("text", { x: left - 6, y: bottom + 4, "text-anchor": "end" }, "$0"),
      svg("text", { x: left - 6, y: top + 4, "text-anchor": "end" }, usd(highest)),
      bars, names),
    el("ul", { class: "legend" }, tiers.map((tier) => el("li", {}, swatch(tier), tier))),
  ];
}

function calendar(from, to) {
  const found = [];
  for (let at = new Date(`${from}T00:00:00Z`); at <= new Date(`${to}T00:00:00Z`); at.setUTCDate(at.getUTCDate() + 1)) {
    found.push(at.toISOString().slice(0, 10));
  }
  return found;
}
