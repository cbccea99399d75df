// The rows of a selection, a page of 100 at a time, fetched when they come into sight. It holds rows; table.js shows them.
// Invariant: a row is never of another selection than the one last set, and at most PAGES_KEPT pages are held.

import { getRows, isAbort, reason } from "./api.js";

export const PAGE = 100;
const PAGES_KEPT = 80;
/** Rows that only flew past are not asked for. */
const REST_MS = 50;

/** @typedef {{ rows: Row[], stale: boolean }} Page */

export class Pages {
  /** @param {() => void} changed  called when rows, their number or the error changed */
  constructor(changed) {
    this.changed = changed;
    /** @type {Map<number, Page>} */
    this.pages = new Map();
    /** @type {Map<number, AbortController>} */
    this.asked = new Map();
    /** Rows in all; null until the first answer. @type {number | null} */
    this.total = null;
    /** Why rows are missing; "" where none are. */
    this.error = "";
    /** Texts that were searched, where a search ran out of time. @type {number | null} */
    this.searched = null;
    this.query = new URLSearchParams();
    this.sight = { first: 0, last: 0 };
    this.timer = 0;
  }

  /** Another selection. @param {URLSearchParams} query */
  select(query) {
    this.stop();
    this.query = query;
    this.pages.clear();
    this.total = null;
    this.error = "";
    this.sight = { first: 0, last: 0 };
    this.fetch();
    this.changed();
  }

  /** The rows changed on the server: those that are held are shown until newer ones come. */
  refresh() {
    for (const page of this.pages.values()) page.stale = true;
    this.fetch();
  }

  /** Pages that failed are asked for again. */
  again() {
    this.error = "";
    this.fetch();
    this.changed();
  }

  /** @param {number} index @returns {Row | null} */
  row(index) {
    return this.pages.get(Math.floor(index / PAGE))?.rows[index % PAGE] ?? null;
  }

  /** Another version of one row, known before its page comes again. @param {number} position @param {Partial<Row>} change */
  patch(position, change) {
    for (const page of this.pages.values()) {
      const row = page.rows.find((one) => one.position === position);
      if (row) Object.assign(row, change);
    }
    this.changed();
  }

  /** Says which rows are in sight. @param {number} first @param {number} last */
  look(first, last) {
    this.sight = { first, last };
    if (!this.timer) this.timer = window.setTimeout(() => this.fetch(), REST_MS);
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
    for (const abort of this.asked.values()) abort.abort();
    this.asked.clear();
  }

  fetch() {
    this.timer = 0;
    const [from, to] = [Math.floor(this.sight.first / PAGE), Math.floor(this.sight.last / PAGE)];
    for (const [number, abort] of this.asked) {
      if (number >= from - 1 && number <= to + 1) continue;
      abort.abort();
      this.asked.delete(number);
    }
    if (this.error) return;
    for (let number = from; number <= to; number += 1) {
      const page = this.pages.get(number);
      const beyond = this.total !== null && number > 0 && number * PAGE >= this.total;
      if (beyond || this.asked.has(number) || (page && !page.stale)) continue;
      void this.ask(number);
    }
  }

  /** @param {number} number */
  async ask(number) {
    const abort = new AbortController();
    this.asked.set(number, abort);
    const query = new URLSearchParams(this.query);
    query.set("offset", String(number * PAGE));
    query.set("limit", String(PAGE));
    try {
      const answer = await getRows(query, abort.signal);
      if (abort.signal.aborted) return;
      this.total = answer.total;
      this.searched = answer.partial ? (answer.searched ?? 0) : null;
      this.pages.delete(number);
      this.pages.set(number, { rows: answer.rows, stale: false });
      this.forget();
    } catch (error) {
      if (isAbort(error) || abort.signal.aborted) return;
      this.error = reason(error);
    } finally {
      if (this.asked.get(number) === abort) this.asked.delete(number);
    }
    this.changed();
  }

  /** Lets go of the pages that were not asked for the longest. */
  forget() {
    for (const number of this.pages.keys()) {
      if (this.pages.size <= PAGES_KEPT) return;
      this.pages.delete(number);
    }
  }
}
