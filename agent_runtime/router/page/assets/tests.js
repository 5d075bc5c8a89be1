// Names that clients ask for, the models behind them, and how the arms of each A/B test do.

import { byId, count, el, known, once, percent, rate, seconds, table, usd } from "./dom.js";

const shareOf = (weights, name) => {
  const sum = Object.values(weights).reduce((a, b) => a + b, 0);
  return sum ? (weights[name] ?? 0) / sum : 0;
};

export function showAliases(state, change) {
  const aliases = state.get("aliases") ?? {}, report = state.get("experiments") ?? {};
  const found = report.experiments ?? {}, overrides = state.get("overrides")?.weights ?? {};
  const holder = byId("aliases");
  once(holder, [aliases, report, overrides, state.may("admin")], () => {
    const focused = document.activeElement?.dataset?.alias;
    const names = [...Object.keys(aliases), ...Object.keys(found).filter((name) => !(name in aliases))];
    holder.replaceChildren(...names.map((alias) => card(alias, aliases[alias], found[alias], overrides[alias], state, change)));
    if (report.problem) holder.prepend(el("p", { class: "bad" }, report.problem));
    if (!names.length) holder.append(el("p", { class: "card empty" }, "The stack has no aliases. Models are asked for by their own names."));
    if (focused) [...holder.querySelectorAll("button")].find((button) => button.dataset.alias === focused)?.focus();
  });
}

function card(alias, now, test, override, state, change) {
  const arms = now ? Object.keys(now.weights) : Object.keys(test.arms);
  const declared = test?.declared;
  const notes = [];
  if (override) notes.push(`Weights set by hand by ${override.by}, ${new Date(override.at * 1000).toLocaleString("en-GB")}; the contract says ${worded(now.contract ?? now.weights)}.`);
  if (!now) notes.push("No longer an alias of the contract; what was recorded is kept.");
  for (const ruling of declared?.rulings ?? []) notes.push(`${ruling.arm} was ${ruling.kind}: ${ruling.reason}`);
  return el("div", { class: "card" },
    el("div", { class: "head" }, el("h3", {}, alias),
      now && state.may("admin") ? el("button", { type: "button", class: "quiet", "data-alias": alias, onclick: () => change.weights(alias, now, state) }, "Change weights…") : null),
    arms.length > 1 || test ? armsTable(alias, arms, now, test) : el("p", {}, "All requests go to ", el("b", {}, arms[0] ?? "nothing"), "."),
    notes.map((note) => el("p", { class: "muted" }, note)),
    declared ? verdicts(declared) : null);
}

function armsTable(alias, arms, now, test) {
  const of = (arm) => test?.arms?.[arm] ?? {};
  return table(`Arms of ${alias}`, [
    ["Arm", (arm) => arm],
    ["Weight now", (arm) => (now ? percent(shareOf(now.weights, arm)) : "–"), true],
    ["Requests", (arm) => count(of(arm).requests), true],
    ["Failed", (arm) => percent(of(arm).errorRate), true],
    ["TTFT p50", (arm) => seconds(of(arm).timeToFirstTokenSeconds?.p50), true],
    ["Answer p50", (arm) => seconds(of(arm).durationSeconds?.p50), true],
    ["p95", (arm) => seconds(of(arm).durationSeconds?.p95), true],
    ["Tokens an answer", (arm) => rate(of(arm).completionTokens?.mean), true],
    ["Cost an answer", (arm) => usd(of(arm).usd?.mean), true],
    ["Votes", (arm) => (of(arm).feedback?.count ? `${rate(of(arm).feedback.mean)} of ${count(of(arm).feedback.count)}` : "–"), true],
  ], arms);
}

function verdicts(declared) {
  const found = Object.entries(declared.comparisons ?? {}).flatMap(([arm, metrics]) => {
    const one = metrics?.[declared.metric];
    return known(one) ? [el("li", {}, `${arm} beside ${declared.baseline} by ${declared.metric}: ${one.verdict}`)] : [];
  });
  return found.length ? el("ul", {}, found) : el("p", { class: "muted" }, `Compared by ${declared.metric} with ${declared.baseline}: too few answers to say yet.`);
}

/** Weights as a person says them. */
export function worded(weights) {
  return Object.keys(weights).map((name) => `${name} ${percent(shareOf(weights, name))}`).join(", ");
}
