// The second view: every text with its label, filtered and ordered, and the panel of one of them. What is shown is in the address.
// Pages of rows are pages.js's, the scrolling is table.js's. Invariant: changes of labels never move rows under a reader by themselves
// when the order depends on labels: then they are told, and shown when asked for.

import { onCorrection } from "./corrections.js";
import { detailPanel } from "./detail.js";
import { announce, h, isPlain, isTyping, put, say } from "./dom.js";
import { filterBar, filtersOn, queryOf } from "./filters.js";
import { count, counted, origin, probability } from "./format.js";
import { live, on, throttled } from "./live.js";
import { Pages } from "./pages.js";
import { go } from "./route.js";
import { Table } from "./table.js";

/** @type {[string, string][]}  key of the order, title */
const COLUMNS = [
  ["", "Text"],
  ["label", "Label"],
  ["confidence", "Confidence"],
  ["", "Next likeliest"],
  ["", "From"],
];
const NARROW = matchMedia("(max-width: 700px)");
const ROW_PX = 40;
const NARROW_ROW_PX = 66;

/** @param {HTMLElement} root @param {URLSearchParams} first */
export function labelsView(root, first) {
  let params = first;
  let query = "";
  const pages = new Pages(() => show());
  const status = h("p", { class: "count", role: "status" });
  const onward = h("button", { type: "button", class: "link", hidden: true, onclick: () => pages.refresh() }, "Search on");
  const news = h("button", { type: "button", class: "news", hidden: true, onclick: () => takeNews() }, "Labels changed. Show them");
  const filters = filterBar((change, typing) => set(change, typing));
  const heads = h("div", { class: "row head", role: "row", "aria-rowindex": 1 });
  const blank = h("div", { class: "blank", hidden: true });
  const grid = h("div", { class: "grid", role: "grid", tabindex: 0, "aria-label": "Texts and their labels" });
  const table = new Table(grid, {
    rowHeight: ROW_PX,
    row: (index) => pages.row(index),
    draw: drawRow,
    look: (from, to) => pages.look(from, to),
    active: () => {},
  });
  grid.prepend(h("div", { role: "rowgroup", class: "heads" }, heads));
  const panel = detailPanel({ close: () => set({ open: null }, true), step, visit: (position) => set({ open: String(position) }, true) });
  put(
    root,
    h(
      "div",
      { class: "page labels" },
      h("h1", { class: "unseen" }, "Labels"),
      filters.root,
      h("div", { class: "labels-line" }, status, onward, news, filters.sort),
      h("div", { class: "split" }, h("div", { class: "table-side" }, grid, blank), panel.root),
    ),
  );

  /** @param {Record<string, string | null>} change @param {boolean} replace */
  function set(change, replace) {
    const next = new URLSearchParams(params);
    for (const [name, value] of Object.entries(change)) {
      if (value === null) next.delete(name);
      else next.set(name, value);
    }
    go("labels", next, replace);
  }

  /** @param {1 | -1} way */
  function step(way) {
    table.goTo(table.at + way);
    const row = pages.row(table.at);
    if (row) set({ open: String(row.position) }, true);
  }

  function openAt() {
    const row = pages.row(table.at);
    if (row) set({ open: String(row.position) }, params.has("open"));
  }

  function takeNews() {
    news.hidden = true;
    pages.refresh();
  }

  function show() {
    const total = pages.total;
    say(
      status,
      total === null
        ? pages.error
          ? ""
          : "Loading …"
        : `${counted(total, "text")}${filtersOn(params) ? (total === 1 ? " matches" : " match") : ""}${pages.searched === null ? "" : ` of the first ${count(pages.searched)}`}`,
    );
    onward.hidden = pages.searched === null;
    grid.setAttribute("aria-rowcount", String((total ?? 0) + 1));
    table.setCount(total ?? 0);
    const nothing = total === 0 || pages.error !== "";
    blank.hidden = !nothing;
    grid.classList.toggle("is-blank", nothing && !(total ?? 0));
    if (pages.error)
      put(
        blank,
        h("h2", {}, "These rows could not be read"),
        h("p", {}, pages.error),
        h("button", { type: "button", class: "main-button", onclick: () => pages.again() }, "Try again"),
      );
    else if (total === 0) put(blank, ...nothingMatches());
  }

  function nothingMatches() {
    if (filtersOn(params) === 0) return [h("h2", {}, "No texts yet"), h("p", {}, "They appear here as the run reads its corpus.")];
    const clear = h(
      "button",
      { type: "button", class: "main-button", onclick: () => go("labels", new URLSearchParams()) },
      "Clear the filters",
    );
    return [h("h2", {}, "Nothing matches"), h("p", {}, "No text passes all filters that are on."), clear];
  }

  /** @param {URLSearchParams} next */
  function update(next) {
    params = next;
    filters.show(params);
    showHeads(heads, params, set);
    const asked = queryOf(params);
    if (asked.toString() !== query || pages.total === null) {
      query = asked.toString();
      news.hidden = true;
      table.toStart();
      pages.select(asked);
    }
    const position = params.get("open");
    const had = !panel.root.hidden;
    if (position !== null && /^\d+$/.test(position)) panel.open(Number(position));
    else panel.hide();
    if (had && panel.root.hidden) grid.focus({ preventScroll: true });
    root.classList.toggle("has-panel", !panel.root.hidden);
    table.paint(true);
  }

  /** @param {HTMLElement} element @param {Row | null} row @param {number} index */
  function drawRow(element, row, index) {
    drawCells(element, row);
    const isOpen = row !== null && params.get("open") === String(row.position);
    element.classList.toggle("is-open", isOpen);
    element.setAttribute("aria-selected", String(isOpen));
    element.classList.toggle("is-odd", index % 2 === 1);
  }

  const fit = () => {
    table.body.rowHeight = NARROW.matches ? NARROW_ROW_PX : ROW_PX;
    table.count = -1;
    table.toStart();
    show();
  };
  // The order may be another now: by position and id rows stay where they are.
  const refresh = throttled(() => {
    if (["confidence", "margin", "label"].includes(params.get("sort") ?? "") || filtersOn(params) > 0) news.hidden = false;
    else pages.refresh();
    panel.refresh();
  }, 2000);
  const off = [
    on("labels", () => live.live && refresh.call()),
    on("link", () => live.link === "open" && pages.error && pages.again()),
    onCorrection((entry) => {
      if (entry.state === "kept") pages.patch(entry.row.position, { label: entry.label, confidence: 1, by: "person", corrected: true });
      if (entry.state === "undone") pages.refresh();
    }),
  ];
  /** @param {KeyboardEvent} event */
  const onKey = (event) => {
    if (document.querySelector("dialog[open]")) return;
    panel.onKey(event);
    if (event.key === "f" && isPlain(event) && !isTyping(event.target)) {
      event.preventDefault();
      filters.focus();
    }
  };
  /** Keys of the rows work where nothing else wants them. @param {KeyboardEvent} event */
  const onRowKey = (event) => {
    const isFree = event.target === document.body || (event.target instanceof HTMLElement && event.target.id === "main");
    if (!isFree || !panel.root.hidden || document.querySelector("dialog[open]")) return;
    grid.focus({ preventScroll: true });
    grid.dispatchEvent(new KeyboardEvent("keydown", event));
  };
  grid.addEventListener("keydown", (event) => {
    if (event.target !== grid || !isPlain(event)) return;
    if (event.key === "Enter") openAt();
    else if (table.onKey(event)) announceAt();
  });
  const announceAt = () => {
    const row = pages.row(table.at);
    if (row && !params.has("open")) announce(`${row.label ?? "no label yet"}, ${probability(row.confidence)}`);
  };
  grid.addEventListener("click", (event) => {
    const element = event.target instanceof Element ? event.target.closest(".row:not(.head)") : null;
    if (!(element instanceof HTMLElement) || window.getSelection()?.toString()) return;
    table.goTo(Number(element.dataset.index));
    openAt();
  });
  NARROW.addEventListener("change", fit);
  document.addEventListener("keydown", onKey);
  document.addEventListener("keydown", onRowKey);
  table.body.rowHeight = NARROW.matches ? NARROW_ROW_PX : ROW_PX;
  update(first);
  return {
    update,
    destroy() {
      pages.stop();
      table.stop();
      panel.stop();
      refresh.stop();
      off.forEach((stop) => stop());
      NARROW.removeEventListener("change", fit);
      document.removeEventListener("keydown", onKey);
      document.removeEventListener("keydown", onRowKey);
      root.classList.remove("has-panel");
    },
  };
}

