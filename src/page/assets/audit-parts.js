// What the audit shows in its middle while somebody labels: the text and its choices, without anything that the run says of it.
// Invariant: the same text is not built anew, so that the focus on it stays.

import { getAuditText } from "./api.js";
import { longText } from "./detail-parts.js";
import { h, kbd, put } from "./dom.js";
import { meaning } from "./run.js";

/** @param {HTMLElement} stage @param {ToAudit} row @param {(label: string) => void} choose */
export function showAuditText(stage, row, choose) {
  if (stage.dataset.position === String(row.position)) return;
  stage.dataset.position = String(row.position);
  const size = row.text.length < 160 ? "large" : row.text.length < 700 ? "medium" : "small";
  const choices = row.choices.map((label, place) =>
    h(
      "li",
      {},
      h(
        "button",
        { type: "button", class: "choice blind", title: meaning(label) ?? false, onclick: () => choose(label) },
        kbd(String(place + 1)),
        h("span", { class: "choice-name" }, h("bdi", {}, label)),
      ),
    ),
  );
  put(
    stage,
    h(
      "div",
      { class: `stage-text ${size}`, tabindex: row.text.length > 700 ? 0 : -1 },
      h("p", { class: "stage-id faint" }, h("bdi", {}, row.id)),
      longText(row.text, "stage-words", row.cut ? async () => (await getAuditText(row.position)).text : null),
    ),
    h("ol", { class: "choices blind-choices" }, ...choices),
  );
}

/** @param {HTMLElement} stage @param {string} error @param {() => void} again */
export function showRest(stage, error, again) {
  delete stage.dataset.position;
  if (!error) return put(stage, h("div", { class: "blank waiting" }, h("p", {}, "Loading …")));
  return put(
    stage,
    h(
      "div",
      { class: "blank", role: "alert" },
      h("h2", {}, "The next texts could not be read"),
      h("p", {}, error),
      h("button", { type: "button", class: "main-button", onclick: again }, "Try again"),
    ),
  );
}

/** The label that a key stands for. Where digits want Shift (AZERTY), the key itself counts. @param {ToAudit} row @param {KeyboardEvent} event */
export function choiceOf(row, event) {
  const place = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
  const digit = /^[1-9]$/.test(event.key) ? event.key : event.shiftKey ? undefined : place;
  return digit === undefined ? null : (row.choices[Number(digit) - 1] ?? null);
}
