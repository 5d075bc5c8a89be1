// A conversation with a model of the fleet, as any client of the router would have it. It stays in this tab.

import { byId, el, keyed, known, say, seconds, usd } from "./dom.js";
import { headers, problemOf } from "./link.js";
import { costOf } from "./requests.js";

const COST_TRIES = 8;
let conversation = [];
let aborter = null;

export function startPlayground() {
  byId("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!aborter) send();
  });
  byId("stop").addEventListener("click", () => aborter?.abort());
  byId("clear").addEventListener("click", clearPlayground);
  byId("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("ask").requestSubmit();
  });
}

export function clearPlayground() {
  aborter?.abort();
  conversation = [];
  byId("talk").replaceChildren();
  byId("facts").replaceChildren();
}

/** Offers names to ask for; what was chosen stays chosen. */
export function offerModels(names) {
  const select = byId("model"), chosen = select.value;
  keyed(select, names, (name) => name, (name) => el("option", { value: name }, name), () => {});
  if (chosen && names.includes(chosen)) select.value = chosen;
}

function said(who, role) {
  const text = el("div", { class: "text" });
  byId("talk").append(el("div", { class: `said ${role}` }, el("b", {}, who), text));
  return text;
}

async function send() {
  const prompt = byId("prompt").value.trim(), model = byId("model").value, stream = byId("stream").checked;
  if (!prompt || !model) return;
  conversation.push({ role: "user", content: prompt });
  said("You", "you").textContent = prompt;
  byId("prompt").value = "";
  const answer = said(model, "model");
  aborter = new AbortController();
  busy(true);
  const began = performance.now();
  let text = "", first = null, reply = null, usage = null, problem = "";
  const show = (more) => {
    first ??= (performance.now() - began) / 1000;
    const talk = byId("talk"), atEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 60;
    answer.append(more);
    text += more;
    if (atEnd) talk.scrollTop = talk.scrollHeight;
  };
  try {
    reply = await fetch("/v1/chat/completions", {
      method: "POST", signal: aborter.signal,
      headers: headers({ "Content-Type": "application/json", ...(byId("private").checked ? { "X-Paddock-Privacy": "private" } : {}) }),
      body: JSON.stringify({
        model, messages: conversation, stream, max_tokens: Number(byId("max-tokens").value) || undefined,
        temperature: Number(byId("temperature").value), ...(stream ? { stream_options: { include_usage: true } } : {}),
      }),
    });
    if (!reply.ok) throw new Error((await problemOf(reply)).text);
    if (stream) usage = await readStream(reply.body, show);
    else {
      const body = await reply.json();
      usage = body.usage;
      show(body.choices?.[0]?.message?.content ?? "");
    }
  } catch (error) {
    problem = error.name === "AbortError" ? "stopped" : error.message;
    answer.append(el("p", { class: "bad" }, problem === "stopped" ? "Stopped." : `Not answered: ${problem}`));
  }
  if (text) conversation.push({ role: "assistant", content: text });
  else conversation.pop();
  aborter = null;
  busy(false);
  say(byId("talk-status"), problem ? `The answer ended: ${problem}` : `${model} has answered`);
  facts(reply, usage, first, (performance.now() - began) / 1000);
}

async function readStream(body, show) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "", usage = null;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return usage;
    text += value;
    const lines = text.split("\n");
    text = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data:")) continue;
      const data = line.slice(5).trim();
      if (!data || data === "[DONE]") continue;
      const piece = JSON.parse(data);
      if (piece.error) throw new Error(piece.error.message ?? String(piece.error));
      usage = piece.usage ?? usage;
      const more = piece.choices?.[0]?.delta?.content;
      if (typeof more === "string" && more) show(more);
    }
  }
}

function busy(now) {
  byId("send").disabled = now;
  byId("stop").disabled = !now;
  if (now) byId("stop").focus();
  else byId("prompt").focus();
  say(byId("talk-status"), now ? "Waiting for the answer" : "");
}

/** What the router's headers say of an answer. The cost of a stream is known after its end only, from the list of requests. */
function facts(reply, usage, first, total, tries = 0) {
  const header = (name) => reply?.headers.get(`X-Paddock-${name}`);
  const cost = header("Cost-Usd") ?? costOf(header("Request-Id"));
  const pairs = [
    ["Model", header("Model")], ["Tier", header("Tier")], ["Endpoint", header("Endpoint")],
    ["Why there", header("Reason") ?? (reply?.ok ? "the only tier that has it" : null)], ["Cache", header("Cache")],
    ["First token", first === null ? null : seconds(first)], ["Total", reply ? seconds(total) : null],
    ["Tokens", usage ? `${usage.prompt_tokens ?? "?"} + ${usage.completion_tokens ?? "?"}` : null],
    ["Cost", known(cost) ? usd(Number(cost)) : null], ["Request", header("Request-Id")],
  ].filter(([, value]) => known(value) && value !== "");
  byId("facts").replaceChildren(...pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  if (reply && !known(cost) && tries < COST_TRIES && !aborter) setTimeout(() => aborter || facts(reply, usage, first, total, tries + 1), 400);
}
