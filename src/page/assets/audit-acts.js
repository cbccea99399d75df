// What is done with an audit as a whole: drawing a sample, more of it, the certificate, its end, its labels as corrections.
// Each act is one request, and what it answers is told. Invariant: an end is asked about first, and an act that fails says why where it was begun.

import { postAuditCorrections, postAuditEnd, postDraw, postMore, reason } from "./api.js";
import { who } from "./corrections.js";
import { h, put } from "./dom.js";
import { count, counted } from "./format.js";
import { labelsChanged } from "./live.js";

const USUAL = 100;

/**
 * A number of texts, and a button.
 * @param {{ label: string, value: number, least: number, most: number, name: (n: number) => string, isMain: boolean, act: (n: number) => Promise<unknown> }} about
 */
function numberForm(about) {
  const field = h("input", {
    type: "number",
    required: true,
    min: about.least,
    max: about.most,
    step: 1,
    inputmode: "numeric",
    "aria-label": about.label,
  });
  const button = h("button", { type: "submit", class: about.isMain ? "main-button" : null });
  const trouble = h("p", { class: "bad-text", role: "alert" });
  const wanted = () => Math.min(about.most, Math.max(about.least, Math.round(Number(field.value)) || about.least));
  // What would be drawn stands on the button; where that is no number that can be, nothing is.
  const show = () => {
    const isOne = field.checkValidity();
    button.textContent = about.name(wanted());
    button.disabled = !isOne;
    field.setAttribute("aria-invalid", String(!isOne));
    put(trouble, isOne ? null : `Give a whole number from ${count(about.least)} to ${count(about.most)}.`);
  };
  field.value = String(Math.min(about.most, about.value));
  field.addEventListener("input", show);
  show();
  const root = h("form", { class: "number-form" }, field, button, trouble);
  root.addEventListener("submit", (event) => {
    event.preventDefault();
    void attempt(button, trouble, () => about.act(wanted()));
  });
  return root;
}

/** @param {HTMLButtonElement} button @param {HTMLElement} trouble @param {() => Promise<unknown>} act */
async function attempt(button, trouble, act) {
  button.disabled = true;
  put(trouble);
  try {
    await act();
  } catch (error) {
    put(trouble, reason(error));
  }
  button.disabled = false;
}

/**
 * Where there is no audit yet, or another is to be drawn.
 * @param {AuditNow} now @param {boolean} able @param {(now: AuditNow) => void} taken
 */
export function drawForm(now, able, taken) {
  const most = Math.min(now.most, now.population);
  const start = numberForm({
    label: "Texts to draw",
    value: USUAL,
    least: 1,
    most,
    name: (n) => `Draw ${counted(n, "text")}`,
    isMain: !now.audit,
    act: async (n) => {
      const answer = await postDraw({ n, who: who() });
      labelsChanged();
      taken(answer);
    },
  });
  const reading = now.reading
    ? "The files of the run are being read."
    : "An audit is of final labels: let the run come to the end of its corpus.";
  const none = h("p", { class: "notice" }, h("strong", {}, "No final labels yet. "), reading);
  const form = most > 0 ? (able ? start : null) : none;
  if (now.audit) {
    const what =
      "Of the labels as they are now. Download the certificate of this audit first, and take its labels as corrections if they are to be: the new sample takes its place, and gives it back only where it is given up before anything of it is labelled (candist audit RUN --drop).";
    return h("section", { class: "audit-start" }, h("h2", {}, "Draw another sample"), h("p", {}, what), form);
  }
  return h(
    "section",
    { class: "audit-start" },
    h("h2", {}, "How many labels are right?"),
    h(
      "p",
      {},
      "Label a random sample without seeing what the run says. It tells how many of all labels are right, and from which confidence on they can be relied on.",
    ),
    most > 0 &&
      h(
        "p",
        { class: "faint" },
        `${counted(now.population, "label")} to draw from. 100 texts tell the share to some 8 points either way, 400 to some 4.`,
      ),
    form,
    h(
      "p",
      { class: "faint" },
      "Texts of the sample cannot be corrected while the audit goes on, and nothing that labels sees your answers.",
    ),
  );
}

/** @param {{ able: boolean, taken: (now: AuditNow) => void, reload: () => void }} about */
export function actsPanel(about) {
  const root = h("section", { class: "audit-acts", "aria-label": "The audit as a whole" });
  let shown = "";
  /** Texts that do not count, by now. */
  let left = 0;
  return {
    root,
    /** @param {AuditNow} now @param {URLSearchParams} params */
    show(now, params) {
      // Built anew only where something else can be done: a form in it may be typed in.
      const { audit } = now;
      left = audit ? audit.drawn - audit.counted : 0;
      const key = JSON.stringify([
        audit && { ...audit, filled: audit.filled > 0, counted: audit.counted === audit.drawn ? 2 : Math.min(1, audit.counted) },
        now.population,
        params.toString(),
      ]);
      if (key === shown) return;
      shown = key;
      put(root, ...(audit ? acts(now, audit, params, () => left, about) : []));
    },
  };
}

