// The texts of the audit that nobody has labelled, in drawn order: those that come next are here before they are wanted. No DOM.
// Invariant: a text that was skipped comes again when the others are done; none is left out.

import { getAuditNext, isAbort, reason } from "./api.js";

const ASKED = 20;
const LOW = 8;
const AGAIN_MS = 300;

export class AuditQueue {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    /** @type {ToAudit[]} */
    this.rows = [];
    /** @type {ToAudit[]} */
    this.skipped = [];
    /** Texts that were here. @type {Set<number>} */
    this.seen = new Set();
    this.error = "";
    this.isEnd = false;
    this.isAsking = false;
    this.abort = new AbortController();
  }

  get current() {
    return this.rows[0] ?? null;
  }

  begin() {
    this.abort.abort();
    this.rows = [];
    this.skipped = [];
    this.seen.clear();
    this.isAsking = false;
    this.again();
  }

  /** Asks once more after an error or an end. */
  again() {
    this.error = "";
    this.isEnd = false;
    void this.fill();
    this.changed();
  }

  /** Goes on to the next text. @param {boolean} isSkipped  this one comes again at the end */
  next(isSkipped) {
    const row = this.rows.shift();
    if (row && isSkipped) this.skipped.push(row);
    this.turn();
    void this.fill();
    this.changed();
  }

  /** What was skipped comes again once the rest is done. */
  turn() {
    if (this.rows.length > 0 || !this.isEnd || this.skipped.length === 0) return;
    this.rows = this.skipped;
    this.skipped = [];
  }

  /** Shows this text again, now. @param {ToAudit} row */
  back(row) {
    this.skipped = this.skipped.filter((one) => one.position !== row.position);
    this.rows = [row, ...this.rows.filter((one) => one.position !== row.position)];
    this.changed();
  }

  /** A label of it was given up: it is to be labelled again. @param {number} position */
  forget(position) {
    if (this.rows.some((row) => row.position === position)) return;
    this.seen.delete(position);
    this.again();
  }

  async fill() {
    if (this.isAsking || this.isEnd || this.error || this.rows.length > LOW) return;
    this.isAsking = true;
    this.abort = new AbortController();
    const { signal } = this.abort;
    try {
      // What waits here is not labelled yet, and is given again.
      const limit = ASKED + this.rows.length + this.skipped.length;
      const answer = await getAuditNext(new URLSearchParams({ limit: String(limit) }), signal);
      if (signal.aborted) return;
      const fresh = answer.rows.filter((row) => !this.seen.has(row.position));
      for (const row of fresh) this.seen.add(row.position);
      this.rows.push(...fresh);
      this.isEnd = fresh.length === 0 && answer.rows.length < limit;
      this.turn();
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      this.error = reason(error);
    }
    this.isAsking = false;
    this.changed();
    // All of it was here before, and is about to be kept.
    if (!this.isEnd && !this.error && this.rows.length === 0) setTimeout(() => signal.aborted || void this.fill(), AGAIN_MS);
  }
}
