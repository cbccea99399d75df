// The first view: progress, then what the labels are like. It draws what /api/v1/overview and the stream say, at most once a second.
// Plots that filter lead to the table by plain links. Invariant: leaving the view ends its requests and its listening.

import { getOverview, isAbort, reason } from "./api.js";
import { h, put } from "./dom.js";
import { probability } from "./format.js";
import { live, on, throttled } from "./live.js";
import { makePlots, showPlots } from "./plots.js";
import { progressPanel } from "./progress.js";

/** @param {HTMLElement} root */
export function overviewView(root) {
  const progress = progressPanel();
  const doubt = h("div", { class: "notice", hidden: true });
  const trouble = h("div", { class: "notice bad", role: "alert", hidden: true });
  const files = h("div", { class: "notice", role: "status", hidden: true });
  const none = h("div", { class: "blank", hidden: true });
  const newest = h("ol", { class: "newest" });
  const newestCard = h(
    "section",
    { class: "card newest-card", "aria-label": "Newest labels", hidden: true },
    h("div", { class: "card-head" }, h("h2", {}, "Newest labels")),
    newest,
  );
  const plots = makePlots();
  const grid = h(
    "div",
    { class: "cards" },
    h("div", { class: "cards-a" }, plots.labels.root, plots.teachers.root),
    h("div", { class: "cards-b" }, plots.confidence.root, plots.changes.root),
    h("div", { class: "cards-c" }, plots.sizes.root, plots.by.root, newestCard),
  );
  put(
    root,
    h("div", { class: "page overview" }, h("h1", { class: "unseen" }, "Overview"), trouble, files, progress.root, doubt, none, grid),
  );

  /** @type {Overview | null} */
  let overview = null;
  const abort = new AbortController();

  const show = () => {
    progress.update(live, overview);
    const why = overview?.calibration_doubt ?? live.status?.calibration_doubt ?? null;
    doubt.hidden = why === null;
    if (why) put(doubt, h("strong", {}, "Take confidences as a ranking, not as probabilities. "), why);
    files.hidden = !live.reading && live.problems.length === 0;
    put(
      files,
      live.reading && h("p", {}, h("strong", {}, "Still reading the files of the run. "), "There is more than is shown."),
      ...live.problems.map((problem) => h("p", {}, problem)),
    );
    showNewest(newest, newestCard);
  };
  const load = async () => {
    try {
      overview = await getOverview(abort.signal);
      trouble.hidden = true;
    } catch (error) {
      if (isAbort(error)) return;
      trouble.hidden = false;
      put(trouble, reason(error), " ", h("button", { type: "button", onclick: () => void load() }, "Try again"));
      return;
    }
    const empty = overview.labelled === 0;
    none.hidden = !empty;
    grid.hidden = empty;
    if (empty)
      put(
        none,
        h("h2", {}, "No labels yet"),
        h(
          "p",
          {},
          live.reading
            ? "The files of the run are being read."
            : live.live
              ? "They appear here as soon as the first answers are in."
              : "This run has not labelled a text. Start it with candist run.",
        ),
      );
    else showPlots(plots, overview);
    show();
  };
  const soon = throttled(() => void load(), 1000);
  const off = [on("status", show), on("labels", soon.call)];
  show();
  void load();
  return {
    update() {},
    destroy() {
      abort.abort();
      soon.stop();
      off.forEach((stop) => stop());
    },
  };
}

/** @param {HTMLElement} list @param {HTMLElement} around */
function showNewest(list, around) {
  const labels = live.live && live.status?.phase === "annotating" ? live.status.newest : [];
  around.hidden = labels.length === 0;
  put(
    list,
    ...labels.map((one) =>
      h(
        "li",
        {},
        h("span", { class: "num" }, probability(one.confidence)),
        h("span", { class: "newest-label" }, one.label),
        h("bdi", { class: "newest-text" }, one.text),
      ),
    ),
  );
}
