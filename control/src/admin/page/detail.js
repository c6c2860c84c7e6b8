// The selected target: why it is so, what comes next, and its last 15 minutes.

import { byId, make, say, spell } from "./dom.js";
import { question } from "./feed.js";
import { timeline } from "./plot.js";

let name = null;
let past = null;
/** Seconds that were told before the past was. */
let early = [];
let isAsking = false;
let asksAgain = false;

/** Shows that target from now on; none if it is null. */
export async function show(target) {
  name = target;
  past = null;
  early = [];
  byId("detail-body").hidden = true;
  say(byId("detail-title"), target ?? "No target is selected");
  if (!target) return;
  const { ok, data } = await question(`/api/v1/targets/${path(target)}/timeline`);
  if (name !== target) return;
  if (ok) {
    past = data;
    early.forEach(append);
  }
  await refresh();
}

const path = (target) => target.split("/").map(encodeURIComponent).join("/");

/** A second of a target has passed. */
export function add(target, row) {
  if (target !== name) return;
  if (row && past) append(row);
  else if (row) early.push(row);
  if (past) refresh();
}

/** Unless it is there already. */
function append(row) {
  const last = past.rows.at(-1)?.[0] ?? 0;
  if (row[0] > last) past.rows.push(row);
}

/** Asks again why it is so; at most one question is under way. */
export async function refresh() {
  if (!name) return;
  if (isAsking) {
    asksAgain = true;
    return;
  }
  isAsking = true;
  const asked = name;
  try {
    const { ok, data } = await question(`/api/v1/targets/${path(asked)}/explain`);
    if (name === asked) fill(ok, data);
  } catch {
    // The line above says that the connection is gone.
  } finally {
    isAsking = false;
  }
  if (asksAgain) {
    asksAgain = false;
    refresh();
  }
}

function fill(ok, data) {
  byId("detail-body").hidden = false;
  if (!ok) {
    say(byId("why"), data.error);
    say(byId("next"), "");
    return;
  }
  say(byId("detail-title"), `${data.name} is ${data.state}`);
  say(byId("why"), `Why: ${data.why}`);
  say(byId("next"), `Next: ${data.next}`);
  list(byId("demand"), data.demand.map(({ source, says, active }) => [source, says, active ? "active" : ""]));
  const told = data.told.map(({ about, said, agoSeconds }) => [about, `${said}, ${spell(agoSeconds)} ago`, ""]);
  list(byId("told"), told.length ? told : [["–", "nothing lately", ""]]);
  if (past) plot();
}

function list(element, lines) {
  const parts = lines.flatMap(([term, text, className]) => [make("dt", "", term), make("dd", className, text)]);
  element.replaceChildren(...parts);
}

function plot() {
  past.now = Math.floor(Date.now() / 1000);
  while (past.rows.length && past.rows[0][0] < past.now - past.seconds) {
    const row = past.rows.shift();
    for (const gauge of Object.keys(past.before)) past.before[gauge] = row[past.columns.indexOf(gauge)];
  }
  const { figures, words } = timeline(past);
  byId("timeline").replaceChildren(...figures);
  say(byId("timeline-text"), words);
}
