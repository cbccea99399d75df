// What the review shows in its middle: the text with its choices or, where there is none, why; and what is left. No keys, no requests but
// for the rest of a text that was cut. Invariant: the same text is not built anew, so that the focus on it stays.

import { getRow } from "./api.js";
import { choiceList, choicesOf } from "./choices.js";
import { tally } from "./corrections.js";
import { longText } from "./detail-parts.js";
import { h, kbd, put, say } from "./dom.js";
import { count, counted } from "./format.js";

/** @param {HTMLElement} left @param {import("./queue.js").Queue} queue */
export function showLeft(left, queue) {
  const { kept } = tally();
  if (queue.remaining === null) return;
  const remaining = Math.max(0, queue.remaining - (kept - queue.keptThen));
  say(left, `${count(remaining)} left`);
}

/** @param {HTMLElement} stage @param {Row} row @param {((label: string) => void) | null} choose */
export function showText(stage, row, choose) {
  // The same text is not built anew: the focus may be on one of its labels.
  if (stage.dataset.position === String(row.position)) return;
  stage.dataset.position = String(row.position);
  const size = row.text.length < 160 ? "large" : row.text.length < 700 ? "medium" : "small";
  const choices = choicesOf(row);
  put(
    stage,
    h(
      "div",
      { class: `stage-text ${size}`, tabindex: row.text.length > 700 ? 0 : -1 },
      h("p", { class: "stage-id faint" }, h("bdi", {}, row.id)),
      longText(row.text, "stage-words", row.cut ? async () => (await getRow(row.position)).text : null),
    ),
    choices.length ? choiceList(choices, choose) : h("p", { class: "none" }, "No candidates: search a label with /."),
  );
}

/** @param {HTMLElement} stage @param {import("./queue.js").Queue} queue @param {(() => void) | null} back */
export function showEnd(stage, queue, back) {
  delete stage.dataset.position;
  const again = h(
    "button",
    { type: "button", class: "main-button", onclick: () => queue.begin(queue.query) },
    queue.skipped.size ? "Show the skipped ones" : "Look again",
  );
  const undoing = back && h("button", { type: "button", onclick: back }, "Undo the last", kbd("u"));
  if (queue.error)
    put(
      stage,
      h(
        "div",
        { class: "blank", role: "alert" },
        h("h2", {}, "The next texts could not be read"),
        h("p", {}, queue.error),
        h("button", { type: "button", class: "main-button", onclick: () => queue.again() }, "Try again"),
      ),
    );
  else if (!queue.isEnd) put(stage, h("div", { class: "blank waiting" }, h("p", {}, "Loading …")));
  else if (queue.skipped.size)
    put(
      stage,
      h(
        "div",
        { class: "blank" },
        h("h2", {}, "That was all"),
        h("p", {}, `${counted(queue.skipped.size, "text")} skipped.`),
        again,
        undoing,
      ),
    );
  else
    put(
      stage,
      h(
        "div",
        { class: "blank" },
        h("h2", {}, queue.seen.size ? "All reviewed" : "Nothing to review"),
        h(
          "p",
          {},
          queue.seen.size ? "Every text of this order has a correction." : "No text with a label is in this order. Choose another above.",
        ),
        again,
        undoing,
      ),
    );
}
