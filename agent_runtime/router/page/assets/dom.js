// Builds the page's nodes. Text goes in as text only: nothing here, and nothing that uses it, ever parses markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}

export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
export const byId = (id) => document.getElementById(id);

/** Sets a node's text, where it is another: what does not change is not read out again. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Draws only where `what` is something else than the last time. */
export function once(node, what, draw) {
  const text = JSON.stringify(what);
  if (node.drawn === text) return;
  node.drawn = text;
  draw();
}

/** Forgets everything that was drawn. */
export function empty(node) {
  node.replaceChildren();
  node.known?.clear();
  node.drawn = undefined;
}

/** Keeps one child of `parent` for each item, in order: nodes, and with them focus and selection, stay where they can. */
export function keyed(parent, items, keyOf, create, update) {
  const known = (parent.known ??= new Map());
  const wanted = new Set();
  let next = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    if (wanted.has(key)) continue;
    wanted.add(key);
    let node = known.get(key);
    if (!node) known.set(key, (node = create(item)));
    update(node, item);
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
  }
  for (const [key, node] of known) {
    if (wanted.has(key)) continue;
    known.delete(key);
    node.remove();
  }
}

const DASH = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const known = (value) => value !== null && value !== undefined;
export const count = (value) => (known(value) ? whole.format(value) : DASH);
export const rate = (value) => (known(value) ? (value >= 100 ? whole : short).format(value) : DASH);
export const large = (value) => (known(value) ? (value < 10000 ? whole : compact).format(value) : DASH);
export const percent = (value) => (known(value) ? `${short.format(value * 100)} %` : DASH);

export function seconds(value) {
  if (!known(value)) return DASH;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return value < 100 ? `${value.toFixed(2)} s` : `${Math.round(value)} s`;
}

export function usd(value) {
  if (!known(value)) return DASH;
  if (value === 0) return "$0";
  const sign = value < 0 ? "−" : "";
  const size = Math.abs(value);
  if (size >= 1) return `${sign}$${size.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  if (size < 1e-6) return `${sign}<$0.000001`;
  return `${sign}$${size.toFixed(Math.min(7, 1 - Math.floor(Math.log10(size))))}`;
}

export const clock = (unixSeconds) => new Date(unixSeconds * 1000).toLocaleTimeString("en-GB");

/** A table with its headings; `columns` are [heading, value of a row, whether it is a number]. */
export function table(caption, columns, rows) {
  const head = columns.map(([title, , number]) => el("th", { scope: "col", class: number ? "n" : null }, title));
  const body = rows.map((row) =>
    el("tr", {}, columns.map(([, value, number], place) =>
      el(place ? "td" : "th", { scope: place ? null : "row", class: number ? "n" : null }, value(row)))));
  return el("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: 0 },
    el("table", {}, el("caption", { class: "unseen" }, caption), el("thead", {}, el("tr", {}, head)), el("tbody", {}, body)));
}
