// Making elements. Strings become text nodes and attribute values, never markup: this is what keeps text of a corpus harmless.
// No state, and nothing that knows what is shown. Invariant: no innerHTML, no style attribute (the page's CSP forbids it).

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>} Props */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {Element} element
 * @param {Props} props  `onclick` and the like are listeners; true is an empty attribute; false and null are none
 * @param {Child[]} children
 */
function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...nodes(children));
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function nodes(children) {
  /** @type {(Node | string)[]} */
  const kept = [];
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    kept.push(typeof child === "number" ? String(child) : child);
  }
  return kept;
}

/**
 * An element of HTML.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  fill(element, props, children);
  return element;
}

/**
 * An element of SVG.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Props} [props]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function s(tag, props = {}, ...children) {
  const element = /** @type {SVGElementTagNameMap[K]} */ (document.createElementNS(SVG, tag));
  fill(element, props, children);
  return element;
}

/**
 * Puts `children` in place of what `element` has.
 * @param {Element} element
 * @param {...Child} children
 */
export function put(element, ...children) {
  element.replaceChildren(...nodes(children));
}

/**
 * Sets the text of `element`, and leaves the DOM alone where it is the same already.
 * @param {Element} element
 * @param {string} text
 */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element ${id}`);
  return found;
}

/** Tells readers of the screen; nothing is shown. @param {string} text */
export function announce(text) {
  say(byId("announce"), text);
}

/** Whether keys that go to `target` are somebody's typing. @param {EventTarget | null} target */
export function isTyping(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

/** Whether `target` does something of its own on Enter. @param {EventTarget | null} target */
export function isControl(target) {
  return target instanceof Element && target.closest("button, a, summary, input, select, textarea") !== null;
}

const KEYS = "candist.keys";

/** Whether letters, digits and signs do something: whoever speaks to their computer may want them not to. */
export function areKeysOn() {
  try {
    return localStorage.getItem(KEYS) !== "off";
  } catch {
    return true;
  }
}

/** @param {boolean} on */
export function setKeys(on) {
  try {
    localStorage.setItem(KEYS, on ? "on" : "off");
  } catch {
    return;
  }
}

/** A key that does something here, and nothing with it. @param {KeyboardEvent} event */
export function isPlain(event) {
  const isWanted = event.key.length > 1 || areKeysOn();
  return isWanted && !event.ctrlKey && !event.metaKey && !event.altKey && !event.defaultPrevented;
}

/** The name of a label: a long one is broken between its words, which are seldom apart. @param {string} name */
export function labelName(name) {
  const words = name.match(/[^_/.-]+[_/.-]*|[_/.-]+/g) ?? [name];
  return h("bdi", {}, ...words.flatMap((word, place) => (place ? [h("wbr"), word] : [word])));
}

/** A key as it is printed on the keyboard. @param {string} key */
export function kbd(key) {
  return h("kbd", {}, key);
}

let serial = 0;

/** An id that no other element has. @param {string} stem */
export function fresh(stem) {
  serial += 1;
  return `${stem}-${serial}`;
}
