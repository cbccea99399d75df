// The fields under a text in review: a note, the search of all labels, the buttons. They hold what is typed, and tell what is chosen.

import { setWho, who } from "./corrections.js";
import { h, kbd, put } from "./dom.js";
import { counted } from "./format.js";
import { picker } from "./picker.js";
import { labelNames } from "./run.js";

/** Who gives labels here. @param {string} what */
export function nameField(what) {
  const name = h("input", {
    type: "text",
    class: "who",
    "aria-label": what,
    placeholder: "Your name",
    autocomplete: "name",
    maxlength: 80,
    onchange: () => setWho(name.value),
  });
  name.value = who();
  return name;
}

/** A note for the next correction. @param {() => void} done  the focus goes on */
export function noteField(done) {
  let note = "";
  const root = h("div", { class: "note-line" });
  const show = () => put(root, note && h("p", {}, h("span", { class: "faint" }, "Note: "), h("bdi", {}, note)));
  return {
    root,
    value: () => note.trim() || null,
    clear() {
      note = "";
      show();
    },
    open() {
      const placeholder = "A note, kept with the correction of this text";
      const field = h("input", { type: "text", "aria-label": "Note", placeholder, maxlength: 2000 });
      field.value = note;
      field.addEventListener("input", () => {
        note = field.value;
      });
      field.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== "Escape") return;
        event.preventDefault();
        event.stopPropagation();
        if (event.key === "Escape") note = "";
        show();
        done();
      });
      put(root, field, h("span", { class: "faint" }, kbd("Enter"), " keeps it, ", kbd("Esc"), " drops it"));
      field.focus();
    },
  };
}

/** The search of all labels. @param {(label: string) => void} pick @param {() => void} done  it was left without a label */
export function searchField(pick, done) {
  const root = h("div", { class: "search-line", hidden: true });
  const close = () => {
    root.hidden = true;
    // Emptied later: an element that loses the focus while it is removed tells so once more.
    queueMicrotask(() => root.hidden && put(root));
  };
  const cancel = () => {
    close();
    done();
  };
  return {
    root,
    close,
    /** @param {string[]} likely  labels that come first */
    open(likely) {
      const names = [...likely, ...labelNames().filter((label) => !likely.includes(label))];
      const placeholder = `Search ${counted(names.length, "label")}`;
      const field = picker({ label: "Search all labels", placeholder, names, pick, cancel });
      field.input.addEventListener("blur", close);
      put(root, field.root);
      root.hidden = false;
      field.input.focus();
    },
  };
}

/** @typedef {{ name: string, key: string, act: () => void, isMain?: boolean, corrects?: boolean, can: () => boolean }} Action */

/** A button for each action, with its key. They are made once: the focus may be on one. @param {Action[]} actions */
export function actionBar(actions) {
  const buttons = actions.map(({ name, key, act, isMain }) =>
    h("button", { type: "button", class: isMain ? "main-button" : null, onclick: act }, name, kbd(key)),
  );
  return {
    root: h("div", { class: "actions", role: "group", "aria-label": "What to do" }, ...buttons),
    show() {
      buttons.forEach((button, at) => {
        button.disabled = !actions[at]?.can();
      });
    },
  };
}
