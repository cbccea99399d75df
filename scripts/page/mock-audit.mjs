// The audit that the mock pretends: a sample, what was said of it, and figures that are about right. Not how candist computes them.
// Invariant: nothing here knows of HTTP; what is asked for wrongly is thrown as [status, sentence].

import { noise } from "./mock-corpus.mjs";
import { N, corpus, corrections, isLive, now as run, row } from "./mock-run.mjs";

const MOST = 10_000;
/** null, or { seed, drawn_at, draws, texts, ended_at, corrected }. */
let audit = null;
/** By position: { label, who, note }. */
export const said = new Map();

export const isOpen = () => audit !== null && audit.ended_at === null;
export const isSampled = (p) => isOpen() && audit.texts.includes(p);
const finals = () => (isLive() ? 0 : N);
const order = (seed) => Array.from({ length: N }, (_, p) => p).sort((a, b) => noise(a, seed) - noise(b, seed));
const counted = () => {
  const gap = audit.texts.findIndex((p) => !said.has(p));
  return gap < 0 ? audit.texts.length : gap;
};

function refuse(status, why) {
  throw [status, why];
}

export function draw({ n, seed = Math.floor(Math.random() * 1e9), anew = false }) {
  if (isOpen() && !anew) refuse(409, "runs/banking77 has an audit that goes on: draw more for it, or end it first");
  if (isOpen() && said.size > 0) refuse(409, `runs/banking77 has an audit of which ${said.size} label(s) are given: end it first`);
  if (!(n >= 1 && n <= MOST)) refuse(400, `draw 1 to ${MOST} texts`);
  if (!finals()) refuse(409, "runs/banking77 has no final label yet: let `candist run CONFIG` come to the end of the corpus");
  said.clear();
  const texts = order(seed).slice(0, n);
  audit = { seed, drawn_at: new Date().toISOString(), draws: [texts.length], texts, ended_at: null, corrected: null };
}

export function more({ n }) {
  if (!isOpen()) refuse(409, "runs/banking77 has an audit that has ended: draw another sample");
  if (n <= audit.texts.length) refuse(409, `runs/banking77 has an audit of ${audit.texts.length} texts: ask for more than that`);
  audit.texts = order(audit.seed).slice(0, n);
  audit.draws.push(audit.texts.length);
}

export function label({ position, text_hash, label: name, who, note }) {
  if (!isSampled(position) || text_hash !== row(position, true).text_hash)
    refuse(409, "runs/banking77 has another sample by now: load the page again");
  if (!corpus.number.has(name)) refuse(400, `"${name}" is no label of the task: choose one of them`);
  said.set(position, { label: name, who, note });
  return { position, label: name };
}

export function takeBack(position, id) {
  if (!isSampled(position) || row(position, true).id !== id) refuse(409, "no audit that goes on has this text");
  said.delete(position);
  return { position, label: null };
}

export function end() {
  if (!isOpen()) refuse(409, "runs/banking77 has an audit that has ended: draw another sample");
  audit.ended_at = new Date().toISOString();
}

export function take() {
  if (audit === null || isOpen()) refuse(409, "runs/banking77 has an audit that goes on");
  for (const [p, one] of said) corrections.set(p, one);
  audit.corrected = said.size;
  run.version += 1;
  return { labels: said.size };
}

