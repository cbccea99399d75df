// What became of the corrections of this sitting: the latest, and whatever failed. It shows corrections.js and asks it to try again.

import { drop, onCorrection, send, sitting } from "./corrections.js";
import { h, put } from "./dom.js";
import { count } from "./format.js";

const SHOWN = 12;
const STATES = { saving: "saving …", kept: "kept", failed: "not kept", undoing: "taking back …", undone: "taken back" };

export function sittingList() {
  const list = h("ol", { class: "log" });
  const failures = h("div", { class: "failures", role: "alert" });
  const title = h("h2", {}, "This sitting");
  const root = h("section", { class: "sitting", "aria-label": "This sitting" }, failures, title, list);
  const show = () => {
    const failed = sitting.filter((entry) => entry.state === "failed");
    put(
      failures,
      failed.length > 0 &&
        h(
          "p",
          {},
          h("strong", {}, failed.length === 1 ? "One correction is not kept. " : `${count(failed.length)} corrections are not kept. `),
          failed.at(-1)?.error,
        ),
      failed.length > 0 &&
        h("button", { type: "button", onclick: () => failed.forEach(send) }, failed.length === 1 ? "Try again" : "Try all again"),
    );
    const rest = sitting.filter((entry) => entry.state !== "failed").slice(-SHOWN);
    const entries = [...failed, ...rest.reverse()];
    root.hidden = entries.length === 0;
    put(list, ...entries.map(line));
  };
  show();
  return { root, stop: onCorrection(show) };
}

/** @param {import("./corrections.js").Entry} entry */
function line(entry) {
  const same = entry.label === entry.row.label;
  const change = same
    ? h("bdi", {}, entry.label)
    : h("span", {}, h("bdi", { class: "was" }, entry.row.label ?? "no label"), " → ", h("bdi", {}, entry.label));
  return h(
    "li",
    { class: "log-entry", "data-state": entry.state },
    h("p", { class: "log-text", dir: "auto" }, entry.row.text.slice(0, 160)),
    h("p", { class: "log-label" }, change),
    h(
      "p",
      { class: "log-state" },
      STATES[entry.state],
      entry.error && entry.state === "kept" && ` · ${entry.error}`,
      entry.state === "failed" && h("button", { type: "button", class: "link", onclick: () => send(entry) }, "Try again"),
      entry.state === "failed" && h("button", { type: "button", class: "link", onclick: () => drop(entry) }, "Drop it"),
    ),
  );
}
