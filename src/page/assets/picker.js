// A field to find one of many labels: type, arrow keys, Enter. A combobox as WAI-ARIA describes it.
// It knows names only. Invariant: what is picked is always one of the names it was given.

import { fresh, h, put } from "./dom.js";
import { count } from "./format.js";

const MOST = 60;

/** Lower case, and what separates words is a space. @param {string} text */
function plain(text) {
  return text
    .toLowerCase()
    .replace(/[_\-\s./]+/g, " ")
    .trim();
}

/**
 * The names that have all words of `typed`, best first: begins with it, a word begins with it, has it.
 * @param {string[]} names @param {string} typed
 */
export function matching(names, typed) {
  const words = plain(typed).split(" ").filter(Boolean);
  if (words.length === 0) return names;
  const whole = words.join(" ");
  const scored = names.flatMap((name) => {
    const text = plain(name);
    if (!words.every((word) => text.includes(word))) return [];
    return [{ name, score: text === whole ? 0 : text.startsWith(whole) ? 1 : ` ${text}`.includes(` ${words[0]}`) ? 2 : 3 }];
  });
  return scored.sort((a, b) => a.score - b.score).map(({ name }) => name);
}

/**
 * @param {object} about
 * @param {string} about.label  what the field is for
 * @param {string} about.placeholder
 * @param {string[]} about.names  likely ones first
 * @param {string} [about.value]
 * @param {(name: string) => void} about.pick
 * @param {() => void} [about.cancel]  Escape
 * @param {() => void} [about.clear]  the field was emptied
 */
export function picker(about) {
  const listId = fresh("options");
  const input = h("input", {
    type: "text",
    role: "combobox",
    "aria-label": about.label,
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": listId,
    placeholder: about.placeholder,
    autocomplete: "off",
    spellcheck: "false",
    autocapitalize: "off",
  });
  const list = h("ul", { id: listId, role: "listbox", "aria-label": about.label, hidden: true });
  const root = h("div", { class: "picker" }, input, list);
  input.value = about.value ?? "";
  /** @type {string[]} */
  let found = [];
  let at = -1;

  const isOpen = () => !list.hidden;
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  /** @param {number} place */
  const move = (place) => {
    at = found.length ? Math.max(0, Math.min(found.length - 1, place)) : -1;
    [...list.children].forEach((option, k) => option.setAttribute("aria-selected", String(k === at)));
    const option = at >= 0 ? list.children[at] : undefined;
    if (!option) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", option.id);
    return option.scrollIntoView({ block: "nearest" });
  };
  /** @param {string} name */
  const choose = (name) => {
    input.value = name;
    close();
    about.pick(name);
  };
  /** @param {string} typed */
  const open = (typed) => {
    const all = matching(about.names, typed);
    found = all.slice(0, MOST);
    const options = found.map((name) =>
      h(
        "li",
        { id: fresh("option"), role: "option", "aria-selected": "false", title: name, onclick: () => choose(name) },
        h("bdi", {}, name),
      ),
    );
    const rest =
      all.length > MOST ? `${count(all.length - MOST)} more: type on` : found.length === 0 ? "No label has that in its name" : "";
    put(
      list,
      ...options,
      rest && h("li", { class: "picker-rest", role: "option", "aria-disabled": "true", "aria-selected": "false" }, rest),
    );
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    move(typed.trim() === "" && about.cancel === undefined ? -1 : 0);
  };

  // The focus stays in the field, also while the list is scrolled with the mouse.
  list.addEventListener("mousedown", (event) => event.preventDefault());
  input.addEventListener("input", () => {
    if (input.value === "" && about.clear) about.clear();
    open(input.value);
  });
  input.addEventListener("focus", () => {
    input.select();
    open("");
  });
  input.addEventListener("click", () => isOpen() || open(""));
  input.addEventListener("blur", () => {
    close();
    if (about.value !== undefined) input.value = about.value;
  });
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
    if (step) {
      event.preventDefault();
      if (isOpen()) move(at + step);
      else open(input.value);
    } else if (event.key === "Enter") {
      event.preventDefault();
      event.stopPropagation();
      const name = at >= 0 && isOpen() ? found[at] : undefined;
      if (name !== undefined) choose(name);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      if (about.cancel) about.cancel();
      else if (isOpen()) close();
      else input.blur();
    }
  });
  return {
    root,
    input,
    /** @param {string} value  what it shows while nobody types */
    set(value) {
      about.value = value;
      if (document.activeElement !== input) input.value = value;
    },
  };
}
