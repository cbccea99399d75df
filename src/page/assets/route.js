// The address: which view, and what it shows. `#/labels?label=x&min=0.2` is a link that can be shared.
// Nothing else holds the filters: views read them from here and write them back.

export const VIEWS = /** @type {const} */ (["overview", "labels", "review", "audit"]);

/** @typedef {typeof VIEWS[number]} ViewName */
/** @typedef {{ view: ViewName, params: URLSearchParams }} Route */

/** @returns {Route} */
export function route() {
  const [path = "", query = ""] = splitOnce(location.hash.replace(/^#\/?/, ""), "?");
  const view = VIEWS.find((name) => name === path) ?? "overview";
  return { view, params: new URLSearchParams(query) };
}

/** @param {string} text @param {string} at */
function splitOnce(text, at) {
  const place = text.indexOf(at);
  return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + 1)];
}

/**
 * The address of a view.
 * @param {ViewName} view
 * @param {URLSearchParams | Record<string, string>} [params]
 */
export function href(view, params = {}) {
  const query = new URLSearchParams(params).toString();
  return query ? `#/${view}?${query}` : `#/${view}`;
}

/**
 * Goes there; with `replace`, the step back leads past where we were (typing in a filter is not a step).
 * @param {ViewName} view
 * @param {URLSearchParams} params
 * @param {boolean} [replace]
 */
export function go(view, params, replace = false) {
  const to = href(view, params);
  if (to === location.hash) return;
  if (replace) {
    history.replaceState(null, "", to);
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = to;
  }
}
