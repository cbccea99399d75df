// The third view: one doubtful text at a time, corrected with the keyboard. The next text shows at once; what becomes of the correction
// is told beside it. Texts come from queue.js, what is kept is corrections.js's. Invariant: what failed stays in sight until it is dealt with.

import { getRow } from "./api.js";
import { choiceList, choiceOfKey, choicesOf } from "./choices.js";
import { correct, onCorrection, tally, undo, who, setWho } from "./corrections.js";
import { detailPanel } from "./detail.js";
import { longText } from "./detail-parts.js";
import { announce, h, isControl, isPlain, isTyping, kbd, put, say } from "./dom.js";
import { count, counted, probability } from "./format.js";
import { picker } from "./picker.js";
import { Queue } from "./queue.js";
import { sittingList } from "./review-log.js";
import { orderBar } from "./review-order.js";
import { go } from "./route.js";
import { labelNames, run } from "./run.js";

/** @typedef {{ row: Row, entry: import("./corrections.js").Entry | null }} Step  entry is null of a text that was skipped */

/** @param {HTMLElement} root @param {URLSearchParams} first */
export function reviewView(root, first) {
  const able = run.info?.correctable ?? false;
  let query = "";
  /** @type {Step[]} */
  const steps = [];
  let note = "";
  const queue = new Queue(() => show());
  const order = orderBar((params) => go("review", params));
  const left = h("p", { class: "review-left" });
  const name = h("input", { type: "text", class: "who", "aria-label": "Your name, kept with corrections", placeholder: "Your name", autocomplete: "name", maxlength: 80, onchange: () => setWho(name.value) });
  name.value = who();
  const stage = h("section", { class: "stage", tabindex: "-1", "aria-label": "The text" });
  const log = sittingList();
  const panel = detailPanel({ close: () => closePanel(), visit: (position) => panel.open(position), readOnly: true });
  const note_ = h("div", { class: "note-line" });
  const search = h("div", { class: "search-line", hidden: true });
  const buttons = h("div", { class: "actions", role: "group", "aria-label": "What to do" });
  put(root, h("div", { class: "page review" }, h("h1", { class: "unseen" }, "Review"), h("div", { class: "review-head" }, order.root, h("div", { class: "review-who" }, left, name)),
    able ? null : h("p", { class: "notice" }, h("strong", {}, "Look only. "), "This run takes no corrections from here."),
    h("div", { class: "review-split" }, h("div", { class: "review-main" }, stage, search, note_, buttons), h("div", { class: "review-side" }, log.root, panel.root))));

  // Keys that scroll then scroll a text that is longer than its place.
  const focusText = () => {
    const text = /** @type {HTMLElement | null} */ (stage.querySelector(".stage-text"));
    (text ?? stage).focus({ preventScroll: true });
  };
  /** @param {string} label */
  const choose = (label) => {
    const row = queue.current;
    if (!row || !able) return;
    steps.push({ row, entry: correct(row, label, note.trim() || null) });
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
    note = "";
    closeSearch();
    closeNote();
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
    if (!row || !able) return;
    const likely = choicesOf(row).map((choice) => choice.label);
    const names = [...likely, ...labelNames().filter((label) => !likely.includes(label))];
    const field = picker({ label: "Search all labels", placeholder: `Search ${counted(names.length, "label")}`, names, pick: choose, cancel: () => {
      closeSearch();
      focusText();
    } });
    field.input.addEventListener("blur", closeSearch);
    put(search, field.root);
    search.hidden = false;
    field.input.focus();
  };
  const closeSearch = () => {
    search.hidden = true;
    // Emptied later: an element that loses the focus while it is removed tells so once more.
    queueMicrotask(() => search.hidden && put(search));
  };
  const openNote = () => {
    if (!queue.current || !able) return;
    const field = h("input", { type: "text", "aria-label": "Note", placeholder: "A note, kept with the correction of this text", maxlength: 2000 });
    field.value = note;
    field.addEventListener("input", () => {
      note = field.value;
    });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      if (event.key === "Escape") note = "";
      closeNote();
      focusText();
    });
    put(note_, field, h("span", { class: "faint" }, kbd("Enter"), " keeps it, ", kbd("Esc"), " drops it"));
    field.focus();
  };
  const closeNote = () => put(note_, note && h("p", { class: "note-kept" }, h("span", { class: "faint" }, "Note: "), h("bdi", {}, note)));
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
    const choice = row ? choiceOfKey(choicesOf(row), event.key) : null;
    const act = choice ? () => choose(choice.label) : keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };

  const show = () => {
    const row = queue.current;
    buttons.hidden = row === null;
    showLeft(left, queue);
    if (row) showText(stage, row, able ? choose : null);
    else showEnd(stage, queue, steps.length > 0 ? () => void back() : null);
    showButtons();
  };
  const showButtons = () => {
    const row = queue.current;
    put(buttons, action("Accept", "Enter", accept, !able || !row?.label, "main-button"), action("Skip", "s", skip, false), action("Undo", "u", () => void back(), steps.length === 0),
      action("Search", "/", openSearch, !able), action("Note", "n", openNote, !able), action("Teachers", "d", look, false));
  };
  /** @param {URLSearchParams} params */
  const update = (params) => {
    order.show(params);
    if (params.toString() === query && queue.remaining !== null) return;
    query = params.toString();
    steps.length = 0;
    queue.begin(order.query(params));
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
      log.stop();
      panel.stop();
    },
  };
}