/**
 * @param {AuditNow} now @param {Audit} audit @param {URLSearchParams} params @param {() => number} left
 * @param {Parameters<typeof actsPanel>[0]} about
 */
function acts(now, audit, params, left, about) {
  const isFull = audit.counted === audit.drawn;
  const certificate = audit.counted > 0 || !audit.open ? certificateLink(params, isFull || !audit.open) : null;
  if (!about.able) return [certificate];
  if (!audit.open) return [certificate, correctionsPart(audit, about), drawForm(now, true, about.taken)];
  const most = Math.min(now.most, now.population);
  const more =
    most > audit.drawn && audit.filled > 0
      ? numberForm({
          label: "Texts in the sample",
          value: audit.drawn * 2,
          least: audit.drawn + 1,
          most,
          name: (n) => `Make it ${counted(n, "text")}`,
          isMain: false,
          act: async (n) => {
            about.taken(await postMore({ n, who: who() }));
            labelsChanged();
          },
        })
      : null;
  const instead =
    audit.filled === 0
      ? numberForm({
          label: "Texts to draw instead",
          value: USUAL,
          least: 1,
          most,
          name: (n) => `Draw ${counted(n, "text")} instead`,
          isMain: false,
          act: async (n) => {
            about.taken(await postDraw({ n, who: who(), anew: true }));
            labelsChanged();
          },
        })
      : null;
  const larger = more && h("div", { class: "larger" }, more, h("p", { class: "faint" }, `The ${count(audit.drawn)} that are drawn stay.`));
  const end = audit.counted > 0 ? endButton(params, left, about) : null;
  return isFull ? [certificate, end, larger] : [certificate, instead, larger, end];
}

/** @param {URLSearchParams} params @param {boolean} isMain */
function certificateLink(params, isMain) {
  const query = new URLSearchParams();
  for (const name of ["epsilon", "delta"]) {
    const value = params.get(name);
    if (value) query.set(name, value);
  }
  return h(
    "a",
    { class: isMain ? "button main-button" : "button", href: `/audit/certificate?${query}`, download: "" },
    "Download the certificate",
  );
}

/** @param {URLSearchParams} params @param {() => number} left  texts that do not count @param {Parameters<typeof actsPanel>[0]} about */
function endButton(params, left, about) {
  const ask = () => {
    const dialog = endDialog(left(), async () => {
      const epsilon = Number(params.get("epsilon") ?? 0.05);
      const answer = await postAuditEnd({ epsilon, delta: Number(params.get("delta") ?? 0.05), who: who() });
      labelsChanged();
      about.taken(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    // It is of this view.
    const gone = () => dialog.close();
    addEventListener("hashchange", gone);
    dialog.addEventListener("close", () => removeEventListener("hashchange", gone));
  };
  return h("button", { type: "button", onclick: ask }, "End the audit …");
}

/** @param {number} left @param {() => Promise<void>} act */
function endDialog(left, act) {
  const trouble = h("p", { class: "bad-text", role: "alert" });
  const end = h("button", { type: "button", class: "main-button" }, "End the audit");
  const stay = h("button", { type: "button", onclick: () => dialog.close() }, "Go on with it");
  const what =
    "Its certificate is kept as it is now. No label can be added afterwards, and the texts of the sample can be corrected again.";
  const why = "They have no label, or come after one that has none.";
  const missing = left > 0 && h("p", { class: "notice" }, h("strong", {}, `${counted(left, "text")} do not count. `), why);
  const dialog = h(
    "dialog",
    { class: "ask-dialog", "aria-labelledby": "end-title" },
    h("h2", { id: "end-title" }, "End the audit?"),
    h("p", {}, what),
    missing,
    trouble,
    h("div", { class: "dialog-acts" }, stay, end),
  );
  end.addEventListener("click", () =>
    attempt(end, trouble, async () => {
      await act();
      dialog.close();
    }),
  );
  dialog.addEventListener("close", () => dialog.remove());
  return dialog;
}

/** @param {Audit} audit @param {Parameters<typeof actsPanel>[0]} about */
function correctionsPart(audit, about) {
  if (audit.corrected !== null)
    return h(
      "p",
      { class: "kept-line" },
      h("span", { class: "check-mark", "aria-hidden": "true" }),
      `${counted(audit.corrected, "label")} taken as corrections`,
    );
  const trouble = h("p", { class: "bad-text", role: "alert" });
  const button = h("button", { type: "button" }, `Take the ${counted(audit.filled, "label")} as corrections`);
  button.addEventListener("click", () =>
    attempt(button, trouble, async () => {
      await postAuditCorrections({ who: who() });
      labelsChanged();
      about.reload();
    }),
  );
  return h(
    "div",
    { class: "take" },
    button,
    h(
      "p",
      { class: "faint" },
      `The run learns from ${count(audit.filled)} more. The certificate stays as it is, but they are no sample any more: candist audit RUN --filled prints them before.`,
    ),
    trouble,
  );
}
