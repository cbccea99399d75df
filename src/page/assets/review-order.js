// In which order texts are reviewed: least certain, by chance, where teachers disagree, or those of one label. The address holds it.

import { h } from "./dom.js";
import { picker } from "./picker.js";
import { labelNames } from "./run.js";

/** @type {[string, string][]} */
const ORDERS = [
  ["doubtful", "Least certain"],
  ["disagree", "Teachers disagree"],
  ["random", "By chance"],
  ["label", "One label"],
];

/** @param {(params: URLSearchParams) => void} set */
export function orderBar(set) {
  // One seed a visit: what comes next by chance must not come twice.
  const seed = String(Math.floor(Math.random() * 1e6) + 1);
  const label = picker({
    label: "Which label",
    placeholder: "Which label",
    names: labelNames(),
    value: "",
    pick: (name) => set(new URLSearchParams({ order: "label", label: name })),
  });
  const buttons = ORDERS.map(([order, name]) => ({
    order,
    button: h("button", { type: "button", class: "segment", "aria-pressed": "false", onclick: () => choose(order) }, name),
  }));
  const root = h(
    "div",
    { class: "orders" },
    h("div", { class: "segments", role: "group", "aria-label": "Order" }, ...buttons.map(({ button }) => button)),
    label.root,
  );
  label.root.hidden = true;

  /** @param {string} order */
  function choose(order) {
    if (order !== "label") return set(order === "doubtful" ? new URLSearchParams() : new URLSearchParams({ order }));
    label.root.hidden = false;
    return label.input.focus();
  }
  return {
    root,
    /** @param {URLSearchParams} params */
    show(params) {
      const on = params.get("order") ?? "doubtful";
      for (const { order, button } of buttons) button.setAttribute("aria-pressed", String(order === on));
      label.root.hidden = on !== "label";
      label.set(params.get("label") ?? "");
    },
    /** The request that is meant. @param {URLSearchParams} params */
    query(params) {
      const query = new URLSearchParams({ order: params.get("order") ?? "doubtful" });
      const name = params.get("label");
      if (name) query.set("label", name);
      if (query.get("order") === "random") query.set("seed", seed);
      return query;
    },
  };
}
