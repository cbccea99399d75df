// What became of the labels of this sitting: the latest, and whatever failed. It shows what a keeper has and asks it to try again.

import { h, labelName, put } from "./dom.js";
import { count } from "./format.js";

const STATES = { saving: "saving …", kept: "kept", failed: "not kept", undoing: "taking back …", undone: "taken back" };

/**
 * @template {{ text: string }} R
 * @param {{
 *   entries: import("./keeper.js").Entry<R>[],
 *   on: (listener: () => void) => () => void,
 *   send: (entry: import("./keeper.js").Entry<R>) => void,
 *   drop: (entry: import("./keeper.js").Entry<R>) => void,
 * }} kept
 * @param {string} noun  of one entry
 * @param {(entry: import("./keeper.js").Entry<R>) => HTMLElement} change  what was said of the text
 * @param {number} most  so many are shown, and all that failed
 */
export function sittingList(kept, noun, change, most) {
  const list = h("ol", { class: "log" });
  const failures = h("div", { class: "failures", role: "alert" });
  const title = h("h2", {}, "This sitting");
  const root = h("section", { class: "sitting", "aria-label": "This sitting" }, failures, title, list);
  /** @param {import("./keeper.js").Entry<R>} entry */
  const line = (entry) =>
    h(
      "li",
      { class: "log-entry", "data-state": entry.state },
      h("p", { class: "log-text", dir: "auto" }, entry.row.text.slice(0, 160)),
      h("p", { class: "log-label" }, change(entry)),
      h(
        "p",
        { class: "log-state" },
        STATES[entry.state],
        entry.error && entry.state === "kept" && ` · ${entry.error}`,
        entry.state === "failed" && h("button", { type: "button", class: "link", onclick: () => kept.send(entry) }, "Try again"),
        entry.state === "failed" && h("button", { type: "button", class: "link", onclick: () => kept.drop(entry) }, "Drop it"),
      ),
    );
  let told = "";
  const show = () => {
    const failed = kept.entries.filter((entry) => entry.state === "failed");
    // Said once: a reader of the screen reads it out whenever it is made anew.
    const saying = `${failed.length} ${failed.at(-1)?.error}`;
    if (saying !== told) showFailures(failed);
    told = saying;
    const rest = kept.entries.filter((entry) => entry.state !== "failed").slice(-most);
    const entries = [...failed, ...rest.reverse()];
    root.hidden = entries.length === 0;
    put(list, ...entries.map(line));
  };
  /** @param {import("./keeper.js").Entry<R>[]} failed */
  const showFailures = (failed) =>
    put(
      failures,
      failed.length > 0 &&
        h(
          "p",
          {},
          h("strong", {}, failed.length === 1 ? `One ${noun} is not kept. ` : `${count(failed.length)} ${noun}s are not kept. `),
          failed.at(-1)?.error,
        ),
      failed.length > 0 &&
        h("button", { type: "button", onclick: () => failed.forEach(kept.send) }, failed.length === 1 ? "Try again" : "Try all again"),
    );
  show();
  return { root, stop: kept.on(show) };
}

/** The label that was, and the one that was given. @param {import("./corrections.js").Entry} entry */
export function correctionOf(entry) {
  if (entry.label === entry.row.label) return labelName(entry.label);
  return h("span", {}, h("bdi", { class: "was" }, entry.row.label ?? "no label"), " → ", labelName(entry.label));
}