/** @param {string} name @param {string} key @param {() => void} act @param {boolean} isOff @param {string} [look] */
function action(name, key, act, isOff, look = "") {
  return h("button", { type: "button", class: look, disabled: isOff, onclick: act }, name, kbd(key));
}

/** @param {HTMLElement} left @param {Queue} queue */
function showLeft(left, queue) {
  const { kept, changed } = tally();
  if (queue.remaining === null) return;
  const remaining = Math.max(0, queue.remaining - (kept - queue.keptThen));
  say(left, `${count(remaining)} left${kept ? ` · ${count(kept)} reviewed now, ${count(changed)} changed` : ""}`);
}

/** @param {HTMLElement} stage @param {Row} row @param {((label: string) => void) | null} choose */
function showText(stage, row, choose) {
  // The same text is not built anew: the focus may be on one of its labels.
  if (stage.dataset.position === String(row.position)) return;
  stage.dataset.position = String(row.position);
  const size = row.text.length < 160 ? "large" : row.text.length < 700 ? "medium" : "small";
  const choices = choicesOf(row);
  put(stage, h("div", { class: `stage-text ${size}`, tabindex: row.text.length > 700 ? 0 : -1 }, h("p", { class: "stage-id faint" }, h("bdi", {}, row.id)), longText(row.text, "stage-words", row.cut ? async () => (await getRow(row.position)).text : null)),
    choices.length ? choiceList(choices, choose) : h("p", { class: "none" }, "No candidates: search a label with /."));
}

/** @param {HTMLElement} stage @param {Queue} queue @param {(() => void) | null} back */
function showEnd(stage, queue, back) {
  delete stage.dataset.position;
  const again = h("button", { type: "button", class: "main-button", onclick: () => queue.begin(queue.query) }, queue.skipped.size ? "Show the skipped ones" : "Look again");
  const undoing = back && h("button", { type: "button", onclick: back }, "Undo the last", kbd("u"));
  if (queue.error) put(stage, h("div", { class: "blank", role: "alert" }, h("h2", {}, "The next texts could not be read"), h("p", {}, queue.error), h("button", { type: "button", class: "main-button", onclick: () => queue.again() }, "Try again")));
  else if (!queue.isEnd) put(stage, h("div", { class: "blank waiting" }, h("p", {}, "Loading …")));
  else if (queue.skipped.size) put(stage, h("div", { class: "blank" }, h("h2", {}, "That was all"), h("p", {}, `${counted(queue.skipped.size, "text")} skipped.`), again, undoing));
  else put(stage, h("div", { class: "blank" }, h("h2", {}, queue.seen.size ? "All reviewed" : "Nothing to review"), h("p", {}, queue.seen.size ? "Every text of this order has a correction." : "No text with a label is in this order. Choose another above."), again, undoing));
}
