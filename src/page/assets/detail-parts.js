// Parts of the panel that only show: the text, what teachers said, the history of the label, texts that are near. No requests.
// Invariant: everything of the corpus and of teachers is a text node.

import { reason } from "./api.js";
import { h, labelName, put } from "./dom.js";
import { count, counted, origin, probability } from "./format.js";

/** Characters that are laid out at once: a megabyte of text takes seconds. */
const FIRST = 20_000;

/**
 * A text, of which the first part is shown until all of it is asked for.
 * @param {string} text
 * @param {string} name  the class
 * @param {(() => Promise<string>) | null} [rest]  gets all of it, where `text` is only the beginning
 */
export function longText(text, name, rest = null) {
  if (text.trim() === "" && !rest)
    return h("p", { class: `${name} none` }, text === "" ? "This text is empty." : "This text has only white space.");
  const shown = h("p", { class: name, dir: "auto" }, text.slice(0, FIRST));
  if (text.length <= FIRST && !rest) return shown;
  const more = h(
    "button",
    { type: "button", class: "link", onclick: () => void showAll() },
    rest ? "Show all of it" : `Show all ${count(text.length)} characters`,
  );
  const showAll = async () => {
    try {
      shown.textContent = rest ? await rest() : text;
      more.remove();
    } catch (error) {
      more.textContent = `${reason(error)} Try again`;
    }
  };
  return h("div", { class: "long" }, shown, more);
}

/** @param {Detail} row */
export function textPart(row) {
  return h("section", { class: "part", "aria-label": "Text" }, longText(row.text, "detail-text"));
}

/** @param {Detail} row */
export function teachersPart(row) {
  if (!row.teachers?.length) return null;
  return h("section", { class: "part" }, h("h3", {}, "Teachers"), ...row.teachers.map((said) => teacherPart(said, row.label)));
}

/** @param {TeacherSaid} said @param {string | null} holds */
function teacherPart(said, holds) {
  const labels = said.labels.map((name, place) =>
    h(
      "li",
      { class: name === holds ? "is-held" : "" },
      labelName(name),
      said.weights[place] !== undefined && h("span", { class: "num faint" }, probability(said.weights[place] ?? null)),
    ),
  );
  const problems = said.answers.filter((answer) => answer.problem !== null);
  const kept = said.answers.filter((answer) => answer.raw !== null || answer.reasoning !== null);
  const answers =
    kept.length > 0 &&
    h(
      "details",
      { class: "answers" },
      h("summary", {}, kept.length === 1 ? "Answer" : counted(kept.length, "answer")),
      ...kept.map(answerPart),
    );
  return h(
    "div",
    { class: "teacher" },
    h("h4", {}, said.teacher),
    labels.length ? h("ol", { class: "teacher-labels" }, ...labels) : h("p", { class: "none" }, "named no label"),
    ...problems.map((answer) => h("p", { class: "bad-text" }, answer.problem)),
    answers,
  );
}

/** @param {TeacherAnswer} answer */
function answerPart(answer) {
  const parts = h("div", { class: "answer" });
  put(
    parts,
    answer.attempt > 1 && h("p", { class: "faint" }, `attempt ${answer.attempt}`),
    answer.raw !== null && h("pre", { tabindex: 0, dir: "auto", role: "region", "aria-label": "Raw answer" }, answer.raw),
    answer.reasoning && h("h5", {}, "Reasoning"),
    answer.reasoning && longText(answer.reasoning, "reasoning"),
  );
  return parts;
}

/** @param {Detail} row */
export function historyPart(row) {
  if (!row.history?.length) return null;
  const events = row.history.map((event) =>
    h(
      "tr",
      {},
      h("td", { class: "num" }, event.revision),
      h("td", {}, labelName(event.label), event.final && h("span", { class: "tag" }, "final")),
      h("td", { class: "num" }, probability(event.confidence)),
      h("td", { class: "faint" }, origin(event.by)),
      h("td", { class: "num faint" }, count(event.student)),
    ),
  );
  return h(
    "section",
    { class: "part" },
    h("h3", {}, "History"),
    h(
      "div",
      { class: "scroll-x", tabindex: 0, role: "region", "aria-label": "History" },
      h(
        "table",
        { class: "history" },
        h("thead", {}, h("tr", {}, ...["No.", "Label", "Conf.", "From", "Step"].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, ...events),
      ),
    ),
  );
}

/** @param {Detail} row @param {(position: number) => void} visit */
export function nearestPart(row, visit) {
  if (!row.nearest?.length) return null;
  return h(
    "section",
    { class: "part" },
    h("h3", {}, "Nearest texts", h("span", { class: "faint" }, "with a label")),
    h(
      "p",
      { class: "faint" },
      "By what they share of words, pairs of words and parts of words, as the n-gram student reads them: 1.00 is all, 0.00 nothing.",
    ),
    h(
      "ul",
      { class: "nearest" },
      ...row.nearest.map((near) =>
        h(
          "li",
          {},
          h(
            "button",
            { type: "button", onclick: () => visit(near.position) },
            h("span", { class: "nearest-text", dir: "auto" }, near.text.slice(0, 300)),
            h(
              "span",
              { class: near.label === row.label ? "nearest-label is-held" : "nearest-label" },
              h("span", { class: "num nearest-share" }, probability(near.similarity)),
              labelName(near.label ?? "no label yet"),
            ),
          ),
        ),
      ),
    ),
  );
}