/** @param {HTMLElement} heads @param {URLSearchParams} params @param {(change: Record<string, string | null>, replace: boolean) => void} set */
function showHeads(heads, params, set) {
  const [sort, desc] = [params.get("sort") ?? "position", params.get("desc") === "1"];
  put(
    heads,
    ...COLUMNS.map(([key, title]) => {
      if (!key) return h("div", { role: "columnheader" }, title);
      const on = sort === key;
      // Up, down, and back to the order of the corpus.
      const next = !on ? { sort: key, desc: null } : !desc ? { sort: key, desc: "1" } : { sort: null, desc: null };
      return h(
        "div",
        { role: "columnheader", "aria-sort": on ? (desc ? "descending" : "ascending") : "none" },
        h("button", { type: "button", class: on ? `sort ${desc ? "down" : "up"}` : "sort", onclick: () => set(next, false) }, title),
      );
    }),
  );
}

/** @param {HTMLElement} element @param {Row | null} row */
function drawCells(element, row) {
  if (element.childElementCount === 0) put(element, ...emptyCells());
  const [text, label, confidence, next, from] = /** @type {[HTMLElement, HTMLElement, HTMLElement, HTMLElement, HTMLElement]} */ (
    /** @type {unknown} */ (element.children)
  );
  element.classList.toggle("is-waiting", row === null);
  const line = row === null ? "" : row.text.replace(/\s+/g, " ").trim() || (row.id ? "(white space)" : "(a damaged line)");
  say(text, row?.cut ? `${line} …` : line);
  say(label, row === null ? "" : (row.label ?? "no label yet"));
  label.classList.toggle("none", row !== null && row.label === null);
  label.title = row?.label ?? "";
  const [bar, number] = /** @type {[HTMLElement, HTMLElement]} */ (/** @type {unknown} */ (confidence.children));
  say(number, row === null ? "" : probability(row.confidence));
  const fill = /** @type {HTMLElement} */ (bar.firstElementChild);
  fill.style.width = `${(row?.confidence ?? 0) * 100}%`;
  const other = row?.others?.[0];
  say(next, other ? `${other.label} ${probability(other.confidence)}` : "");
  say(from, row === null || row.by === null ? "" : row.audited ? "in the audit" : row.corrected ? "a person" : origin(row.by));
  from.classList.toggle("is-person", row?.corrected ?? false);
  from.classList.toggle("is-audited", row?.audited ?? false);
}

function emptyCells() {
  return [
    h("div", { role: "gridcell", class: "c-text", dir: "auto" }),
    h("div", { role: "gridcell", class: "c-label" }),
    h(
      "div",
      { role: "gridcell", class: "c-confidence" },
      h("span", { class: "spark", "aria-hidden": "true" }, h("span", {})),
      h("span", { class: "num" }),
    ),
    h("div", { role: "gridcell", class: "c-next" }),
    h("div", { role: "gridcell", class: "c-from" }),
  ];
}
