// Labels of this sitting: what was sent, what the server says is on disk, what failed. What is kept, and where, is told by whoever makes one.
// Invariants: an entry is `kept` only after the server answered so, and a failed one stays until it is tried again or dropped; what is asked of
// one text reaches the server in the order in which it was said.

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
 * @template {{ position: number }} R
 * @param {(entry: Entry<R>) => Promise<unknown>} keep
 * @param {(entry: Entry<R>) => Promise<unknown>} takeBack
 * @param {() => void} changed  the server has something new
 */
export function keeper(keep, takeBack, changed) {
  /** The newest is last. @type {Entry<R>[]} */
  const entries = [];
  /** @type {Set<(entry: Entry<R>) => void>} */
  const listeners = new Set();

  /** The last that was asked of each text, until it is done. @type {Map<number, Promise<void>>} */
  const turns = new Map();

  /** Does `work` after all that was asked of the same text before. @param {Entry<R>} entry @param {() => Promise<void>} work */
  const inTurn = (entry, work) => {
    const { position } = entry.row;
    const turn = (turns.get(position) ?? Promise.resolve()).then(work);
    turns.set(position, turn);
    void turn.finally(() => turns.get(position) === turn && turns.delete(position));
    return turn;
  };

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
    entry.settled = inTurn(entry, () => settle(entry, "kept", () => keep(entry)));
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
    undo(entry) {
      entry.settled = inTurn(entry, async () => {
        if (entry.state === "failed") drop(entry);
        if (entry.state !== "kept") return;
        entry.state = "undoing";
        tell(entry);
        await settle(entry, "undone", () => takeBack(entry));
      });
      return entry.settled;
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
