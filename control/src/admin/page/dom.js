// Making elements. Texts are always texts: nothing that comes from a manifest
// or from a client is ever read as HTML.

export const byId = (id) => document.getElementById(id);

/** An element with a class, and texts or elements in it. */
export function make(name, className, ...content) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

/** The same in SVG, with attributes. */
export function draw(name, attributes, ...content) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...content);
  return element;
}

/** Sets a text only if it is another one: readers are told of changes. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const plural = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

/** 12 s, 5 min, 3 h. */
export function spell(seconds) {
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** The time of day here, of Unix time. */
export const clock = (unix) => new Date(unix * 1000).toLocaleTimeString([], { hour12: false });

/** A number with no more digits than it needs. */
export const short = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(2));
