// What an administrator can change. Each change is confirmed in a dialog that says what it does, and how long it lasts.

import { byId, clock, el, keyed, once, say, table } from "./dom.js";
import { ask } from "./link.js";
import { worded } from "./tests.js";

/** Asks for a confirmation; `act` does it, and may throw an Error, which is shown. */
function confirm({ title, text, body, yes, act }) {
  const dialog = byId("confirm");
  say(byId("confirm-title"), title);
  byId("confirm-text").replaceChildren(...[].concat(text));
  byId("confirm-body").replaceChildren(...(body ? [].concat(body) : []));
  say(byId("confirm-yes"), yes);
  say(byId("confirm-problem"), "");
  byId("confirm-form").onsubmit = async (event) => {
    event.preventDefault();
    byId("confirm-yes").disabled = true;
    try {
      await act();
      dialog.close();
    } catch (error) {
      say(byId("confirm-problem"), error.message);
    } finally {
      byId("confirm-yes").disabled = false;
    }
  };
  byId("confirm-no").onclick = () => dialog.close();
  dialog.showModal();
  (body ? dialog.querySelector("input") : byId("confirm-no"))?.focus();
}

export function changesOf(state) {
  const lasting = () => (state.get("overrides")?.durable ? "It outlives a restart of this router." : "It ends when this router is restarted.");
  const elsewhere = () => (state.get("router").target === "kubernetes" ? " Other replicas of the router are not told, and through a Service it may be another that gets this: forward a port to one of them." : "");

  function drain(model, end) {
    const left = model.endpoints.filter((other) => other.url !== end.url && !other.drained && other.health !== "down");
    const shared = state.models().filter((other) => other !== model && other.endpoints.some((one) => one.url === end.url));
    confirm(end.drained ? {
      title: `Put ${end.url} back?`, text: "It gets requests again as soon as it is well.", yes: "Put back",
      act: () => ask("/api/paddock/drain", { endpoint: end.url, drained: false }),
    } : {
      title: `Drain ${end.url}?`,
      text: [
        el("span", {}, "It gets no new requests; those that it has go on. "),
        left.length ? "" : el("b", { class: "bad" }, `No other endpoint of ${model.name} takes requests: they go to another tier where there is one, and are refused otherwise. `),
        shared.length ? el("b", {}, `It also serves ${shared.map((one) => one.name).join(", ")}. `) : "",
        el("span", {}, `This lasts until somebody puts it back, or the stack no longer has it. ${lasting()}${elsewhere()}`),
      ],
      yes: "Drain", act: () => ask("/api/paddock/drain", { endpoint: end.url, drained: true }),
    });
  }

  function weights(alias, now) {
    const local = state.models().filter((model) => model.tier === "local").map((model) => model.name);
    const names = [...new Set([...Object.keys(now.weights), ...local])];
    const inputs = new Map(names.map((name, place) => [name, el("input", { type: "number", id: `weight-${place}`, min: 0, max: 1000000, step: "any", required: true, value: now.weights[name] ?? 0 })]));
    const read = () => Object.fromEntries(names.map((name) => [name, Number(inputs.get(name).value)]).filter(([name, weight]) => weight > 0 || name in now.weights));
    const outcome = el("p", { role: "status" });
    const show = () => say(outcome, `Then: ${worded(read())}`);
    const set = (values) => { for (const name of names) inputs.get(name).value = values[name] ?? 0; show(); };
    const rows = names.flatMap((name, place) => [
      el("label", { for: `weight-${place}` }, name), inputs.get(name),
      el("button", { type: "button", class: "quiet", "aria-label": `All to ${name}`, onclick: () => set({ [name]: 1 }) }, "All here"),
    ]);
    for (const input of inputs.values()) input.addEventListener("input", show);
    const arms = Object.keys(now.weights);
    const swapped = () => ({ [arms[0]]: Number(inputs.get(arms[1]).value), [arms[1]]: Number(inputs.get(arms[0]).value) });
    const contract = now.contract ?? now.weights;
    confirm({
      title: `Weights of ${alias}`,
      text: `New requests go to these models by weight. This lasts until the stack says something else of ${alias}, or lacks one of the models. ${lasting()}${elsewhere()}`,
      body: [
        el("div", { class: "weights" }, rows),
        el("p", { class: "buttons" },
          arms.length === 2 ? el("button", { type: "button", class: "quiet", onclick: () => set(swapped()) }, "Swap the two") : "",
          el("button", { type: "button", class: "quiet", onclick: () => set(contract) }, "As the stack says")),
        outcome,
      ],
      yes: "Change weights",
      act: () => {
        const wanted = read();
        const same = names.every((name) => (wanted[name] ?? 0) === (contract[name] ?? 0));
        return ask("/api/paddock/weights", { alias, weights: same ? null : wanted });
      },
    });
    show();
  }

  return { drain, weights };
}

export function showChanges(state, change) {
  const allowed = state.may("admin");
  byId("changes").hidden = byId("nav-changes").hidden = !allowed;
  const overrides = state.get("overrides");
  if (!allowed || !overrides) return;
  once(byId("overrides"), overrides, () => drawChanges(overrides));
}

function drawChanges(overrides) {
  const rows = [
    ...Object.entries(overrides.drained).map(([url, one]) => ({ what: `${url} is drained`, ...one })),
    ...Object.entries(overrides.weights).map(([alias, one]) => ({ what: `${alias}: ${worded(one.weights)} instead of ${worded(one.contract)}`, ...one })),
  ];
  byId("overrides").replaceChildren(rows.length
    ? table("Changes in force", [["What", (row) => row.what], ["By", (row) => row.by], ["Since", (row) => new Date(row.at * 1000).toLocaleString("en-GB")]], rows)
    : el("p", { class: "muted" }, "None: everything is as the stack says."));
  showAudit();
}

async function showAudit() {
  let entries = [];
  try {
    entries = (await ask("/api/paddock/audit?limit=100")).entries;
  } catch (error) {
    entries = [{ at: "", who: "", action: error.message, address: "" }];
  }
  keyed(byId("audit"), entries.map((entry, place) => ({ ...entry, key: entries.length - place })), (entry) => JSON.stringify(entry), (entry) => {
    const { at, who, action, address, key, ...details } = entry;
    return el("tr", {}, el("td", {}, at.replace("T", " ").replace("Z", "")), el("td", {}, who), el("td", {}, `${action} ${described(details)}`), el("td", {}, address));
  }, () => {});
}

const described = (details) => Object.entries(details)
  .map(([name, value]) => `${name} ${value && typeof value === "object" ? worded(value) : value ?? "as the stack says"}`).join(", ");

export const since = (unixSeconds) => `${new Date(unixSeconds * 1000).toLocaleDateString("en-GB")} ${clock(unixSeconds)}`;
