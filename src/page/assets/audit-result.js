// What an audit says: how many labels are right, from which confidence on they can be relied on, and what has to be known besides.
// It shows the server's figures; what is asked of them is told to the caller. No requests.

import { card } from "./chart.js";
import { h, put, say } from "./dom.js";
import { count, counted, exact, probability } from "./format.js";
import { drawIntervals } from "./interval.js";
import { href } from "./route.js";

/** @param {(change: Record<string, string>) => void} ask */
export function resultPanel(ask) {
  const head = h("div", { class: "result-head" });
  const plot = card({
    title: "Right labels",
    what: "The share of right labels in the sample, with the interval that holds that of all labels with 95% confidence, and the mean confidence.",
  });
  const epsilon = percentField("Wrong labels, at most", (share) => ask({ epsilon: String(share) }));
  const delta = percentField("Confidence", (share) => ask({ delta: String(1 - share) }));
  const says = h("p", { class: "says", role: "status" });
  const share = h("div", { class: "meter-fill" });
  const meter = h("div", { class: "meter", "aria-hidden": "true" }, share);
  const doubts = h("ul", { class: "doubts" });
  const none = h("p", { class: "none" }, "No label counts yet.");
  const figures = h(
    "div",
    { class: "figures" },
    head,
    plot.root,
    h(
      "section",
      { class: "card threshold", "aria-label": "Labels to rely on" },
      h("h2", {}, "Labels to rely on"),
      h("p", { class: "ask" }, "At most ", epsilon.root, " of them wrong, with ", delta.root, " confidence"),
      says,
      meter,
    ),
  );
  const differing = h("section", { class: "differing", "aria-label": "Where the run has another label" });
  const root = h("section", { class: "audit-result", "aria-label": "What the audit says" }, none, figures, doubts, differing);
  return {
    root,
    /** @param {AuditNow} now @param {URLSearchParams} params */
    show(now, params) {
      const found = now.figures;
      none.hidden = found !== null;
      say(none, now.audit?.counted ? "Figures come when all is labelled." : "No label counts yet.");
      figures.hidden = found === null;
      put(doubts, ...now.doubts.map((doubt) => h("li", {}, doubt)));
      doubts.hidden = now.doubts.length === 0;
      differing.hidden = now.differences.length === 0;
      put(differing, h("h2", {}, "Where the run has another label"), h("ol", { class: "log" }, ...now.differences.map(difference)));
      if (!found) return;
      put(head, ...headOf(now, found));
      showPlot(plot, found);
      epsilon.set(Number(params.get("epsilon") ?? found.epsilon));
      delta.set(1 - Number(params.get("delta") ?? found.delta));
      if (says.textContent !== found.says) says.textContent = found.says;
      says.classList.toggle("is-none", found.threshold === null);
      meter.hidden = found.threshold === null;
      share.style.width = `${(found.threshold?.labels ?? 0) * 100}%`;
    },
  };
}

/** @param {AuditNow} now @param {AuditFigures} found */
function headOf(now, found) {
  const { estimate, low, high } = found.accuracy;
  return [
    h("p", { class: "hero-count" }, h("span", { class: "big" }, exact(estimate)), h("span", { class: "of" }, "of the labels are right")),
    h(
      "p",
      { class: "faint" },
      `${exact(low)} to ${exact(high)} with 95% confidence, by ${counted(found.audited, "label")}`,
      now.audit?.ended_at ? ` · ended ${day(now.audit.ended_at)}` : "",
    ),
  ];
}

/** @param {Difference} one */
function difference(one) {
  return h(
    "li",
    { class: "log-entry" },
    h("p", { class: "log-text" }, h("a", { href: href("labels", { open: String(one.position) }), dir: "auto" }, one.text)),
    h("p", { class: "log-label" }, h("bdi", { class: "was" }, one.label), ` ${probability(one.confidence)} → `, h("bdi", {}, one.said)),
  );
}

/** @param {string} date */
function day(date) {
  return new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" }).format(new Date(date));
}

/** @param {import("./chart.js").Card} plot @param {AuditFigures} found */
function showPlot(plot, found) {
  const { accuracy, calibration } = found;
  const { above_accuracy: above, mean } = calibration;
  const away = `${Math.abs(above.estimate * 100).toFixed(1)} points ${above.estimate >= 0 ? "above" : "below"} the accuracy`;
  plot.set(
    `mean confidence ${away.replace(" the accuracy", "")}`,
    {
      head: ["Share", "Estimate", "From", "To"],
      rows: [
        ["Right labels", exact(accuracy.estimate), exact(accuracy.low), exact(accuracy.high)],
        ["Mean confidence", exact(mean), "", ""],
        ["Calibration error", exact(calibration.error.estimate), exact(calibration.error.low), exact(calibration.error.high)],
        ["Labels judged", count(found.audited), "", ""],
      ],
    },
    (canvas) =>
      drawIntervals(canvas, [
        {
          name: "Right labels",
          at: accuracy.estimate,
          low: accuracy.low,
          high: accuracy.high,
          text: `${exact(accuracy.estimate)} (${exact(accuracy.low)} to ${exact(accuracy.high)})`,
        },
        { name: "Mean confidence", at: mean, text: `${exact(mean)}, ${away}` },
      ]),
  );
}

/** A percentage that is typed; told as a share. @param {string} label @param {(share: number) => void} set */
function percentField(label, set) {
  const field = h("input", {
    type: "number",
    min: 0.1,
    max: 99.9,
    step: "any",
    inputmode: "decimal",
    "aria-label": `${label}, in percent`,
  });
  field.addEventListener("change", () => {
    const share = Number((Number(field.value) / 100).toFixed(6));
    const isOne = share > 0 && share < 1;
    if (isOne) set(share);
    field.setAttribute("aria-invalid", String(!isOne));
    field.setCustomValidity(isOne ? "" : "More than 0 and less than 100. The sentence below is of the number before.");
    field.reportValidity();
  });
  return {
    root: h("span", { class: "percent" }, field, "%"),
    /** @param {number} share */
    set(share) {
      // Not under the hands of somebody who types.
      if (document.activeElement !== field) field.value = String(Number((share * 100).toFixed(4)));
    },
  };
}
