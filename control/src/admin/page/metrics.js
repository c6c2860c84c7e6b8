// The metric explorer: a query, its value and its last minutes, and the series
// that are stored.

import { byId, make, say } from "./dom.js";
import { question } from "./feed.js";
import { lines } from "./plot.js";

const SECONDS = 300;
const STEP = 10;
/** How often an open query is asked again, in milliseconds. */
const EACH = 5_000;

let query = null;
let points = new Map();
let from = 0;

const label = (metric) => {
  const { __name__: name = "", ...rest } = metric;
  const pairs = Object.entries(rest).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return pairs.length ? `${name}{${pairs.join(", ")}}` : name || "value";
};

/** What the query is at a time: [name, value] of each series. */
async function values(text, at) {
  const asked = new URLSearchParams({ query: text, time: at.toFixed(3) });
  const answer = await question(`/api/v1/query?${asked}`);
  const { data, ...rest } = answer.data;
  if (data?.resultType === "scalar") return { ...rest, found: [["value", data.result[1]]] };
  return { ...rest, found: (data?.result ?? []).map(({ metric, value }) => [label(metric), value[1]]) };
}

function keep(at, found) {
  for (const [name, value] of found) {
    if (!points.has(name)) points.set(name, []);
    points.get(name).push([at, Number(value)]);
  }
  for (const [name, list] of points) {
    list.sort(([one], [other]) => one - other);
    while (list.length && list[0][0] < at - SECONDS) list.shift();
    if (!list.length) points.delete(name);
  }
}

async function evaluate(isNew) {
  const text = query;
  if (!text) return;
  const now = Date.now() / 1000;
  const answer = await values(text, now);
  if (text !== query) return;
  if (answer.status !== "success") {
    say(byId("query-said"), answer.error ?? "no answer");
    byId("query-result").replaceChildren();
    byId("query-plot").replaceChildren();
    if (isNew) query = null;
    return;
  }
  const age = answer.newestAgeSeconds;
  const newest = age === undefined ? "no points" : `the newest point is ${age.toFixed(1)} s old`;
  say(byId("query-said"), `${answer.found.length} results; ${answer.matchedSeries} series matched, ${newest}.`);
  const items = answer.found.slice(0, 50).map(([name, value]) => make("li", "", name, make("span", "value", value)));
  byId("query-result").replaceChildren(...items);
  if (isNew) {
    for (let back = STEP; back <= SECONDS && text === query; back += STEP) {
      const { found } = await values(text, now - back);
      if (text === query) for (const [name, value] of found) {
        if (!points.has(name)) points.set(name, []);
        points.get(name).push([now - back, Number(value)]);
      }
    }
    if (text !== query) return;
  }
  keep(now, answer.found);
  const plot = lines(points, SECONDS);
  byId("query-plot").replaceChildren(...(plot ? [plot] : []));
}

function begin(text) {
  query = text.trim() || null;
  points = new Map();
  if (query) evaluate(true).catch(() => say(byId("query-said"), "No answer: is it still there?"));
  else say(byId("query-said"), "");
}

async function list(isNew) {
  if (isNew) from = 0;
  const asked = new URLSearchParams({ limit: "50", from: String(from) });
  const name = byId("series-name").value.trim();
  if (name) asked.set("name", name);
  const { ok, data } = await question(`/api/v1/series?${asked}`);
  if (!ok) {
    say(byId("series-said"), data.error);
    return;
  }
  const items = data.series.map(({ labels, points: count, last }) => {
    const text = label(labels);
    const button = make("button", "", text);
    button.type = "button";
    button.addEventListener("click", () => {
      byId("query").value = text;
      begin(text);
      byId("query").focus();
    });
    return make("li", "", button, make("span", "value", last?.value ?? "ended"), ` ${count} points`);
  });
  if (isNew) byId("series-list").replaceChildren(...items);
  else byId("series-list").append(...items);
  from = data.next ?? 0;
  byId("series-more").hidden = data.next === undefined;
  const count = byId("series-list").children.length;
  say(byId("series-said"), count ? `${count} series` : "No series is stored under that name.");
}

const listing = (isNew) => list(isNew).catch(() => say(byId("series-said"), "No answer: is it still there?"));

byId("query-form").addEventListener("submit", (event) => {
  event.preventDefault();
  begin(byId("query").value);
});
byId("series-form").addEventListener("submit", (event) => {
  event.preventDefault();
  listing(true);
});
byId("series-more").addEventListener("click", () => listing(false));
byId("series").addEventListener("toggle", () => byId("series").open && listing(true));
setInterval(() => {
  if (query && !document.hidden) evaluate(false).catch(() => {});
}, EACH);
