// What comes by itself: the status of the run and the news that labels changed, from one stream for the whole page.
// It tells its listeners; what they do with it is theirs. Invariant: a stream that ends is opened again, ever more slowly.

import { getStatus } from "./api.js";

/** @typedef {"connecting" | "open" | "lost"} Link */
/** @typedef {{ status: Status | null, live: boolean, link: Link, at: Date | null, rate: number | null, version: number, reading: boolean, problems: string[] }} Live */

/** The latest that is known; `at` is when it came. @type {Live} */
export const live = { status: null, live: false, link: "connecting", at: null, rate: null, version: 0, reading: false, problems: [] };

/** @typedef {"status" | "labels" | "link"} Kind */

/** @type {Record<Kind, Set<() => void>>} */
const listeners = { status: new Set(), labels: new Set(), link: new Set() };

/** @param {Kind} kind @param {() => void} listener @returns {() => void}  stops listening */
export function on(kind, listener) {
  listeners[kind].add(listener);
  return () => void listeners[kind].delete(listener);
}

/** @param {Kind} kind */
function tell(kind) {
  for (const listener of [...listeners[kind]]) listener();
}

/** Tells that this page itself changed a label. */
export function labelsChanged() {
  tell("labels");
}

/** Moments and how much was done then, of the last half minute. @type {{ at: number, done: number }[]} */
let seen = [];
const WINDOW_MS = 30_000;
const FIRST_TRY_MS = 1000;
const LAST_TRY_MS = 15_000;

/** Texts a second: of late, or else of the whole process. @param {Status} status */
function speed(status) {
  const now = performance.now();
  const last = seen.at(-1);
  if (last && status.done < last.done) seen = [];
  seen.push({ at: now, done: status.done });
  seen = seen.filter((moment) => now - moment.at <= WINDOW_MS);
  const first = seen[0];
  if (first && now - first.at >= 4000 && status.done > first.done) return ((status.done - first.done) * 1000) / (now - first.at);
  return status.elapsed_s > 0 && status.answered > 0 ? status.answered / status.elapsed_s : null;
}

/** @param {StatusAnswer} answer */
function take(answer) {
  live.status = answer.status;
  live.live = answer.live;
  live.reading = answer.reading ?? false;
  live.problems = answer.problems ?? [];
  live.rate = answer.status && answer.live ? speed(answer.status) : null;
  live.at = new Date();
  tell("status");
}

/** @param {Link} link */
function setLink(link) {
  if (live.link === link) return;
  live.link = link;
  tell("link");
}

/** @param {string} text @returns {any} */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Opens the stream, and again whenever it ends. @param {number} [wait]  milliseconds until the next try, if this one fails */
export function listen(wait = FIRST_TRY_MS) {
  const source = new EventSource("/api/v1/stream");
  let next = wait;
  source.onopen = () => {
    next = FIRST_TRY_MS;
    const was = live.link;
    setLink("open");
    // What happened meanwhile was told to nobody.
    if (was === "lost") tell("labels");
  };
  source.addEventListener("status", (event) => {
    const answer = parse(event.data);
    if (answer) take(answer);
  });
  source.addEventListener("labels", (event) => {
    live.version = parse(event.data)?.version ?? live.version + 1;
    tell("labels");
  });
  source.onerror = () => {
    setLink("lost");
    // The browser's own tries differ and end at the first answer that is no stream: we try by ourselves.
    source.close();
    // A stream does not say why it ended; an answer does, for one that a token is wanted.
    askOnce().catch(() => {});
    setTimeout(() => listen(Math.min(LAST_TRY_MS, next * 1.7)), next);
  };
}

/** Asks once, for what is shown before the stream says anything. */
export async function askOnce() {
  take(await getStatus());
}

/**
 * Calls `action` now and then, never twice within `ms`, and once more for what was asked meanwhile.
 * @param {() => void} action @param {number} ms
 * @returns {{ call: () => void, stop: () => void }}
 */
export function throttled(action, ms) {
  let last = -Infinity;
  let timer = 0;
  const run = () => {
    timer = 0;
    last = performance.now();
    action();
  };
  return {
    call: () => {
      if (timer) return;
      const due = last + ms - performance.now();
      if (due <= 0) run();
      else timer = window.setTimeout(run, due);
    },
    stop: () => {
      clearTimeout(timer);
      timer = 0;
    },
  };
}
