// Labels that were given in this sitting to texts of the audit. How they are kept is keeper.js'.

import { deleteAuditLabel, postAuditLabel } from "./api.js";
import { who } from "./corrections.js";
import { keeper } from "./keeper.js";

/** @typedef {import("./keeper.js").Entry<ToAudit>} AuditEntry */

/** @type {Set<() => void>} */
const listeners = new Set();

/** @param {() => void} listener  told when the server kept or took back a label @returns {() => void}  stops listening */
export function onAudited(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** @type {ReturnType<typeof keeper<ToAudit>>} */
export const audited = keeper(
  ({ row, label, note }) => postAuditLabel({ position: row.position, id: row.id, text_hash: row.text_hash, label, who: who(), note }),
  ({ row }) => deleteAuditLabel(row, who()),
  () => [...listeners].forEach((listener) => listener()),
);
