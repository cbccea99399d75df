// Upright columns over an axis (confidences, sizes of candidate sets) and columns along a length (label changes). SVG; no state.

import { mark, setHeight } from "./chart.js";
import { s } from "./dom.js";
import { brief, roundUp } from "./format.js";

/** @typedef {import("./chart.js").Canvas} Canvas */
/** @typedef {{ key: string, value: number, text: string, tick?: string, href?: string | null }} Column */

const TOP = 10;
const FOOT = 22;
const LEFT = 40;
const RIGHT = 8;

/**
 * Lines of the scale with their values.
 * @param {Canvas} canvas @param {number} height @param {number} most @param {(value: number) => string} shown
 * @param {number} [steps]  between the lines
 */
function grid(canvas, height, most, shown, steps = 2) {
  for (const part of Array.from({ length: steps + 1 }, (_, step) => step / steps)) {
    const y = Math.round(TOP + (1 - part) * (height - TOP - FOOT)) + 0.5;
    canvas.svg.append(s("line", { class: part === 0 ? "axis" : "gridline", x1: LEFT, x2: canvas.width - RIGHT, y1: y, y2: y }));
    canvas.svg.append(
      s("text", { class: "scale", x: LEFT - 8, y, "text-anchor": "end", "dominant-baseline": "central" }, shown(part * most)),
    );
  }
}

/**
 * @param {Canvas} canvas @param {Column[]} columns
 * @param {number} height  pixels
 * @param {{ byPowers?: boolean, end?: string }} [how]  byPowers: ten times as many are one step more, so that small columns are seen
 *   beside big ones; end: the tick after the last column
 */
export function drawColumns(canvas, columns, height, { byPowers = false, end = "" } = {}) {
  setHeight(canvas, height);
  const largest = Math.max(...columns.map((column) => column.value));
  const most = byPowers ? Math.max(2, Math.ceil(Math.log10(Math.max(1, largest)) + 0.05)) : roundUp(largest);
  const size = (/** @type {number} */ value) => (byPowers ? Math.log10(value) + 0.05 : value) / most;
  grid(canvas, height, most, byPowers ? (power) => brief(Math.round(10 ** power)) : brief, byPowers ? most : 2);
  const step = (canvas.width - LEFT - RIGHT) / columns.length;
  const gap = Math.min(10, Math.max(1.5, step * 0.14));
  const wide = Math.min(56, step - gap);
  const room = height - TOP - FOOT;
  columns.forEach((column, place) => {
    const x = LEFT + place * step;
    const high = column.value > 0 ? Math.max(1.5, size(column.value) * room) : 0;
    mark(
      canvas,
      { key: column.key, text: column.text, href: column.href ?? null },
      s("rect", { class: "hit", x, y: TOP, width: step, height: room + FOOT, rx: 3 }),
      s("path", { class: "bar", d: rounded(x + (step - wide) / 2, TOP + room - high, wide, high) }),
    );
    if (column.tick === undefined) return;
    const centred = column.tick === column.key;
    canvas.svg.append(s("text", { class: "scale", x: centred ? x + step / 2 : x, y: height - 6, "text-anchor": "middle" }, column.tick));
  });
  if (end) canvas.svg.append(s("text", { class: "scale", x: canvas.width, y: height - 6, "text-anchor": "end" }, end));
}

/** A column with a rounded top. @param {number} x @param {number} y @param {number} width @param {number} height */
function rounded(x, y, width, height) {
  const r = Math.min(3, height, width / 2);
  return `M${x},${y + height}V${y + r}Q${x},${y} ${x + r},${y}H${x + width - r}Q${x + width},${y} ${x + width},${y + r}V${y + height}Z`;
}

/** @typedef {{ to: number, value: number, text: string }} Stretch */

/** A stretch is seen however short it is. */
const THIN = 4;

/**
 * What happened along a length: a column for each stretch, as wide as that.
 * @param {Canvas} canvas
 * @param {Stretch[]} stretches  in order; each begins where the one before ends, the first at 0
 * @param {number} height
 */
export function drawStretches(canvas, stretches, height) {
  setHeight(canvas, height);
  const most = roundUp(Math.max(...stretches.map((stretch) => stretch.value)));
  const end = stretches.at(-1)?.to || 1;
  const room = height - TOP - FOOT;
  const across = canvas.width - LEFT - RIGHT;
  grid(canvas, height, most, brief);
  const at = (/** @type {number} */ texts) => LEFT + (texts / end) * across;
  let from = 0;
  for (const stretch of stretches) {
    const [x, wide] = [at(from), at(stretch.to) - at(from)];
    const bar = Math.max(THIN, wide - Math.min(3, wide * 0.15));
    const high = stretch.value > 0 ? Math.max(1.5, (stretch.value / most) * room) : 0;
    mark(
      canvas,
      { key: String(stretch.to), text: stretch.text },
      s("rect", { class: "hit", x, y: TOP, width: Math.max(1, wide), height: room }),
      s("path", { class: "bar", d: rounded(x + wide - bar, TOP + room - high, bar, high) }),
    );
    from = stretch.to;
  }
  for (const part of [0, 0.5, 1]) {
    const anchor = part === 0 ? "start" : part === 1 ? "end" : "middle";
    canvas.svg.append(
      s("text", { class: "scale", x: at(part * end), y: height - 6, "text-anchor": anchor }, brief(Math.round(part * end))),
    );
  }
}