/** Wilson's, which is close enough to look at. */
export function share(right, all) {
  const z = 1.96;
  const p = right / all;
  const middle = (p + (z * z) / (2 * all)) / (1 + (z * z) / all);
  const half = (z / (1 + (z * z) / all)) * Math.sqrt((p * (1 - p)) / all + (z * z) / (4 * all * all));
  return { estimate: p, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

function figures(epsilon, delta) {
  const judged = audit.texts.slice(0, counted()).map((p) => [corpus.confidence[p], said.get(p).label === corpus.labels[corpus.label[p]]]);
  if (judged.length === 0) return null;
  const accuracy = share(judged.filter(([, right]) => right).length, judged.length);
  let mean = 0;
  for (let p = 0; p < N; p += 1) mean += corpus.confidence[p] / N;
  const away = { estimate: mean - accuracy.estimate, low: mean - accuracy.high, high: mean - accuracy.low };
  const needed = Math.log(delta) / Math.log(1 - epsilon);
  let threshold = null;
  for (const confidence of [0.95, 0.9, 0.8, 0.7, 0.5, 0.3]) {
    const above = judged.filter(([sure]) => sure >= confidence);
    const wrong = above.filter(([, right]) => !right).length;
    if (above.length < needed || share(wrong, above.length).high > epsilon * 1.4) continue;
    const labels = Array.from({ length: N }, (_, p) => corpus.confidence[p]).filter((sure) => sure >= confidence).length / N;
    threshold = { confidence, labels, audited: above.length, wrong };
  }
  const [most, certain] = [epsilon, 1 - delta].map((one) => `${Math.round(one * 1000) / 10}%`);
  const says = threshold
    ? `Of the labels with a confidence of ${threshold.confidence} or more, which are ${(threshold.labels * 100).toFixed(1)}% of all, at most ${most} are wrong, with ${certain} confidence.`
    : `No confidence from which on at most ${most} of the labels are wrong could be shown with ${certain} confidence: audit more, or allow more.`;
  const calibration = {
    mean,
    above_accuracy: away,
    error: { estimate: 0.041, low: 0, high: 0.08 },
    recalibrated_mean: mean,
    recalibrated: [],
  };
  return { audited: judged.length, accuracy, calibration, epsilon, delta, threshold, says };
}

export function state(query) {
  const [epsilon, delta] = ["epsilon", "delta"].map((name) => Number(query.get(name) ?? 0.05));
  if (!(epsilon > 0 && epsilon < 1 && delta > 0 && delta < 1)) refuse(400, "give epsilon and delta as shares between 0 and 1, as 0.05");
  const empty = { audit: null, population: finals(), most: MOST, figures: null, doubts: [], differences: [], reading: false };
  if (audit === null) return empty;
  const { texts, ...shown } = audit;
  const [drawn, filled, prefix] = [texts.length, said.size, counted()];
  const doubts = [];
  if (filled > prefix)
    doubts.push(`${filled - prefix} texts labelled after a text that was skipped are not counted: label the skipped ones.`);
  if (prefix < drawn)
    doubts.push(
      `Only the first ${prefix} of the ${drawn} drawn texts count: they stand for all labels unless it was the figures that made somebody stop there.`,
    );
  if (audit.draws.length > 1)
    doubts.push(`The sample was made larger after it was drawn, so there were ${audit.draws.length} looks at it.`);
  const isTold = !isOpen() || prefix === drawn || query.get("figures") === "1";
  const other = texts.slice(0, prefix).filter((p) => said.get(p).label !== corpus.labels[corpus.label[p]]);
  const differences = other.map((p) => ({
    position: p,
    text: row(p, false).text,
    said: said.get(p).label,
    label: corpus.labels[corpus.label[p]],
    confidence: corpus.confidence[p],
  }));
  return {
    ...empty,
    audit: { ...shown, drawn, filled, counted: prefix, population: N, open: isOpen() },
    figures: isTold ? figures(epsilon, delta) : null,
    differences: isTold ? differences : [],
    doubts,
  };
}

export function next(query) {
  if (!isOpen()) return { remaining: 0, rows: [] };
  const left = audit.texts.filter((p) => !said.has(p));
  const offset = Number(query.get("offset") ?? 0);
  return { remaining: left.length, rows: left.slice(offset, offset + Number(query.get("limit") ?? 50)).map((p) => toAudit(p, 20_000)) };
}

export function toAudit(p, most = Infinity) {
  const known = row(p, true);
  const choices = [...new Set([known.label, ...(known.others ?? []).map((one) => one.label), ...known.candidates])]
    .filter(Boolean)
    .slice(0, 9);
  for (let k = 0; choices.length < 9; k += 1) {
    const other = corpus.labels[Math.floor(noise(p * 31 + k, 5) * corpus.labels.length)];
    if (!choices.includes(other)) choices.push(other);
  }
  choices.sort((a, b) => noise(corpus.number.get(a), p + 1) - noise(corpus.number.get(b), p + 1));
  return { position: p, id: known.id, text_hash: known.text_hash, text: known.text.slice(0, most), cut: known.text.length > most, choices };
}
