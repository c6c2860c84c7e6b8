// The page: puts its parts together. What it shows is read-only.

import { byId, clock, make, say } from "./dom.js";
import { follow } from "./feed.js";
import * as detail from "./detail.js";
import * as targets from "./targets.js";
import "./metrics.js";

/** Events that are shown. */
const MOST = 200;
/** Events are read out at most this often, in milliseconds. */
const READ_EACH = 4_000;

let selected = null;
let readAt = 0;

function hear(event, data) {
  if (event === "targets") targets.put(data.targets, data.first);
  if (event === "changed") {
    targets.put(data.map(({ target }) => target), false);
    data.forEach(({ target, row }) => detail.add(target.name, row));
  }
  if (event === "gone") targets.remove(data);
  if (event === "events") {
    byId("events").replaceChildren(...data.toReversed().map(item));
  }
  if (event === "happened") happened(data);
  say(byId("line"), targets.counts());
  if (event === "targets" && !selected) choose();
}

function item(event) {
  const about = event.target ? `${event.target}: ` : "";
  const times = event.times ? ` (${event.times} times)` : "";
  const line = make("li", event.kind, make("time", "", clock(event.at)), `${about}${event.text}${times}`);
  line.dataset.id = event.id;
  return line;
}

function happened(event) {
  const list = byId("events");
  list.querySelector(`[data-id="${Number(event.id)}"]`)?.remove();
  list.prepend(item(event));
  while (list.children.length > MOST) list.lastChild.remove();
  if (Date.now() - readAt > READ_EACH) {
    readAt = Date.now();
    say(byId("announce"), `${event.target ?? ""} ${event.text}`);
  }
  if (event.target === selected) detail.refresh();
}

function state(isConnected, why) {
  byId("line").classList.toggle("broken", !isConnected);
  if (!isConnected) say(byId("line"), `${why}. What is shown is old; trying again …`);
}

/** The target that the address names. */
function choose() {
  let name = null;
  try {
    name = decodeURIComponent(location.hash.slice(1)) || null;
  } catch {
    // Not of ours.
  }
  if (name && !name.includes("/")) name = null;
  selected = name;
  targets.select(name);
  detail.show(name).catch(() => {});
}

function theme() {
  const root = document.documentElement;
  const isDark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  const label = () => say(byId("theme"), isDark() ? "Light" : "Dark");
  const kept = localStorage.getItem("reveille-theme");
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  label();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("reveille-theme", root.dataset.theme);
    label();
  });
}

theme();
window.addEventListener("hashchange", choose);
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest("input");
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  byId("filter").focus();
});
// What is told in seconds goes on.
setInterval(() => {
  if (document.hidden) return;
  targets.soon();
  detail.refresh();
}, 2_000);
choose();
follow(hear, state);
