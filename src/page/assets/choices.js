// The labels a text may have, numbered for the keys 1 to 9, likeliest first, each with its share as a bar.
// Shared by the review and the panel of a row. No requests: choosing is told to the caller.

import { h, kbd, labelName } from "./dom.js";
import { probability } from "./format.js";
import { meaning } from "./run.js";

/** @typedef {{ label: string, confidence: number | null, holds: boolean }} Choice */

const KEYS = 9;

/** The label that holds, the next likeliest, then candidates without a share; nothing twice. @param {Row} row @returns {Choice[]} */
export function choicesOf(row) {
  /** @type {Map<string, number | null>} */
  const shares = new Map();
  if (row.label !== null) shares.set(row.label, row.confidence);
  for (const other of row.others ?? []) if (!shares.has(other.label)) shares.set(other.label, other.confidence);
  for (const name of row.candidates) if (!shares.has(name)) shares.set(name, null);
  const list = [...shares].map(([label, confidence]) => ({ label, confidence, holds: label === row.label }));
  // Stable: of equal shares the order above stays.
  return list.sort((a, b) => Number(b.holds) - Number(a.holds) || (b.confidence ?? -1) - (a.confidence ?? -1)).slice(0, KEYS);
}

/**
 * @param {Choice[]} choices
 * @param {((label: string) => void) | null} choose  null where nothing can be corrected
 */
export function choiceList(choices, choose) {
  return h("ol", { class: "choices" }, ...choices.map((choice, place) => h("li", {}, choiceButton(choice, place, choose))));
}

/** @param {Choice} choice @param {number} place @param {((label: string) => void) | null} choose */
function choiceButton(choice, place, choose) {
  const fill = h("span", { class: "choice-fill" });
  fill.style.width = `${(choice.confidence ?? 0) * 100}%`;
  const share = choice.confidence === null ? "candidate" : probability(choice.confidence);
  const name = h("span", { class: "choice-name" }, labelName(choice.label), choice.holds && h("span", { class: "holds" }, "holds now"));
  const description = meaning(choice.label);
  return h(
    "button",
    {
      type: "button",
      class: choice.holds ? "choice is-held" : "choice",
      disabled: choose === null,
      title: description ?? false,
      onclick: () => choose?.(choice.label),
    },
    kbd(String(place + 1)),
    name,
    h("span", { class: "choice-bar", "aria-hidden": "true" }, fill),
    h("span", { class: "choice-share num" }, share),
  );
}

/**
 * The choice that a key stands for. Where digits want Shift (AZERTY), the key itself counts, not what it writes.
 * @param {Choice[]} choices
 * @param {KeyboardEvent} event
 */
export function choiceOfKey(choices, event) {
  const place = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
  const digit = /^[1-9]$/.test(event.key) ? event.key : event.shiftKey ? undefined : place;
  return digit === undefined ? null : (choices[Number(digit) - 1] ?? null);
}
