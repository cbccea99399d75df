// A share with the interval that holds it, beside another share that it is compared with. SVG; no state.

import { mark, setHeight } from "./chart.js";
import { s } from "./dom.js";

/** @typedef {import("./chart.js").Canvas} Canvas */
/** @typedef {{ name: string, at: number, low?: number, high?: number, text: string }} Line  shares, 0 to 1 */

const ROW = 38;
const FOOT = 24;
const LETTER = 6.8;
const NARROW = 420;

/** Where the axis begins: at a tenth below everything that is shown. @param {Line[]} lines */
function beginning(lines) {
  const least = Math.min(...lines.map((line) => line.low ?? line.at));
  return Math.min(0.9, Math.max(0, Math.floor((least - 0.02) * 10) / 10));
}

/** Percents from one line of the scale to the next: round ones, of which there are few. @param {number} from @param {boolean} isNarrow */
function stepOf(from, isNarrow) {
  const range = Math.round((1 - from) * 100);
  const steps = isNarrow ? [5, 10, 20, 50] : [2, 5, 10, 20];
  return steps.find((step) => range / step <= (isNarrow ? 3 : 6)) ?? (isNarrow ? 50 : 20);
}

/** @param {Canvas} canvas @param {Line[]} lines */
export function drawIntervals(canvas, lines) {
  const { width } = canvas;
  // Where there is little room, names stand above.
  const isNarrow = width < NARROW;
  const names = isNarrow ? 0 : Math.max(...lines.map((line) => line.name.length)) * LETTER + 14;
  const row = isNarrow ? ROW + 12 : ROW;
  const height = lines.length * row + FOOT;
  setHeight(canvas, height);
  const from = beginning(lines);
  const [left, right] = [names + 8, width - 14];
  const x = (/** @type {number} */ share) => left + ((share - from) / (1 - from)) * (right - left);
  const step = stepOf(from, isNarrow);
  for (let percent = 100; percent >= Math.round(from * 100); percent -= step) {
    const share = percent / 100;
    canvas.svg.append(
      s("line", { class: "gridline", x1: x(share), x2: x(share), y1: 0, y2: height - FOOT }),
      s("text", { class: "scale", x: x(share), y: height - 7, "text-anchor": "middle" }, `${percent}%`),
    );
  }
  lines.forEach((line, place) => {
    const y = place * row + (isNarrow ? row - 16 : row / 2);
    const name = isNarrow
      ? s("text", { class: "name over", x: left - 8, y: y - 20, "aria-hidden": "true" }, line.name)
      : s(
          "text",
          { class: "name", x: names - 6, y, "text-anchor": "end", "dominant-baseline": "central", "aria-hidden": "true" },
          line.name,
        );
    const { low, high } = line;
    const isInterval = low !== undefined && high !== undefined;
    const shapes = isInterval
      ? [
          s("rect", { class: "span", x: x(low), y: y - 7, width: Math.max(2, x(high) - x(low)), height: 14, rx: 7 }),
          s("circle", { class: "bar", cx: x(line.at), cy: y, r: 6 }),
        ]
      : [s("path", { class: "diamond", d: `M${x(line.at)},${y - 7}l7,7l-7,7l-7,-7Z` })];
    canvas.svg.append(name);
    mark(
      canvas,
      { key: line.name, text: line.text, said: `${line.name}: ${line.text}` },
      ...shapes,
      s("rect", { class: "hit", x: 0, y: place * row, width, height: row, rx: 4 }),
    );
  });
}
