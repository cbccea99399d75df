// The texts to review, in the order asked for: those that come next are here before they are wanted. No DOM.
// Invariant: no text comes twice in one sitting, but for one that was gone back to.

import { tally } from "./corrections.js";
import { getReview, isAbort, reason } from "./api.js";

const ASKED = 20;
const LOW = 8;
const AGAIN_MS = 300;

export class Queue {
  /** @param {() => void} changed @param {(answer: ReviewPage) => void} told  something besides the texts */
  constructor(changed, told) {
    this.changed = changed;
    this.told = told;
    /** @type {Row[]} */
    this.rows = [];
    /** @type {Set<number>} */
    this.seen = new Set();
    /** Texts that were passed over, and come again for the server. @type {Set<number>} */
    this.skipped = new Set();
    /** Texts without a correction, as the server last said. @type {number | null} */
    this.remaining = null;
    /** Corrections of this sitting that it knew of then. */
    this.keptThen = 0;
    this.error = "";
    this.isEnd = false;
    this.query = new URLSearchParams();
    this.abort = new AbortController();
    this.isAsking = false;
  }

  /** Begins anew. @param {URLSearchParams} query  order, label, seed */
  begin(query) {
    this.abort.abort();
    this.query = query;
    this.rows = [];
    this.seen.clear();
    this.skipped.clear();
    this.remaining = null;
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

  get current() {
    return this.rows[0] ?? null;
  }

  /** Goes on to the next text. */
  next() {
    this.rows.shift();
    void this.fill();
    this.changed();
  }

  /** Shows this text again, now. @param {Row} row */
  back(row) {
    this.skipped.delete(row.position);
    this.rows.unshift(row);
    this.changed();
  }

  async fill() {
    if (this.isAsking || this.isEnd || this.error || this.rows.length > LOW) return;
    this.isAsking = true;
    this.abort = new AbortController();
    const { signal } = this.abort;
    try {
      const query = new URLSearchParams(this.query);
      query.set("limit", String(ASKED));
      // What waits here and is not corrected yet is passed over, or it would be sent again.
      query.set("offset", String(this.skipped.size + this.rows.length));
      const answer = await getReview(query, signal);
      if (signal.aborted) return;
      this.take(answer);
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      this.error = reason(error);
    }
    this.isAsking = false;
    this.changed();
    // All of it was here before, and is about to be kept.
    if (!this.isEnd && !this.error && this.rows.length === 0) setTimeout(() => signal.aborted || void this.fill(), AGAIN_MS);
  }

  /** @param {ReviewPage} answer */
  take(answer) {
    const fresh = answer.rows.filter((row) => !this.seen.has(row.position));
    for (const row of fresh) this.seen.add(row.position);
    this.rows.push(...fresh);
    this.remaining = answer.remaining;
    this.keptThen = tally().kept;
    this.isEnd = fresh.length === 0 && answer.rows.length < ASKED;
    this.told(answer);
  }
}
