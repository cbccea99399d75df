// The list of keys, as a dialog. What the keys do is in the views; a key that is not here does nothing.

import { areKeysOn, h, kbd, setKeys } from "./dom.js";

/** @type {[string, [string[], string][]][]} */
const KEYS = [
  [
    "Review",
    [
      [["1", "…", "9"], "choose that candidate"],
      [["Enter"], "accept the label that is shown"],
      [["/"], "search all labels"],
      [["s"], "skip this text"],
      [["u"], "undo the last step"],
      [["n"], "write a note with the next correction"],
      [["d"], "open what the teachers said"],
    ],
  ],
  [
    "Audit",
    [
      [["1", "…", "9"], "the text has that label"],
      [["/"], "search all labels"],
      [["s"], "later: the text comes again at the end"],
      [["u"], "undo the last step"],
      [["n"], "write a note with the next label"],
    ],
  ],
  [
    "Labels",
    [
      [["↑", "↓"], "move between rows"],
      [["Page Up", "Page Down"], "move by a screen"],
      [["Home", "End"], "first row, last row"],
      [["Enter"], "open the row"],
      [["j", "k"], "next and previous text, while one is open"],
      [["1", "…", "9"], "correct the open text to that candidate"],
      [["f"], "go to the filters"],
      [["Esc"], "close"],
    ],
  ],
  [
    "Everywhere",
    [
      [["Shift", "O"], "Overview"],
      [["Shift", "L"], "Labels"],
      [["Shift", "R"], "Review"],
      [["Shift", "A"], "Audit"],
      [["?"], "this list"],
    ],
  ],
];

export function showKeys() {
  const close = h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Close");
  const on = h("input", { type: "checkbox", checked: areKeysOn(), onchange: () => setKeys(on.checked) });
  const dialog = h(
    "dialog",
    { class: "keys", "aria-labelledby": "keys-title" },
    h("div", { class: "keys-head" }, h("h2", { id: "keys-title" }, "Keys"), close),
    h("label", { class: "keys-on" }, on, "Letters, digits and signs do what stands here"),
    h(
      "div",
      { class: "keys-body" },
      ...KEYS.map(([name, keys]) =>
        h(
          "section",
          {},
          h("h3", {}, name),
          h(
            "dl",
            {},
            ...keys.flatMap(([names, what]) => [
              h("dt", {}, ...names.map((key) => (key === "…" ? h("span", {}, "to") : kbd(key)))),
              h("dd", {}, what),
            ]),
          ),
        ),
      ),
    ),
  );
  const before = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (before instanceof HTMLElement) before.focus();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
}
