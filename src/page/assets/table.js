// A table of any length of which only the rows in sight are elements. It shows rows of pages.js; what a row looks like is labels.js's.
// Browsers end at some 17 million pixels of height: longer tables are scrolled by a map (`toScroll`) that is 1:1 near both ends and
// squeezed between; small steps are always 1:1. Invariant: an element stands for index i only if i % pool size is its place.

import { h } from "./dom.js";

/** Height of the scrolled element, at most. */
const MOST_PX = 8_000_000;
/** So much at each end is not squeezed. */
const EDGE_PX = 400_000;
const SPARE = 6;
const SETTLE_MS = 160;

/**
 * @typedef {object} Body
 * @property {number} rowHeight  pixels
 * @property {(index: number) => Row | null} row
 * @property {(element: HTMLElement, row: Row | null, index: number) => void} draw  what is in the element stays between calls
 * @property {(first: number, last: number) => void} look  these rows are in sight
 * @property {(index: number) => void} active  the row that arrow keys stand on is another
 */

export class Table {
  /** @param {HTMLElement} grid  the element of role grid that scrolls @param {Body} body */
  constructor(grid, body) {
    this.grid = grid;
    this.body = body;
    this.count = 0;
    /** Row of the arrow keys. */
    this.at = 0;
    /** Pixels of the whole table above the view. */
    this.top = 0;
    /** Where the grid was scrolled to when `top` was last known. */
    this.scrolled = 0;
    /** @type {HTMLElement[]} */
    this.pool = [];
    this.space = h("div", { class: "grid-space", role: "rowgroup" });
    this.grid.append(this.space);
    this.settling = 0;
    this.painting = 0;
    this.grid.addEventListener("scroll", () => this.onScroll(), { passive: true });
    this.sized = new ResizeObserver(() => this.paint(true));
    this.sized.observe(grid);
  }

  get height() {
    return this.count * this.body.rowHeight;
  }

  /** Pixels in which rows are seen: what is above them stays. */
  get view() {
    // Never more than a screen has, or a broken layout would make an element of every row.
    return Math.max(0, Math.min(this.grid.clientHeight, 2 * window.innerHeight) - this.space.offsetTop);
  }

  get squeezed() {
    return Math.min(MOST_PX, this.height);
  }

  /** @param {number} top  of the whole table @returns {number}  where the grid is scrolled to for it */
  toScroll(top) {
    const [most, room] = [this.height - this.view, this.squeezed - this.view];
    if (most <= room || top <= EDGE_PX) return top;
    if (top >= most - EDGE_PX) return room - (most - top);
    return EDGE_PX + ((top - EDGE_PX) * (room - 2 * EDGE_PX)) / (most - 2 * EDGE_PX);
  }

  /** @param {number} scroll @returns {number} */
  fromScroll(scroll) {
    const [most, room] = [this.height - this.view, this.squeezed - this.view];
    if (most <= room || scroll <= EDGE_PX) return scroll;
    if (scroll >= room - EDGE_PX) return most - (room - scroll);
    return EDGE_PX + ((scroll - EDGE_PX) * (most - 2 * EDGE_PX)) / (room - 2 * EDGE_PX);
  }

  onScroll() {
    const now = this.grid.scrollTop;
    const step = now - this.scrolled;
    const far = Math.abs(step) > this.view * 2;
    this.top = this.clamp(far ? this.fromScroll(now) : this.top + step);
    this.scrolled = now;
    // After many small steps the scroll bar is beside where it should be.
    if (Math.abs(this.toScroll(this.top) - now) > EDGE_PX / 2) this.anchor();
    clearTimeout(this.settling);
    this.settling = window.setTimeout(() => this.anchor(), SETTLE_MS);
    this.paint(false);
  }

  /** @param {number} top */
  clamp(top) {
    return Math.max(0, Math.min(this.height - this.view, top));
  }

