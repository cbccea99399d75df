// Labels of this sitting: what was sent, what the server says is on disk, what failed. What is kept, and where, is told by whoever makes one.
// Invariant: an entry is `kept` only after the server answered so, and a failed one stays until it is tried again or dropped.

import { reason } from "./api.js";

/** @typedef {"saving" | "kept" | "failed" | "undoing" | "undone"} State */

/**
 * @template R
 * @typedef {object} Entry
 * @property {R} row  as it was before
 * @property {string} label
 * @property {string | null} note
 * @property {State} state
 * @property {string} error  why it failed
 * @property {Promise<void>} settled  when the server answered the request under way
 */

/**
 * @template R
 * @param {(entry: Entry<R>) => Promise<unknown>} keep
 * @param {(entry: Entry<R>) => Promise<unknown>} takeBack
 * @param {() => void} changed  the server has something new
 */
export function keeper(keep, takeBack, changed) {
  /** The newest is last. @type {Entry<R>[]} */
  const entries = [];
  /** @type {Set<(entry: Entry<R>) => void>} */
  const listeners = new Set();

  /** @param {Entry<R>} entry */
  const tell = (entry) => {
    for (const listener of [...listeners]) listener(entry);
  };

  /** @param {Entry<R>} entry @param {State} then @param {() => Promise<unknown>} request */
  const settle = async (entry, then, request) => {
    const before = entry.state;
    try {
      await request();
      entry.state = then;
      changed();
    } catch (error) {
      // What could not be taken back is still kept.
      entry.state = before === "undoing" ? "kept" : "failed";
      entry.error = before === "undoing" ? `Not taken back: ${reason(error)}` : reason(error);
    }
    tell(entry);
  };

  /** Sends it, for the first time or again. @param {Entry<R>} entry */
  const send = (entry) => {
    entry.state = "saving";
    entry.error = "";
    entry.settled = settle(entry, "kept", () => keep(entry));
    tell(entry);
  };

  /** Forgets one that failed. @param {Entry<R>} entry */
  const drop = (entry) => {
    const place = entries.indexOf(entry);
    if (place >= 0) entries.splice(place, 1);
    tell(entry);
  };

  return {
    entries,
    send,
    drop,
    /** @param {(entry: Entry<R>) => void} listener  told of every entry that changed @returns {() => void}  stops listening */
    on(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    /** @param {R} row @param {string} label @param {string | null} note @returns {Entry<R>} */
    add(row, label, note) {
      /** @type {Entry<R>} */
      const entry = { row, label, note, state: "saving", error: "", settled: Promise.resolve() };
      entries.push(entry);
      send(entry);
      return entry;
    },
    /** Takes it back, once it is known whether it was kept. @param {Entry<R>} entry */
    async undo(entry) {
      await entry.settled;
      if (entry.state === "failed") drop(entry);
      if (entry.state !== "kept") return;
      entry.state = "undoing";
      entry.settled = settle(entry, "undone", () => takeBack(entry));
      tell(entry);
      await entry.settled;
    },
  };
}

/** Entries that are not on disk yet, or could not be put there. @param {{ state: State }[]} entries */
export function unkept(entries) {
  return {
    saving: entries.filter((entry) => entry.state === "saving").length,
    failed: entries.filter((entry) => entry.state === "failed").length,
  };
}
