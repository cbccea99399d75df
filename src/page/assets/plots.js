// The plots of the overview: which there are, and what of /api/v1/overview each shows. How they are drawn is of bars.js and columns.js.
// Invariant: a mark that stands for texts which the table can show is a link to them.

import { drawBars } from "./bars.js";
import { card } from "./chart.js";
import { drawColumns, drawStretches } from "./columns.js";
import { h, say } from "./dom.js";
import { count, counted, origin, percent, probability } from "./format.js";
import { href } from "./route.js";

const FEW = 20;
const WIDE = matchMedia("(min-width: 1600px)");

/** Height of a plot, in pixels: more where three stand side by side. @param {number} height */
const tall = (height) => (WIDE.matches ? Math.round(height * 1.35) : height);

export function makePlots() {
  const labels = card({
    title: "Labels",
    what: "How many texts have each label, most frequent first. Each bar leads to its texts.",
    class: "tall",
  });
  const more = h("button", { type: "button", class: "link" });
  labels.foot.prepend(more);
  const confidence = card({
    title: "Confidence",
    what: "How many texts have a label of which confidence, in 20 bins. Each column leads to its texts.",
  });
  const powers = h("button", { type: "button", class: "link", "aria-pressed": "false" }, "Log scale");
  confidence.foot.prepend(powers);
  return {
    labels,
    more,
    all: false,
    confidence,
    powers,
    sizes: card({ title: "Candidates a text", what: "How many texts have how many candidates." }),
    by: card({ title: "Where labels come from", what: "How many labels come from the refinery, from the student alone, and from people." }),
    teachers: card({
      title: "Teachers that agree",
      what: "Share of the texts a teacher answered of which its first label is the label that holds now.",
    }),
    changes: card({
      title: "Label changes over the stream",
      what: "How many labels changed, by how many texts had a label then. What settling changed is at the end.",
    }),
  };
}

/** @param {ReturnType<typeof makePlots>} plots @param {Overview} overview */
export function showPlots(plots, overview) {
  showLabels(plots, overview);
  showConfidence(plots, overview);
  const sized = overview.set_sizes.reduce((sum, { count: texts }) => sum + texts, 0);
  const mean = overview.set_sizes.reduce((sum, { size, count: texts }) => sum + size * texts, 0) / Math.max(1, sized);
  plots.sizes.set(
    `${mean.toFixed(2)} on average`,
    { head: ["Candidates", "Texts"], rows: overview.set_sizes.map(({ size, count: texts }) => [size, count(texts)]) },
    (canvas) =>
      drawColumns(
        canvas,
        overview.set_sizes.map(({ size, count: texts }) => ({
          key: String(size),
          tick: String(size),
          value: texts,
          text: `${counted(size, "candidate")}: ${counted(texts, "text")}`,
        })),
        tall(150),
      ),
  );
  const byMost = Math.max(...overview.by.map((by) => by.count));
  plots.by.set("", { head: ["From", "Labels"], rows: overview.by.map((by) => [origin(by.by), count(by.count)]) }, (canvas) =>
    drawBars(
      canvas,
      overview.by.map((by) => ({
        name: origin(by.by),
        value: by.count,
        shown: count(by.count),
        text: `${origin(by.by)}: ${percent(by.count / Math.max(1, overview.labelled))}`,
        href: href("labels", { by: by.by }),
      })),
      byMost,
    ),
  );
  showTeachers(plots.teachers, overview);
  showChanges(plots.changes, overview);
}

