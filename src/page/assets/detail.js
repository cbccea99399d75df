// The panel of one text: all of it, its candidates, what teachers said, how its label came to be, and a place to correct it.
// It asks for the text by its position. Invariant: a correction shows as kept only after the server said so (corrections.js).

import { getRow, isAbort, reason } from "./api.js";
import { choiceList, choiceOfKey, choicesOf } from "./choices.js";
import { correct, drop, onCorrection, send, sitting, undo } from "./corrections.js";
import { announce, h, isPlain, isTyping, labelName, put } from "./dom.js";
import { origin, probability, times } from "./format.js";
import { picker } from "./picker.js";
import { href } from "./route.js";
import { labelNames, run } from "./run.js";
import { historyPart, nearestPart, teachersPart, textPart } from "./detail-parts.js";

/** @typedef {import("./corrections.js").Entry} Entry */

/**
 * @param {object} about
 * @param {() => void} about.close
 * @param {(step: 1 | -1) => void} [about.step]  to the next or previous text
 * @param {(position: number) => void} about.visit  opens another text
 * @param {boolean} [about.readOnly]
 */
export function detailPanel(about) {
  const title = h("h2", { class: "detail-id", tabindex: "-1" });
  const steps = about.step
    ? [
        stepButton("Previous text (k)", "M10 12 6 8l4-4", () => about.step?.(-1)),
        stepButton("Next text (j)", "m6 4 4 4-4 4", () => about.step?.(1)),
      ]
    : [];
  const close = stepButton("Close (Esc)", "m4 4 8 8m0-8-8 8", about.close);
  const body = h("div", { class: "detail-body", tabindex: 0, role: "region", "aria-label": "About this text" });
  const root = h(
    "aside",
    { class: "detail", "aria-label": "One text", hidden: true },
    h("div", { class: "detail-head" }, title, h("div", { class: "detail-steps" }, ...steps, close)),
    body,
  );
  let abort = new AbortController();
  /** @type {number | null} */
  let position = null;
  /** @type {Detail | null} */
  let shown = null;

  /** @param {number} place @param {boolean} again  the same text, newer */
  const load = async (place, again) => {
    abort.abort();
    abort = new AbortController();
    const { signal } = abort;
    try {
      const detail = await getRow(place, signal);
      if (signal.aborted) return;
      const isSame = again && JSON.stringify(detail) === JSON.stringify(shown) && lastOf(place) === undefined;
      shown = detail;
      if (isSame) return;
      const opened = [...body.querySelectorAll("details")].map((one) => one.open);
      show();
      if (again) body.querySelectorAll("details").forEach((one, at) => (one.open = opened[at] ?? false));
      if (!again) body.scrollTop = 0;
    } catch (error) {
      if (isAbort(error) || signal.aborted) return;
      put(
        body,
        h(
          "div",
          { class: "notice bad", role: "alert" },
          reason(error),
          " ",
          h("button", { type: "button", onclick: () => void load(place, again) }, "Try again"),
        ),
      );
    }
  };

  /** @param {string} label */
  const choose = (label) => {
    if (!shown || !run.info?.correctable || shown.audited) return;
    const note = /** @type {HTMLInputElement | null} */ (body.querySelector("input.note"));
    correct(shown, label, note?.value.trim() || null);
    // What was chosen is built anew: the focus goes on from the head.
    title.focus({ preventScroll: true });
    announce(`Sent ${label}`);
  };

  const show = () => {
    if (!shown) return;
    const row = shown;
    title.textContent = row.id;
    title.title = row.id;
    put(
      body,
      textPart(row),
      labelPart(row),
      about.readOnly ? null : correctPart(row, choose),
      row.failure ? h("p", { class: "notice" }, h("strong", {}, "No label from a teacher: "), row.failure) : null,
      row.partial
        ? h(
            "p",
            { class: "notice" },
            "Looking for answers and history took too long: some may be missing. ",
            h("button", { type: "button", onclick: () => void load(row.position, true) }, "Look again"),
          )
        : null,
      teachersPart(row),
      historyPart(row),
      nearestPart(row, about.visit),
    );
  };

  const stop = onCorrection((entry) => {
    if (root.hidden || position === null || entry.row.position !== position) return;
    if (entry.state === "kept" || entry.state === "undone") void load(position, true);
    else show();
  });

  return {
    root,
    /** @param {number} place */
    open(place) {
      const first = root.hidden;
      root.hidden = false;
      if (place === position && shown) return;
      position = place;
      shown = null;
      title.textContent = `Text ${place}`;
      void load(place, false);
      if (first) title.focus({ preventScroll: true });
    },
    hide() {
      abort.abort();
      position = null;
      shown = null;
      root.hidden = true;
      put(body);
    },
    refresh() {
      // Not under the hands of somebody who writes.
      if (position !== null && !isTyping(document.activeElement)) void load(position, true);
    },
    /** @param {KeyboardEvent} event */
    onKey(event) {
      if (root.hidden || !isPlain(event)) return;
      if (event.key === "Escape") return about.close();
      if (isTyping(event.target)) return;
      if (event.key === "j") return about.step?.(1);
      if (event.key === "k") return about.step?.(-1);
      const choice = shown && !about.readOnly && !shown.audited ? choiceOfKey(choicesOf(shown), event) : null;
      if (choice) choose(choice.label);
    },
    stop() {
      abort.abort();
      stop();
    },
  };
}

