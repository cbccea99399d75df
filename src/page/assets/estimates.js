// How right labels are said to be while people review: by all confidences, now and when the sitting began; by what a person found; and,
// where texts come by chance, what that says of all. Figures are the server's. Invariant: of texts in another order nothing is said of all.

import { getEstimates } from "./api.js";
import { onCorrection, tally } from "./corrections.js";
import { h, put } from "./dom.js";
import { count, counted, exact } from "./format.js";
import { href } from "./route.js";
import { on, throttled } from "./live.js";

/** As it was when this sitting began, which is when the review was first shown. @type {Expected | null} */
let began = null;

/** Labels from which on one correction is seen in the second decimal only. */
const MANY = 3000;
const PAUSE_MS = 400;

/**
 * Of texts that came by chance: how many have a label by now, from the first on without a gap, and how many of these had another one. One that
 * was skipped is in the way of those behind it, for without texts that are hard to label all others look better than they are.
 * @param {import("./review.js").Step[]} steps
 */
export function prefix(steps) {
  /** The latest of each text. @type {Map<number, import("./review.js").Step>} */
  const latest = new Map();
  for (const step of steps) latest.set(step.row.position, step);
  const texts = [...latest.values()];
  const gap = texts.findIndex(({ entry }) => entry?.state !== "kept");
  const labelled = gap < 0 ? texts : texts.slice(0, gap);
  return { looked: labelled.length, changed: labelled.filter(({ row, entry }) => entry?.label !== row.label).length };
}

/** @param {() => import("./review.js").Step[] | null} drawn  what was done with texts that came by chance; null in another order */
export function estimatesLine(drawn) {
  /** @type {Expected | null} */
  let expected = null;
  /** What the server said of these. @type {{ looked: number, share: Share } | null} */
  let found = null;
  let abort = new AbortController();
  const had = h("span", { class: "estimate-had" });
  const all = h("span", { class: "estimate-all" });
  const right = h("span", { class: "estimate-right" });
  const root = h("p", { class: "estimates", role: "group", "aria-label": "Estimates" }, had, all, right);

  const show = () => {
    const { kept, changed } = tally();
    put(had, kept > 0 && `${count(changed)} of ${count(kept)} had another label`);
    put(all, ...(found ? byChance(found.share, found.looked) : []));
    put(right, ...(expected ? byConfidence(expected) : []));
    for (const part of [had, all, right]) part.hidden = !part.hasChildNodes();
  };
  const ask = async () => {
    abort.abort();
    abort = new AbortController();
    const { signal } = abort;
    const steps = drawn();
    const { looked, changed } = steps ? prefix(steps) : { looked: 0, changed: 0 };
    // Without an answer what is shown stays: that the connection is lost is told by the page, and what follows asks again.
    const answer = await getEstimates(looked, changed, signal).catch(() => null);
    if (!answer || signal.aborted) return;
    found = answer.changed && { looked, share: answer.changed };
    take(answer.expected);
  };
  /** @param {Expected} now */
  const take = (now) => {
    expected = now;
    if (now.right !== null) began ??= now;
    show();
  };
  const soon = throttled(() => void ask(), PAUSE_MS);
  const off = [onCorrection(show), on("labels", soon.call)];
  show();
  return {
    root,
    /** What came with the texts: it may be older than what is shown. @param {Expected} then */
    first(then) {
      if (expected) soon.call();
      else take(then);
    },
    /** Another order begins. */
    begin() {
      abort.abort();
      found = null;
      show();
    },
    stop() {
      abort.abort();
      soon.stop();
      off.forEach((stop) => stop());
    },
  };
}

/** @param {Share} share @param {number} looked */
function byChance({ estimate, low, high }, looked) {
  const why =
    `By the first ${counted(looked, "text")} that came by chance, without a gap: with 95% confidence between ${exact(low)} and ${exact(high)} ` +
    "of the texts that nobody corrected. Who sees the label agrees too easily, so there may be more: an audit is blind.";
  return [h("span", { title: why }, `about ${exact(estimate)} of all that are left, ${exact(low)} to ${exact(high)}`)];
}

/** @param {Expected} now */
function byConfidence(now) {
  if (now.calibration_doubt)
    return [
      h("span", { title: now.calibration_doubt }, "confidences are a ranking here, no estimate "),
      h("a", { href: href("overview"), title: now.calibration_doubt }, "Why"),
    ];
  if (now.right === null) return [];
  const digits = now.labelled < MANY ? 1 : 2;
  const [then, today] = [exact(began?.right ?? now.right, digits), exact(now.right, digits)];
  const why = `The mean confidence of ${counted(now.labelled, "label")}, where one that a person gave counts 1`;
  const moved = then === today ? [] : [h("span", { class: "was-share" }, then), h("span", { class: "unseen" }, "at first, now"), " → "];
  return [h("span", { title: why }, ...moved, h("strong", {}, today), " expected right")];
}
