// What the page is told: questions, and the stream of events. Asks for the
// token where one is wanted, and keeps it for this tab only.

import { byId } from "./dom.js";

// A token is needed: without one there is nothing to show.
byId("ask").addEventListener("cancel", (event) => event.preventDefault());

const KEPT = "reveille-token";
/** So long may the stream be silent, in milliseconds. */
const SILENT = 25_000;

class Wanted extends Error {}

let asked = null;

function token() {
  return sessionStorage.getItem(KEPT);
}

/** Resolves when there is another token than the one that did not do. */
function ask() {
  if (asked) return asked;
  const dialog = byId("ask");
  byId("ask-said").textContent = token() ? "That was not it." : "";
  sessionStorage.removeItem(KEPT);
  byId("token").value = "";
  dialog.showModal();
  asked = new Promise((resolve) => {
    byId("ask-form").addEventListener("submit", () => {
      sessionStorage.setItem(KEPT, byId("token").value.trim());
      asked = null;
      resolve();
    }, { once: true });
  });
  return asked;
}

async function get(path, options = {}) {
  const headers = { ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const answer = await fetch(path, { ...options, headers, cache: "no-store" });
  if (answer.status === 401) throw new Wanted();
  return answer;
}

/** An answer's status and JSON; asks for the token if it takes one. */
export async function question(path, options) {
  for (;;) {
    try {
      const answer = await get(path, options);
      const text = await answer.text();
      try {
        return { ok: answer.ok, data: JSON.parse(text) };
      } catch {
        return { ok: false, data: { error: text.trim() || `status ${answer.status}` } };
      }
    } catch (error) {
      if (!(error instanceof Wanted)) throw error;
      await ask();
    }
  }
}

/** Tells `hear(event, data)` of everything, for ever; `state(connected, why)`. */
export async function follow(hear, state) {
  for (let pause = 500; ; pause = Math.min(pause * 2, 10_000)) {
    const stop = new AbortController();
    let why = "The connection ended";
    let alive;
    const heard = () => {
      clearTimeout(alive);
      alive = setTimeout(() => stop.abort(), SILENT);
    };
    try {
      heard();
      const answer = await get("/api/v1/events", { signal: stop.signal });
      if (!answer.ok) throw new Error((await answer.text()).trim());
      state(true, "");
      pause = 500;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        heard();
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) tell(block, hear);
      }
    } catch (error) {
      if (error instanceof Wanted) {
        clearTimeout(alive);
        state(false, "The token is missing");
        await ask();
        pause = 250;
        continue;
      }
      if (error.name !== "TypeError" && error.name !== "AbortError") why = error.message;
    }
    clearTimeout(alive);
    state(false, why);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

function tell(block, hear) {
  const lines = block.split("\n");
  const part = (name) => lines.find((line) => line.startsWith(name))?.slice(name.length);
  const [event, data] = [part("event: "), part("data: ")];
  if (event && data) hear(event, JSON.parse(data));
}
