// The fourth view: a random sample of the labels, labelled blind, text by text, and what follows from it. The address holds epsilon and delta.
// Texts come from audit-queue.js, what is kept is audited.js', figures are the server's. Invariant: nothing that the run says of a text is
// here before its audit has ended, and figures are not in sight while somebody labels, unless they are asked for.

import { getAudit, isAbort, reason } from "./api.js";
import { actsPanel, drawForm } from "./audit-acts.js";
import { choiceOf, showAuditText, showRest } from "./audit-parts.js";
import { AuditQueue } from "./audit-queue.js";
import { resultPanel } from "./audit-result.js";
import { audited, onAudited } from "./audited.js";
import { announce, h, kbd, isPlain, isTyping, put } from "./dom.js";
import { count } from "./format.js";
import { on, throttled } from "./live.js";
import { actionBar, nameField, noteField, searchField } from "./review-fields.js";
import { sittingList } from "./review-log.js";
import { go } from "./route.js";
import { run } from "./run.js";

/** @typedef {{ row: ToAudit, entry: import("./audited.js").AuditEntry | null }} Step  entry is null of a text that was left for later */

/** @param {HTMLElement} root @param {URLSearchParams} first */
export function auditView(root, first) {
  const able = run.info?.correctable ?? false;
  let params = first;
  /** @type {AuditNow | null} */
  let now = null;
  let error = "";
  /** Which sample the queue is of. */
  let sample = "";
  /** Whether something was said since `now`, which is of before. */
  let isStale = false;
  /** @type {Step[]} */
  const steps = [];
  const abort = new AbortController();
  const queue = new AuditQueue(() => show());
  const progress = h("div", { class: "audit-progress" });
  const name = nameField("Your name, kept with labels");
  const stage = h("section", { class: "stage", tabindex: "-1", "aria-label": "The text" });
  // Few: what is done with the audit as a whole stands below.
  const log = sittingList(audited, "label", (entry) => h("bdi", {}, entry.label), 4);
  const result = resultPanel((change) => go("audit", withChange(params, change), true));
  // Figures that move with each label tell what the run says of the text: they are asked for where somebody wants to see them.
  const soFar = h("details", { class: "so-far", ontoggle: () => soFar.open && void load() }, h("summary", {}, "Figures so far"));
  const acts = actsPanel({ able, taken: (answer) => take(answer), reload: () => void load() });
  const note = noteField(() => focusText());
  const search = searchField(
    (label) => choose(label),
    () => focusText(),
  );
  const bar = actionBar([
    { name: "Later", key: "s", act: () => skip(), can: () => queue.current !== null },
    { name: "Undo", key: "u", act: () => void back(), can: () => steps.length > 0 },
    { name: "Search", key: "/", act: () => openSearch(), can: () => queue.current !== null },
    { name: "Note", key: "n", act: () => openNote(), can: () => queue.current !== null },
  ]);
  const last = h("div", { class: "blank waiting" }, h("p", {}, "Keeping the last label …"));
  const undoLast = h("div", { class: "actions" }, h("button", { type: "button", onclick: () => void back() }, "Undo the last", kbd("u")));
  const main = h("div", { class: "review-main" });
  const side = h("div", { class: "review-side audit-side" });
  put(
    root,
    h(
      "div",
      { class: "page review audit" },
      h("h1", { class: "unseen" }, "Audit"),
      h("div", { class: "review-head" }, progress, name),
      able ? null : h("p", { class: "notice" }, h("strong", {}, "Look only. "), "This page takes no labels: it was started to look."),
      h("div", { class: "review-split" }, main, side),
    ),
  );

  const focusText = () => {
    const text = /** @type {HTMLElement | null} */ (stage.querySelector(".stage-text"));
    (text ?? stage).focus({ preventScroll: true });
  };
  /** @param {string} label */
  const choose = (label) => {
    const row = queue.current;
    if (!row || !able) return;
    isStale = true;
    steps.push({ row, entry: audited.add(row, label, note.value()) });
    advance(false);
  };
  const skip = () => {
    const row = queue.current;
    if (!row || !able) return;
    steps.push({ row, entry: null });
    advance(true);
  };
  /** @param {boolean} isSkipped */
  const advance = (isSkipped) => {
    note.clear();
    search.close();
    queue.next(isSkipped);
    const row = queue.current;
    focusText();
    if (stage.getBoundingClientRect().top < 0) stage.scrollIntoView({ block: "start" });
    if (row) announce(`Next: ${row.text.slice(0, 200)}`);
  };
  const back = async () => {
    const step = steps.pop();
    if (!step) return announce("Nothing to undo");
    isStale ||= step.entry !== null;
    queue.back(step.row);
    focusText();
    announce(step.entry ? `Taking back ${step.entry.label}` : "Back to the text that was left for later");
    if (step.entry) await audited.undo(step.entry);
    return undefined;
  };
  const openSearch = () => {
    if (queue.current && able) search.open([]);
  };
  const openNote = () => {
    if (queue.current && able) note.open();
  };

  /** @type {Record<string, () => void>} */
  const keys = { "/": openSearch, s: skip, u: () => void back(), n: openNote };
  /** @param {KeyboardEvent} event */
  const onKey = (event) => {
    if (!isPlain(event) || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    // A key that is held down would answer for texts that nobody has read.
    if (!able || event.repeat) return;
    const choice = queue.current ? choiceOf(queue.current, event) : null;
    const act = choice !== null ? () => choose(choice) : keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };

  const show = () => {
    const audit = now?.audit ?? null;
    name.hidden = !able || !audit?.open;
    showProgress(progress, now);
    bar.show();
    if (!now) return showWaiting();
    const isLabelling = able && audit !== null && audit.open && (queue.current !== null || !queue.isEnd);
    acts.show(now, params);
    if (!audit) {
      put(
        main,
        drawForm(now, able, (answer) => take(answer)),
      );
      put(side, log.root);
    } else if (isLabelling) {
      if (queue.current) showAuditText(stage, queue.current, choose);
      else showRest(stage, queue.error, () => queue.again());
      keep(main, [stage, search.root, note.root, bar.root]);
      result.show(now, params);
      keep(soFar, [/** @type {HTMLElement} */ (soFar.firstElementChild), hint(), ...(now.figures ? [result.root] : [])]);
      keep(side, audit.counted > 0 ? [log.root, soFar, acts.root] : [log.root, acts.root]);
    } else if (able && audit.open && isStale) {
      keep(main, [last]);
      keep(side, [log.root]);
    } else {
      delete stage.dataset.position;
      result.show(now, params);
      undoLast.hidden = !able || !audit.open || steps.length === 0;
      keep(main, [result.root, undoLast]);
      keep(side, [acts.root, log.root]);
    }
    return undefined;
  };

  const showWaiting = () => {
    put(side);
    if (!error) return put(main, h("div", { class: "blank waiting" }, h("p", {}, "Loading …")));
    return put(
      main,
      h(
        "div",
        { class: "blank", role: "alert" },
        h("h2", {}, "The audit could not be read"),
        h("p", {}, error),
        h("button", { type: "button", class: "main-button", onclick: () => void load() }, "Try again"),
      ),
    );
  };

  /** @param {AuditNow} answer */
  const take = (answer) => {
    now = answer;
    isStale = audited.entries.some((entry) => entry.state === "saving" || entry.state === "undoing");
    error = "";
    const audit = answer.audit;
    const drawn = audit?.open ? `${audit.seed} ${audit.draws.length}` : "";
    if (drawn !== sample) {
      sample = drawn;
      if (drawn) queue.begin();
    }
    show();
  };
  const load = async () => {
    try {
      take(await getAudit(asked(params, !able || soFar.open || (queue.isEnd && !queue.current)), abort.signal));
    } catch (problem) {
      if (isAbort(problem)) return;
      error = reason(problem);
      if (!now) show();
    }
  };
  /** @param {URLSearchParams} next */
  const update = (next) => {
    params = next;
    void load();
  };
  const soon = throttled(() => void load(), 700);
  const off = [
    on("labels", soon.call),
    onAudited(soon.call),
    audited.on((entry) => {
      // One that was dropped is to be labelled again.
      if (entry.state === "failed" && !audited.entries.includes(entry)) queue.forget(entry.row.position);
      bar.show();
    }),
  ];
  document.addEventListener("keydown", onKey);
  show();
  update(first);
  return {
    update,
    destroy() {
      document.removeEventListener("keydown", onKey);
      abort.abort();
      queue.abort.abort();
      soon.stop();
      off.forEach((stop) => stop());
      log.stop();
    },
  };
}

/** What is asked of the server: nothing where the address says nothing. @param {URLSearchParams} params @param {boolean} withFigures */
function asked(params, withFigures) {
  const query = new URLSearchParams(withFigures ? { figures: "1" } : {});
  for (const name of ["epsilon", "delta"]) {
    const value = params.get(name);
    if (value) query.set(name, value);
  }
  return query;
}

/** @param {URLSearchParams} params @param {Record<string, string>} change */
function withChange(params, change) {
  const next = new URLSearchParams(params);
  for (const [name, value] of Object.entries(change)) next.set(name, value);
  return next;
}

/** Puts `children` there, and leaves the DOM alone where they are: the focus may be within. @param {HTMLElement} element @param {HTMLElement[]} children */
function keep(element, children) {
  const same = element.childElementCount === children.length && children.every((child, at) => element.children[at] === child);
  if (!same) put(element, ...children);
}

const HINT = h("p", { class: "faint" });

function hint() {
  HINT.textContent = "They say which of your labels the run has otherwise. Best looked at when all are labelled.";
  return HINT;
}

/** @param {HTMLElement} element @param {AuditNow | null} now */
function showProgress(element, now) {
  const audit = now?.audit;
  if (!audit) return put(element);
  const fill = h("div", { class: "meter-fill" });
  fill.style.width = `${(100 * audit.filled) / Math.max(1, audit.drawn)}%`;
  const state = audit.open ? "labelled" : "labelled · ended";
  return put(
    element,
    h(
      "p",
      {},
      h("strong", { class: "num" }, count(audit.filled)),
      ` of ${count(audit.drawn)} ${state}`,
      h("span", { class: "faint" }, `drawn from ${count(audit.population)}`),
    ),
    h(
      "div",
      {
        class: "meter",
        role: "progressbar",
        "aria-label": "Labelled texts of the sample",
        "aria-valuemin": 0,
        "aria-valuemax": audit.drawn,
        "aria-valuenow": audit.filled,
      },
      fill,
    ),
  );
}
