// Plots, as SVG: bars for what is counted, steps for what is so.

import { draw, make, short } from "./dom.js";

const WIDTH = 900;
const HEIGHT = 90;
const LINES = ["line", "line second", "line third", "line fourth"];

/** A figure with its caption; `text` is what it says to who cannot see it. */
function figure(caption, text, ...shapes) {
  const svg = draw("svg", {
    class: "plot",
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": text,
  }, ...shapes);
  return make("figure", "", svg, make("figcaption", "", caption));
}

const highest = (values) => values.reduce((most, value) => (value > most ? value : most), 0);

/** The last 15 minutes of a target, and the same in words. */
export function timeline(past) {
  const from = past.now - past.seconds;
  const x = (at) => ((at - from) / past.seconds) * WIDTH;
  const step = WIDTH / past.seconds;
  const column = (name) => past.columns.indexOf(name);
  const values = (name) => past.rows.map((row) => row[column(name)]);
  const sum = (name) => values(name).reduce((all, value) => all + value, 0);

  const requests = values("requests");
  const most = highest(requests);
  const bars = past.rows.filter((row) => row[column("requests")] > 0).map((row) => {
    const height = (row[column("requests")] / most) * (HEIGHT - 6);
    return draw("rect", { class: "bar", x: x(row[0]), y: HEIGHT - height, width: Math.max(step, 2), height });
  });
  const wakes = past.rows.filter((row) => row[column("activations")] > 0).map((row) =>
    draw("line", { class: "wake", x1: x(row[0]), x2: x(row[0]), y1: 0, y2: HEIGHT }));
  const steps = (name, at, top) => {
    const y = (value) => HEIGHT - 3 - (value / Math.max(top, 1)) * (HEIGHT - 9);
    let path = `M0 ${y(past.before[name])}`;
    for (const row of past.rows) path += `H${x(row[0])}V${y(row[column(name)])}`;
    return draw("path", { class: LINES[at], d: `${path}H${WIDTH}` });
  };
  const top = (...names) => highest(names.flatMap((name) => [past.before[name], ...values(name)]));
  const load = top("inFlight", "held");
  const size = top("replicas", "endpoints");
  const now = (name) => (past.rows.length ? past.rows.at(-1)[column(name)] : past.before[name]);

  const words = `Requests: ${sum("requests")}, at most ${most} in a second. Held: at most ${top("held")}. ` +
    `Activations: ${sum("activations")}. Cold starts: ${sum("coldStarts")}. ` +
    `Now replicas wanted: ${now("replicas")}, endpoints: ${now("endpoints")}.`;
  const figures = [
    figure(`Requests per second, at most ${most}; a line marks each activation`,
      `Requests per second, at most ${most}; activations: ${sum("activations")}`, ...bars, ...wakes),
    figure(`In flight (solid) and held (dashed), at most ${load}`,
      `In flight and held requests, at most ${load}`, steps("inFlight", 0, load), steps("held", 1, load)),
    figure(`Endpoints (solid) and replicas wanted (dashed), at most ${size}`,
      `Endpoints and replicas, at most ${size}`, steps("endpoints", 0, size), steps("replicas", 1, size)),
  ];
  return { figures, words };
}

/** Values of series over time: `points` are [time, value] lists by name. */
export function lines(points, seconds) {
  const shown = [...points].slice(0, LINES.length);
  const all = shown.flatMap(([, list]) => list.map(([, value]) => value)).filter(Number.isFinite);
  if (!all.length) return null;
  const now = highest(shown.flatMap(([, list]) => list.map(([at]) => at)));
  const low = Math.min(0, ...all);
  const top = Math.max(low + 1e-9, ...all);
  const x = (at) => ((at - now + seconds) / seconds) * WIDTH;
  const y = (value) => HEIGHT - 3 - ((value - low) / (top - low)) * (HEIGHT - 9);
  const paths = shown.map(([, list], at) => {
    const good = list.filter(([, value]) => Number.isFinite(value));
    return draw("path", { class: LINES[at], d: good.map(([time, value], nth) => `${nth ? "L" : "M"}${x(time)} ${y(value)}`).join("") });
  });
  const range = `from ${short(low)} to ${short(top)}`;
  const rest = points.size > shown.length ? `; the first ${shown.length} of ${points.size} series` : "";
  return figure(`The last ${seconds / 60} minutes, ${range}${rest}`, `A plot of the last ${seconds / 60} minutes, ${range}`, ...paths);
}
