// The table of targets. A row is made once and its cells are changed in place,
// so that focus and selection stay where they are.

import { byId, make, plural, say, short, spell } from "./dom.js";

/** More rows than this are not shown: the filter finds them. */
const MOST = 200;
const ORDER = { failing: 0, waking: 1, warm: 2, cold: 3 };
const LABELS = ["Target", "State", "Replicas", "Endpoints", "In flight", "Held", "Demand", "KEDA was told"];

const targets = new Map();
const rows = new Map();
let selected = null;
let isDue = false;

export const known = (name) => targets.get(name);

export function put(list, isFirst) {
  if (isFirst) targets.clear();
  for (const target of list) targets.set(target.name, { ...target, seen: Date.now() });
  soon();
}

export function remove(names) {
  names.forEach((name) => targets.delete(name));
  soon();
}

export function select(name) {
  selected = name;
  soon();
}

/** How many are in which state, in words. */
export function counts() {
  const by = {};
  for (const { state } of targets.values()) by[state] = (by[state] ?? 0) + 1;
  const parts = Object.keys(ORDER).filter((state) => by[state]).map((state) => `${by[state]} ${state}`);
  return `${plural(targets.size, "target")}${parts.length ? `: ${parts.join(", ")}` : ""}`;
}

/** Renders what has changed, once for all changes of a moment. By a timer: a
 *  page that is not in sight may have no frames for a long time. */
export function soon() {
  if (isDue) return;
  isDue = true;
  setTimeout(() => {
    isDue = false;
    render();
  }, 50);
}

function render() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (target) => words.every((word) => `${target.name} ${target.state}`.toLowerCase().includes(word));
  const found = [...targets.values()].filter(fits);
  found.sort((a, b) => ORDER[a.state] - ORDER[b.state] || (a.name < b.name ? -1 : 1));
  const shown = found.slice(0, MOST);
  const body = byId("rows");
  const names = new Set(shown.map((target) => target.name));
  for (const [name, row] of rows) {
    if (names.has(name)) continue;
    row.remove();
    rows.delete(name);
  }
  shown.forEach((target, at) => {
    const row = rows.get(target.name) ?? newRow(target.name);
    fill(row, target);
    if (body.children[at] !== row) body.insertBefore(row, body.children[at] ?? null);
  });
  const hidden = found.length - shown.length;
  const none = targets.size ? "No target fits the filter." : "There are no targets.";
  say(byId("more"), hidden ? `${hidden} more: filter to see them.` : found.length ? "" : none);
}

function newRow(name) {
  const row = make("tr", "");
  row.setAttribute("role", "row");
  const link = make("a", "", name);
  link.href = `#${encodeURIComponent(name)}`;
  const head = make("th", "", link);
  head.scope = "row";
  head.setAttribute("role", "rowheader");
  row.append(head);
  LABELS.slice(1).forEach((label, at) => {
    const cell = make("td", at >= 1 && at <= 4 ? "number" : "", make("span", ""));
    cell.dataset.label = label;
    cell.setAttribute("role", "cell");
    row.append(cell);
  });
  rows.set(name, row);
  return row;
}

function fill(row, target) {
  const cells = [...row.children].slice(1).map((cell) => cell.firstChild);
  const ejected = target.endpoints.filter((endpoint) => endpoint.ejected).length;
  const { replicas, bounds } = target;
  const texts = [
    target.reason ? `${target.state}: ${target.reason}` : target.state,
    replicas ? `${replicas.ready} of ${replicas.wanted}` : bounds ? `${bounds.min} to ${bounds.max}` : "–",
    ejected ? `${target.endpoints.length} (${ejected} ejected)` : String(target.endpoints.length),
    String(target.inFlight),
    String(target.held),
    `${short(target.concurrency)} at once, ${short(target.requestRate)}/s`,
    told(target),
  ];
  texts.forEach((text, at) => say(cells[at], text));
  cells[0].className = `state ${target.state}`;
  row.classList.toggle("selected", target.name === selected);
  const link = row.firstChild.firstChild;
  if (target.name === selected) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

function told({ told: said, scaledObject, bounds, seen }) {
  if (bounds?.paused) return `paused: ${bounds.paused}`;
  if (!said) return scaledObject ? "nothing lately" : "no ScaledObject";
  const what = said.error ? `an error: ${said.error}` : said.active ? "active" : "not active";
  const values = Object.entries(said.metrics).map(([name, value]) => `${name} = ${short(value)}`);
  const ago = spell(said.agoSeconds + (Date.now() - seen) / 1000);
  return [`${what}, ${ago} ago`, ...values].join("; ");
}

/** Up and down move along the targets. */
byId("rows").addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const row = event.target.closest("tr");
  if (!step || !row) return;
  const next = step > 0 ? row.nextElementSibling : row.previousElementSibling;
  next?.querySelector("a").focus();
  event.preventDefault();
});
byId("filter").addEventListener("input", soon);
