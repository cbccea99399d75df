// The third view: one doubtful text at a time, corrected with the keyboard. The next text shows at once; what becomes of the correction
// is told beside it. Texts come from queue.js, what is kept is corrections.js's. Invariant: what failed stays in sight until it is dealt with.

import { choiceOfKey, choicesOf } from "./choices.js";
import { correct, corrections, onCorrection, undo } from "./corrections.js";
import { detailPanel } from "./detail.js";
import { announce, h, isControl, isPlain, isTyping, put } from "./dom.js";
import { estimatesLine } from "./estimates.js";
import { probability } from "./format.js";
import { Queue } from "./queue.js";
import { actionBar, nameField, noteField, searchField } from "./review-fields.js";
import { correctionOf, sittingList } from "./review-log.js";
import { orderBar } from "./review-order.js";
import { showEnd, showLeft, showText } from "./review-parts.js";
import { go } from "./route.js";
import { run } from "./run.js";

/** @typedef {{ row: Row, entry: import("./corrections.js").Entry | null }} Step  entry is null of a text that was skipped */

/** @param {HTMLElement} root @param {URLSearchParams} first */
export function reviewView(root, first) {
  const able = run.info?.correctable ?? false;
  let query = "";
  /** @type {Step[]} */
  const steps = [];
  const queue = new Queue(
    () => show(),
    (answer) => estimates.first(answer.expected),
  );
  const order = orderBar((params) => go("review", params));
  const left = h("p", { class: "review-left" });
  const estimates = estimatesLine(() => (queue.query.get("order") === "random" ? steps : null));
  const name = nameField("Your name, kept with corrections");
  name.hidden = !able;
  const stage = h("section", { class: "stage", tabindex: "-1", "aria-label": "The text" });
  const log = sittingList(corrections, "correction", correctionOf, 12);
  const panel = detailPanel({ close: () => closePanel(), visit: (position) => panel.open(position), readOnly: true });
  const note = noteField(() => focusText());
  const search = searchField(
    (label) => choose(label),
    () => focusText(),
  );
  const bar = actionBar(
    [
      { name: "Accept", key: "Enter", act: () => accept(), isMain: true, corrects: true, can: () => Boolean(queue.current?.label) },
      { name: "Skip", key: "s", act: () => skip(), can: () => true },
      { name: "Undo", key: "u", act: () => void back(), can: () => steps.length > 0 },
      { name: "Search", key: "/", act: () => openSearch(), corrects: true, can: () => true },
      { name: "Note", key: "n", act: () => openNote(), corrects: true, can: () => true },
      { name: "Teachers", key: "d", act: () => look(), can: () => true },
    ].filter((action) => able || !action.corrects),
  );
  put(
    root,
    h(
      "div",
      { class: "page review" },
      h("h1", { class: "unseen" }, "Review"),
      h("div", { class: "review-head" }, order.root, name),
      h("div", { class: "standing" }, left, estimates.root),
      able ? null : h("p", { class: "notice" }, h("strong", {}, "Look only. "), "This run takes no corrections from here."),
      h(
        "div",
        { class: "review-split" },
        h("div", { class: "review-main" }, stage, search.root, note.root, bar.root),
        h("div", { class: "review-side" }, log.root, panel.root),
      ),
    ),
  );

  // Keys that scroll then scroll a text that is longer than its place.
  const focusText = () => {
    const text = /** @type {HTMLElement | null} */ (stage.querySelector(".stage-text"));
    (text ?? stage).focus({ preventScroll: true });
  };
  /** @param {string} label */
  const choose = (label) => {
    const row = queue.current;
    if (!row || !able) return;
    steps.push({ row, entry: correct(row, label, note.value()) });
    advance();
  };
  const accept = () => {
    const row = queue.current;
    if (row?.label) choose(row.label);
  };
  const skip = () => {
    const row = queue.current;
    if (!row) return;
    steps.push({ row, entry: null });
    queue.skipped.add(row.position);
    advance();
  };
  const advance = () => {
    note.clear();
    search.close();
    if (!panel.root.hidden) panel.hide();
    queue.next();
    const row = queue.current;
    focusText();
    if (stage.getBoundingClientRect().top < 0) stage.scrollIntoView({ block: "start" });
    if (row) announce(`Next: ${row.text.slice(0, 200)}. ${row.label ?? "No label"}, ${probability(row.confidence)}`);
  };
  const back = async () => {
    const step = steps.pop();
    if (!step) return announce("Nothing to undo");
    queue.back(step.row);
    focusText();
    announce(step.entry ? `Taking back ${step.entry.label}` : "Back to the skipped text");
    if (step.entry) await undo(step.entry);
    return undefined;
  };
  const openSearch = () => {
    const row = queue.current;
    if (row && able) search.open(choicesOf(row).map((choice) => choice.label));
  };
  const openNote = () => {
    if (queue.current && able) note.open();
  };
  const closePanel = () => {
    panel.hide();
    focusText();
  };
  const look = () => {
    const row = queue.current;
    if (!panel.root.hidden) closePanel();
    else if (row) panel.open(row.position);
  };

  /** @type {Record<string, () => void>} */
  const keys = { Enter: accept, "/": openSearch, s: skip, u: () => void back(), n: openNote, d: look };
  /** @param {KeyboardEvent} event */
  const onKey = (event) => {
    if (!isPlain(event) || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && !panel.root.hidden) return closePanel();
    // A key that is held down would answer for texts that nobody has read.
    if (event.repeat || (event.key === "Enter" && isControl(event.target))) return;
    const row = queue.current;
    const choice = row ? choiceOfKey(choicesOf(row), event) : null;
    const act = choice ? () => choose(choice.label) : keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };

  const show = () => {
    const row = queue.current;
    bar.root.hidden = row === null;
    bar.show();
    showLeft(left, queue);
    if (row) showText(stage, row, able ? choose : null);
    else showEnd(stage, queue, steps.length > 0 ? () => void back() : null);
  };
  /** @param {URLSearchParams} params */
  const update = (params) => {
    order.show(params);
    if (params.toString() === query && queue.remaining !== null) return;
    query = params.toString();
    steps.length = 0;
    estimates.begin();
    queue.begin(order.query(params));
    // Enter is the text's from here on, and not the button's that chose the order.
    if (order.root.contains(document.activeElement)) focusText();
  };
  const stop = onCorrection(() => showLeft(left, queue));
  document.addEventListener("keydown", onKey);
  update(first);
  return {
    update,
    destroy() {
      document.removeEventListener("keydown", onKey);
      queue.abort.abort();
      stop();
      estimates.stop();
      log.stop();
      panel.stop();
    },
  };
}
