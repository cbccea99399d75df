// What every plot has: a card with a title, a readout, an SVG that is drawn anew when its width changes, and its values as a table.
// The shapes inside are of bars.js and columns.js. Invariant: whatever a plot shows is in its table too.

import { fresh, h, put, s, say } from "./dom.js";

/** @typedef {{ head: string[], rows: (string | number)[][] }} Values */
/** @typedef {{ svg: SVGSVGElement, width: number, readout: (text: string) => void }} Canvas */

/**
 * @param {{ title: string, what: string, class?: string }} about  `what` says what the plot shows, for who does not see it
 */
export function card(about) {
  const readout = h("p", { class: "readout" });
  const body = h("div", { class: "plot" });
  const values = h("div", { class: "values", tabindex: 0, role: "region", "aria-label": `Values: ${about.title}` });
  const table = h("details", { class: "values-of" }, h("summary", {}, "Values"), values);
  const foot = h("div", { class: "card-foot" }, table);
  const root = h(
    "section",
    { class: `card ${about.class ?? ""}`, "aria-label": about.title },
    h("div", { class: "card-head" }, h("h2", {}, about.title), readout),
    body,
    foot,
  );
  let rest = "";
  /** @type {((canvas: Canvas) => void) | null} */
  let draw = null;
  const show = (/** @type {string} */ text) => say(readout, text || rest);

  const again = () => {
    // Hidden, or not in the document yet: the observer calls when that changes.
    const width = Math.floor(body.clientWidth);
    if (!draw || width < 40) return;
    const focused = focusedKey(body);
    const svg = frame(about.title, about.what, width);
    draw({ svg, width, readout: show });
    put(body, svg);
    roving(svg, focused);
  };
  let width = 0;
  new ResizeObserver(() => {
    if (Math.floor(body.clientWidth) === width) return;
    width = Math.floor(body.clientWidth);
    again();
  }).observe(body);
  body.addEventListener("pointerleave", () => show(""));

  return {
    root,
    foot,
    /** @param {string} text  shown while nothing is pointed at @param {Values} of @param {(canvas: Canvas) => void} drawing */
    set(text, of, drawing) {
      rest = text;
      draw = drawing;
      show("");
      again();
      if (table.open) put(values, tableOf(of));
      table.ontoggle = () => put(values, table.open && tableOf(of));
    },
    /** @param {string} text  instead of a plot */
    empty(text) {
      draw = null;
      rest = "";
      show("");
      put(body, h("p", { class: "none" }, text));
    },
  };
}

/** @typedef {ReturnType<typeof card>} Card */

/** @param {string} title @param {string} what @param {number} width */
function frame(title, what, width) {
  const [titleId, whatId] = [fresh("plot"), fresh("plot")];
  return s(
    "svg",
    { width, role: "group", "aria-labelledby": `${titleId} ${whatId}` },
    s("title", { id: titleId }, title),
    s("desc", { id: whatId }, what),
  );
}

/** @param {Values} of */
function tableOf(of) {
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, ...of.head.map((name) => h("th", { scope: "col" }, name)))),
    h(
      "tbody",
      {},
      ...of.rows.map((row) =>
        h("tr", {}, ...row.map((cell, place) => (place === 0 ? h("th", { scope: "row" }, cell) : h("td", {}, cell)))),
      ),
    ),
  );
}

/** @param {Element} body */
function focusedKey(body) {
  const active = document.activeElement;
  return active && body.contains(active) ? active.getAttribute("data-key") : null;
}

/**
 * One stop of the tab key for all marks that are links; arrows go from one to the next.
 * @param {SVGSVGElement} svg
 * @param {string | null} focused  the mark that had the focus before it was drawn anew
 */
function roving(svg, focused) {
  const marks = /** @type {SVGAElement[]} */ (/** @type {unknown} */ ([...svg.querySelectorAll("a")]));
  const stop = marks.find((mark) => mark.getAttribute("data-key") === focused) ?? marks[0];
  for (const mark of marks) mark.setAttribute("tabindex", mark === stop ? "0" : "-1");
  if (focused !== null) stop?.focus({ preventScroll: true });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    const at = marks.findIndex((mark) => mark === document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    const next = marks[Math.max(0, Math.min(marks.length - 1, at + step))];
    marks[at]?.setAttribute("tabindex", "-1");
    next?.setAttribute("tabindex", "0");
    next?.focus();
  });
}

/**
 * A part of a plot that is read out when it is pointed at, and a link where there is somewhere to go.
 * @param {Canvas} canvas
 * @param {{ key: string, text: string, said?: string, href?: string | null }} about  said: where the text alone does not say of what it is
 * @param {...SVGElement} shapes
 */
export function mark(canvas, about, ...shapes) {
  const group = about.href
    ? s("a", { href: about.href, class: "mark link", "data-key": about.key, "aria-label": about.said ?? about.text }, ...shapes)
    : s("g", { class: "mark" }, ...shapes);
  group.addEventListener("pointerenter", () => canvas.readout(about.said ?? about.text));
  group.addEventListener("focus", () => canvas.readout(about.said ?? about.text));
  group.addEventListener("blur", () => canvas.readout(""));
  canvas.svg.append(group);
}

/** @param {Canvas} canvas @param {number} height */
export function setHeight(canvas, height) {
  canvas.svg.setAttribute("height", String(height));
  canvas.svg.setAttribute("viewBox", `0 0 ${canvas.width} ${height}`);
}