/** @param {ReturnType<typeof makePlots>} plots @param {Overview} overview */
function showLabels(plots, overview) {
  const { distribution, labelled } = overview;
  const shown = plots.all ? distribution : distribution.slice(0, FEW);
  plots.more.hidden = distribution.length <= FEW;
  say(plots.more, plots.all ? `Show the first ${FEW}` : `Show all ${count(distribution.length)}`);
  plots.more.onclick = () => {
    plots.all = !plots.all;
    showLabels(plots, overview);
  };
  const most = distribution[0]?.count ?? 0;
  const used = distribution.filter(({ count: texts }) => texts > 0).length;
  plots.labels.set(
    `${counted(used, "label")} in use`,
    {
      head: ["Label", "Texts", "Share"],
      rows: distribution.map(({ label, count: texts }) => [label, count(texts), percent(texts / Math.max(1, labelled))]),
    },
    (canvas) =>
      drawBars(
        canvas,
        shown.map(({ label, count: texts }) => ({
          name: label,
          value: texts,
          shown: count(texts),
          text: `${counted(texts, "text")}, ${percent(texts / Math.max(1, labelled))}`,
          href: href("labels", { label }),
        })),
        most,
      ),
  );
}

/** @param {ReturnType<typeof makePlots>} plots @param {Overview} overview */
function showConfidence(plots, overview) {
  const isByPowers = () => plots.powers.getAttribute("aria-pressed") === "true";
  plots.powers.onclick = () => {
    plots.powers.setAttribute("aria-pressed", String(!isByPowers()));
    showConfidence(plots, overview);
  };
  const { confidence, labelled } = overview;
  const doubtful = confidence.slice(0, 10).reduce((sum, texts) => sum + texts, 0);
  const columns = confidence.map((texts, bin) => {
    const [from, to] = [(bin / 20).toFixed(2), ((bin + 1) / 20).toFixed(2)];
    const params = { min: from, max: to, sort: "confidence" };
    const tick = bin % 4 === 0 ? { tick: probability(bin / 20) } : {};
    return { key: from, value: texts, text: `${from} to ${to}: ${counted(texts, "text")}`, href: href("labels", params), ...tick };
  });
  plots.confidence.set(
    `${percent(doubtful / Math.max(1, labelled))} below 0.50`,
    {
      head: ["From", "To", "Texts"],
      rows: confidence.map((texts, bin) => [probability(bin / 20), probability((bin + 1) / 20), count(texts)]),
    },
    (canvas) => drawColumns(canvas, columns, tall(190), { byPowers: isByPowers(), end: "1.00" }),
  );
}

/** @param {import("./chart.js").Card} plot @param {Overview} overview */
function showTeachers(plot, overview) {
  const shareOf = (/** @type {Overview["agreement"][number]} */ one) => (one.answered > 0 ? one.agrees / one.answered : 0);
  plot.set(
    "first label is the one that holds",
    {
      head: ["Teacher", "Answered", "Agrees", "Share"],
      rows: overview.agreement.map((one) => [one.teacher, count(one.answered), count(one.agrees), percent(shareOf(one))]),
    },
    (canvas) =>
      drawBars(
        canvas,
        overview.agreement.map((one) => ({
          name: one.teacher,
          value: shareOf(one),
          shown: one.answered > 0 ? percent(shareOf(one)) : "–",
          text: `${count(one.agrees)} of ${counted(one.answered, "text")} it answered`,
        })),
        1,
      ),
  );
}

/** @param {import("./chart.js").Card} plot @param {Overview} overview */
function showChanges(plot, overview) {
  if (overview.changes.length < 2) {
    plot.empty("Too few labels yet.");
    return;
  }
  let from = 0;
  const stretches = overview.changes.map(({ texts, changed }) => {
    const text = `texts ${count(from + 1)} to ${count(texts)}: ${counted(changed, "change")}`;
    from = texts;
    return { to: texts, value: changed, text };
  });
  const all = overview.changes.reduce((sum, { changed }) => sum + changed, 0);
  plot.set(
    counted(all, "change"),
    { head: ["Texts labelled", "Changes"], rows: overview.changes.map(({ texts, changed }) => [count(texts), count(changed)]) },
    (canvas) => drawStretches(canvas, stretches, tall(150)),
  );
}
