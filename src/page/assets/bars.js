// Horizontal bars with a name before and a value after each: labels, teachers. Drawn by hand as SVG; no state.

import { mark, setHeight } from "./chart.js";
import { s } from "./dom.js";
import { middle } from "./format.js";

/** @typedef {import("./chart.js").Canvas} Canvas */
/** @typedef {{ name: string, value: number, shown: string, text: string, href?: string | null }} Bar */

const ROW = 24;
const THICK = 12;
/** Width of a digit or small letter of the plot's font, about. */
const LETTER = 6.6;

/**
 * @param {Canvas} canvas
 * @param {Bar[]} bars
 * @param {number} most  the value of a bar of full length
 */
export function drawBars(canvas, bars, most) {
  const { width } = canvas;
  const longest = Math.max(...bars.map((bar) => bar.name.length));
  const names = Math.min(longest * LETTER + 12, width * 0.46, 250);
  const values = Math.max(...bars.map((bar) => bar.shown.length)) * LETTER + 10;
  const room = Math.max(20, width - names - values);
  setHeight(canvas, bars.length * ROW);
  bars.forEach((bar, place) => {
    const middleLine = place * ROW + ROW / 2;
    const long = most > 0 ? (bar.value / most) * room : 0;
    // Beside the link, not in it: its name for a screen reader says both, with words.
    canvas.svg.append(
      s(
        "text",
        { class: "name", x: names - 10, y: middleLine, "text-anchor": "end", "dominant-baseline": "central", "aria-hidden": "true" },
        middle(bar.name, Math.max(4, Math.floor((names - 10) / LETTER))),
      ),
      s(
        "text",
        { class: "value", x: width - 2, y: middleLine, "text-anchor": "end", "dominant-baseline": "central", "aria-hidden": "true" },
        bar.shown,
      ),
    );
    mark(
      canvas,
      { key: bar.name, text: bar.text, said: `${bar.name}: ${bar.text}`, href: bar.href ?? null },
      s("rect", { class: "track", x: names, y: middleLine - THICK / 2, width: room, height: THICK, rx: 3 }),
      s("rect", { class: "bar", x: names, y: middleLine - THICK / 2, width: bar.value > 0 ? Math.max(2, long) : 0, height: THICK, rx: 3 }),
      s("rect", { class: "hit", x: 0, y: place * ROW, width, height: ROW, rx: 4 }),
    );
  });
}