/** @param {number | null} position */
function lastOf(position) {
  return sitting.findLast((entry) => entry.row.position === position);
}

/** @param {string} name @param {string} path @param {() => void} act */
function stepButton(name, path, act) {
  const button = h("button", { type: "button", class: "quiet icon", "aria-label": name, title: name, onclick: act });
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  icon.setAttribute("viewBox", "0 0 16 16");
  icon.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  icon.append(line);
  button.append(icon);
  return button;
}

/** @param {Detail} row */
function labelPart(row) {
  if (row.label === null) return h("p", { class: "none" }, "No label yet.");
  const facts = [
    row.margin === null || row.corrected ? null : `${probability(row.margin)} ahead of the next`,
    `from ${origin(row.by)}`,
    row.final ? "final" : "not final yet",
    row.revision > 0 ? `changed ${times(row.revision)}` : null,
  ];
  return h(
    "div",
    { class: "detail-label" },
    h("p", { class: "detail-name" }, labelName(row.label), h("span", { class: "num" }, probability(row.confidence))),
    h("p", { class: "faint" }, facts.filter(Boolean).join(" · ")),
  );
}

/** @param {Detail} row @param {(label: string) => void} choose */
function correctPart(row, choose) {
  const able = (run.info?.correctable ?? false) && !row.audited;
  const choices = choicesOf(row);
  const list = choices.length ? choiceList(choices, able ? choose : null) : h("p", { class: "none" }, "No candidates.");
  const entry = lastOf(row.position);
  if (!able) return h("section", { class: "part" }, h("h3", {}, "Candidates"), list, row.audited ? auditedPart() : null);
  const likely = choices.map((choice) => choice.label);
  const search = picker({
    label: "Another label",
    placeholder: "Another label",
    names: [...likely, ...labelNames().filter((name) => !likely.includes(name))],
    value: "",
    pick: choose,
  });
  const note = h("input", {
    type: "text",
    class: "note",
    placeholder: "Note",
    "aria-label": "A note, kept with the correction",
    maxlength: 2000,
  });
  return h(
    "section",
    { class: "part" },
    h("h3", {}, "Candidates", h("span", { class: "faint" }, "choose one to correct")),
    list,
    h("div", { class: "correct-more" }, search.root, note),
    correctionState(row, entry),
  );
}

/** Why it cannot be corrected. */
function auditedPart() {
  return h(
    "p",
    { class: "notice in-sample" },
    h("strong", {}, "In the audit sample. "),
    "It cannot be corrected while the audit goes on: corrected, it would count as right, and the audit would be worth nothing. ",
    h("a", { href: href("audit") }, "To the audit"),
  );
}

/** @param {Detail} row @param {Entry | undefined} entry */
function correctionState(row, entry) {
  if (entry?.state === "failed") {
    return h(
      "div",
      { class: "notice bad", role: "alert" },
      h("strong", {}, "Not kept. "),
      entry.error,
      " ",
      h("button", { type: "button", onclick: () => send(entry) }, "Try again"),
      " ",
      h("button", { type: "button", class: "link", onclick: () => drop(entry) }, "Drop it"),
    );
  }
  if (entry?.state === "saving" || entry?.state === "undoing")
    return h("p", { class: "kept-line", role: "status" }, entry.state === "saving" ? `Saving ${entry.label} …` : "Taking it back …");
  const { correction } = row;
  if (!correction) return h("p", { class: "kept-line", role: "status" });
  // One that an earlier sitting kept is taken back like one of this.
  const kept = entry ?? {
    row,
    label: correction.label,
    note: correction.note,
    state: /** @type {const} */ ("kept"),
    error: "",
    settled: Promise.resolve(),
  };
  const back = h(
    "button",
    {
      type: "button",
      class: "link",
      onclick: () => {
        if (!sitting.includes(kept)) sitting.push(kept);
        void undo(kept);
      },
    },
    "Take it back",
  );
  const by = correction.who ? ` by ${correction.who}` : "";
  return h(
    "div",
    { class: "kept-line", role: "status" },
    h("span", { class: "check-mark", "aria-hidden": "true" }),
    `Kept${by}`,
    correction.note && h("bdi", { class: "faint" }, `“${correction.note}”`),
    back,
    kept.error && h("span", { class: "bad-text" }, kept.error),
  );
}
