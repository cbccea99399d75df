// Corrections of this sitting: what was sent, what the server says is on disk, what failed. Views show this list and add to it.
// Invariant: an entry is `kept` only after the server answered so, and a failed one stays until it is tried again or dropped.

import { deleteCorrection, postCorrection, reason } from "./api.js";
import { labelsChanged } from "./live.js";

/** @typedef {"saving" | "kept" | "failed" | "undoing" | "undone"} State */
/**
 * @typedef {object} Entry
 * @property {Row} row  as it was before
 * @property {string} label
 * @property {string | null} note
 * @property {State} state
 * @property {string} error  why it failed
 * @property {Promise<void>} settled  when the server answered the request under way
 */

/** The newest is last. @type {Entry[]} */
export const sitting = [];

/** @typedef {(entry: Entry) => void} Listener */

/** @type {Set<Listener>} */
const listeners = new Set();

/** @param {Listener} listener  told of every entry that changed @returns {() => void} */
export function onCorrection(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** @param {Entry} entry */
function tell(entry) {
  for (const listener of [...listeners]) listener(entry);
}

const WHO = "candist.who";

/** Who corrects, as they told this browser; "" where they did not. */
export function who() {
  try {
    return localStorage.getItem(WHO) ?? "";
  } catch {
    // Storage is switched off: then it is asked for at every visit.
    return "";
  }
}

/** @param {string} name */
export function setWho(name) {
  try {
    localStorage.setItem(WHO, name.trim());
  } catch {
    return;
  }
}

/** @param {Row} row @param {string} label @param {string | null} note @returns {Entry} */
export function correct(row, label, note) {
  /** @type {Entry} */
  const entry = { row, label, note, state: "saving", error: "", settled: Promise.resolve() };
  sitting.push(entry);
  send(entry);
  return entry;
}

/** Sends it, for the first time or again. @param {Entry} entry */
export function send(entry) {
  entry.state = "saving";
  entry.error = "";
  const { row, label, note } = entry;
  entry.settled = settle(entry, "kept", () => postCorrection({ position: row.position, id: row.id, label, who: who(), note }));
  tell(entry);
}

/** Takes it back, once it is known whether it was kept. @param {Entry} entry */
export async function undo(entry) {
  await entry.settled;
  if (entry.state === "failed") drop(entry);
  if (entry.state !== "kept") return;
  entry.state = "undoing";
  entry.settled = settle(entry, "undone", () => deleteCorrection(entry.row.position));
  tell(entry);
  await entry.settled;
}

/** Forgets one that failed. @param {Entry} entry */
export function drop(entry) {
  const place = sitting.indexOf(entry);
  if (place >= 0) sitting.splice(place, 1);
  tell(entry);
}

/** @param {Entry} entry @param {State} then @param {() => Promise<unknown>} request */
async function settle(entry, then, request) {
  const before = entry.state;
  try {
    await request();
    entry.state = then;
    labelsChanged();
  } catch (error) {
    // What could not be taken back is still kept.
    entry.state = before === "undoing" ? "kept" : "failed";
    entry.error = before === "undoing" ? `Not taken back: ${reason(error)}` : reason(error);
  }
  tell(entry);
}

/** The counts of this sitting. */
export function tally() {
  const kept = sitting.filter((entry) => entry.state === "kept");
  return {
    kept: kept.length,
    changed: kept.filter((entry) => entry.label !== entry.row.label).length,
    saving: sitting.filter((entry) => entry.state === "saving").length,
    failed: sitting.filter((entry) => entry.state === "failed").length,
  };
}
