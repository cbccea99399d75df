// The filters over the table. They are read from the address and written to it; nothing else holds them.
// Invariant: names here are those of /api/v1/labels, so that the address is the request.

import { fresh, h, put } from "./dom.js";
import { origin } from "./format.js";
import { labelNames, run } from "./run.js";
import { picker } from "./picker.js";

export const FILTERS = ["label", "by", "min", "max", "final", "disagree", "corrected", "failed", "contains"];
const ORDER = ["sort", "desc"];
const TYPING_MS = 250;

/** @type {[string, string, string][]} */
const SWITCHES = [
  ["disagree", "Teachers disagree", "The first label of some teacher is not the one that holds"],
  ["corrected", "Corrected", "A person corrected or confirmed these"],
  ["failed", "No candidates", "No teacher named a label: the student labels these alone"],
];

/** @type {[string, string][]} */
export const SORTS = [
  ["", "In the corpus' order"],
  ["confidence", "Least certain first"],
  ["confidence desc", "Most certain first"],
  ["margin", "Closest calls first"],
  ["label", "Label A to Z"],
  ["id", "By id"],
];

/** The parameters of the address that are part of the request. @param {URLSearchParams} params */
export function queryOf(params) {
  const query = new URLSearchParams();
  for (const name of [...FILTERS, ...ORDER]) {
    const value = params.get(name);
    if (value) query.set(name, value);
  }
  return query;
}

/** @param {URLSearchParams} params */
export function filtersOn(params) {
  return FILTERS.filter((name) => params.get(name)).length;
}

/**
 * @param {(change: Record<string, string | null>, typing: boolean) => void} set  null takes a filter away
 */
export function filterBar(set) {
  const contains = h("input", { type: "search", placeholder: "Text contains", "aria-label": "Text contains", spellcheck: "false" });
  let timer = 0;
  contains.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => set({ contains: contains.value || null }, true), TYPING_MS);
  });
  const label = picker({
    label: "Label",
    placeholder: "Any label",
    names: labelNames(),
    value: "",
    pick: (name) => set({ label: name }, false),
    clear: () => set({ label: null }, true),
  });
  const from = edge("Confidence from", "0", (value) => set({ min: value }, true));
  const to = edge("Confidence to", "1", (value) => set({ max: value }, true));
  const by = h(
    "select",
    { "aria-label": "Where the label comes from", onchange: () => set({ by: by.value || null }, false) },
    ...origins().map(([value, name]) => h("option", { value }, name)),
  );
  const sort = h(
    "select",
    {
      "aria-label": "Order",
      class: "sort-select",
      onchange: () => {
        const [name = "", desc] = sort.value.split(" ");
        set({ sort: name || null, desc: desc ? "1" : null }, false);
      },
    },
    ...SORTS.map(([value, name]) => h("option", { value }, name)),
  );
  const switches = SWITCHES.map(([name, title, why]) => {
    const button = h(
      "button",
      {
        type: "button",
        class: "chip",
        "aria-pressed": "false",
        title: why,
        onclick: () => set({ [name]: button.getAttribute("aria-pressed") === "true" ? null : "1" }, false),
      },
      title,
    );
    return { name, button };
  });
  const clear = h(
    "button",
    { type: "button", class: "link", onclick: () => set(Object.fromEntries(FILTERS.map((name) => [name, null])), false) },
    "Clear",
  );
  const id = fresh("filters");
  const inner = h(
    "div",
    { class: "filters-in", id },
    label.root,
    h("div", { class: "range", role: "group", "aria-label": "Confidence" }, from, h("span", {}, "to"), to),
    by,
    h("div", { class: "chips" }, ...switches.map(({ button }) => button)),
    clear,
  );
  const fold = h(
    "button",
    {
      type: "button",
      class: "fold",
      "aria-expanded": "false",
      "aria-controls": id,
      onclick: () => {
        fold.setAttribute("aria-expanded", String(root.classList.toggle("is-open")));
      },
    },
    "Filters",
  );
  const root = h("div", { class: "filters", role: "search", "aria-label": "Filters" }, contains, fold, inner);
  return {
    root,
    /** Stands beside the count of rows. */
    sort,
    focus: () => contains.focus(),
    /** @param {URLSearchParams} params */
    show(params) {
      for (const [field, name] of /** @type {[HTMLInputElement, string][]} */ ([
        [contains, "contains"],
        [from, "min"],
        [to, "max"],
      ])) {
        if (document.activeElement !== field) field.value = params.get(name) ?? "";
        field.classList.toggle("is-on", params.has(name));
      }
      label.set(params.get("label") ?? "");
      label.root.classList.toggle("is-on", params.has("label"));
      by.value = params.get("by") ?? "";
      by.classList.toggle("is-on", by.value !== "");
      sort.value = [params.get("sort") ?? "", params.get("desc") === "1" ? "desc" : ""].join(" ").trim();
      for (const { name, button } of switches) button.setAttribute("aria-pressed", String(params.get(name) === "1"));
      const on = filtersOn(params);
      clear.hidden = on === 0;
      put(fold, on ? `Filters (${on})` : "Filters");
    },
  };
}

/** @returns {[string, string][]} */
function origins() {
  const refinery = run.info?.refinery ?? "posterior";
  return [
    ["", "From anywhere"],
    [refinery, `From ${origin(refinery)}`],
    ["student", "From the student alone"],
    ["person", "From a person"],
  ];
}

/** One end of the range of confidences. @param {string} name @param {string} hint @param {(value: string | null) => void} set */
function edge(name, hint, set) {
  const input = h("input", { type: "number", min: 0, max: 1, step: 0.05, placeholder: hint, "aria-label": name, inputmode: "decimal" });
  input.addEventListener("input", () => {
    if (input.value === "" && input.validity.badInput) return;
    const value = Number(input.value);
    set(input.value === "" ? null : String(Math.max(0, Math.min(1, value))));
  });
  // What is asked for stands there, once it was typed.
  input.addEventListener("change", () => {
    if (input.value !== "") input.value = String(Math.max(0, Math.min(1, Number(input.value))));
  });
  return input;
}
