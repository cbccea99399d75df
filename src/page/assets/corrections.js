// Corrections of this sitting, and who gives them. How they are kept is keeper.js'; views show this list and add to it.

import { deleteCorrection, postCorrection } from "./api.js";
import { keeper, unkept } from "./keeper.js";
import { labelsChanged } from "./live.js";

/** @typedef {import("./keeper.js").Entry<Row>} Entry */

const WHO = "candist.who";

/** Who corrects, as they told this browser; "" where they did not. */
export function who() {
  try {
    return localStorage.getItem(WHO) ?? "";
  } catch {
    // Storage is switched off: then it is asked for at every visit.
    return "";
  }
}

/** @param {string} name */
export function setWho(name) {
  try {
    localStorage.setItem(WHO, name.trim());
  } catch {
    return;
  }
}

/** @type {ReturnType<typeof keeper<Row>>} */
export const corrections = keeper(
  ({ row, label, note }) => postCorrection({ position: row.position, id: row.id, text_hash: row.text_hash, label, who: who(), note }),
  ({ row, label }) => deleteCorrection(row, label, who()),
  labelsChanged,
);

/** The newest is last. */
export const sitting = corrections.entries;
export const { on: onCorrection, add: correct, send, undo, drop } = corrections;

/** The counts of this sitting. */
export function tally() {
  const kept = sitting.filter((entry) => entry.state === "kept");
  return {
    kept: kept.length,
    changed: kept.filter((entry) => entry.label !== entry.row.label).length,
    ...unkept(sitting),
  };
}