  /** Puts the scroll bar where it belongs; what is seen does not move. */
  anchor() {
    // Somebody scrolled on, and the event is about to tell: what was known is where they came from.
    if (Math.abs(this.grid.scrollTop - this.scrolled) >= 1) return;
    const to = Math.round(this.toScroll(this.top));
    if (Math.abs(to - this.grid.scrollTop) < 1) return;
    this.grid.scrollTop = to;
    this.scrolled = this.grid.scrollTop;
    this.paint(false);
  }

  /** @param {number} count  rows in all */
  setCount(count) {
    if (count !== this.count) {
      this.count = count;
      this.space.style.height = `${this.squeezed}px`;
      this.at = Math.max(0, Math.min(this.at, count - 1));
    }
    this.top = this.clamp(this.top);
    this.paint(true);
  }

  toStart() {
    this.top = 0;
    this.at = 0;
    this.grid.scrollTop = 0;
    this.scrolled = 0;
  }

  /** Goes to a row with the arrow keys. @param {number} index */
  goTo(index) {
    this.at = Math.max(0, Math.min(this.count - 1, index));
    const height = this.body.rowHeight;
    const [from, to] = [this.at * height, (this.at + 1) * height];
    if (from < this.top) this.top = from;
    else if (to > this.top + this.view) this.top = to - this.view;
    this.grid.scrollTop = Math.round(this.toScroll(this.top));
    this.scrolled = this.grid.scrollTop;
    this.paint(true);
    this.body.active(this.at);
  }

  /** @param {KeyboardEvent} event @returns {boolean}  whether it was a key of the table */
  onKey(event) {
    const screen = Math.max(1, Math.floor(this.view / this.body.rowHeight) - 1);
    const to = {
      ArrowDown: this.at + 1,
      ArrowUp: this.at - 1,
      PageDown: this.at + screen,
      PageUp: this.at - screen,
      Home: 0,
      End: this.count - 1,
    }[event.key];
    if (to === undefined || this.count === 0) return false;
    event.preventDefault();
    this.goTo(to);
    return true;
  }

  /** @param {boolean} all  also rows that were drawn before */
  paint(all) {
    this.redraw ||= all;
    if (this.painting) return;
    this.painting = requestAnimationFrame(() => {
      this.painting = 0;
      this.draw(this.redraw ?? false);
      this.redraw = false;
    });
  }

  /** @param {boolean} all */
  draw(all) {
    const { rowHeight } = this.body;
    const first = Math.max(0, Math.floor(this.top / rowHeight) - SPARE);
    const last = Math.min(this.count - 1, Math.ceil((this.top + this.view) / rowHeight) + SPARE);
    this.fit(Math.ceil(this.view / rowHeight) + 2 * SPARE + 2);
    const shift = this.scrolled - this.top;
    const taken = new Set();
    for (let index = first; index <= last; index += 1) {
      const element = /** @type {HTMLElement} */ (this.pool[index % this.pool.length]);
      taken.add(element);
      const same = element.dataset.index === String(index);
      element.style.transform = `translateY(${index * rowHeight + shift}px)`;
      element.hidden = false;
      if (same && !all) continue;
      element.dataset.index = String(index);
      element.setAttribute("aria-rowindex", String(index + 2));
      element.classList.toggle("is-at", index === this.at);
      this.body.draw(element, this.body.row(index), index);
    }
    for (const element of this.pool) if (!taken.has(element)) element.hidden = true;
    this.point();
    if (this.count > 0) this.body.look(Math.max(0, Math.floor(this.top / rowHeight)), last);
  }

  /** Has `size` elements for rows, no fewer. @param {number} size */
  fit(size) {
    if (this.pool.length >= size) return;
    for (const element of this.pool) delete element.dataset.index;
    while (this.pool.length < size) {
      const element = h("div", { class: "row", role: "row", id: `row-${this.pool.length}` });
      this.pool.push(element);
      this.space.append(element);
    }
  }

  /** Tells which element is the row of the arrow keys. */
  point() {
    const element = this.pool.find((one) => one.dataset.index === String(this.at) && !one.hidden);
    if (element) this.grid.setAttribute("aria-activedescendant", element.id);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  stop() {
    this.sized.disconnect();
    clearTimeout(this.settling);
    cancelAnimationFrame(this.painting);
  }
}
