// The run that the mock pretends: what its rows, its status and its overview are, over the corpus of mock-corpus.mjs.
// Flags are those of mock.mjs. Invariant: nothing here knows of HTTP.

import { TEACHERS, makeCorpus, noise } from "./mock-corpus.mjs";

export const flag = (name) => process.argv.includes(`--${name}`);
export const option = (name, other) => (flag(name) ? process.argv[process.argv.indexOf(`--${name}`) + 1] : other);
export const N = Number(option("texts", 10_000));
export const corpus = makeCorpus(N);
/** By position: { label, who, note }. */
export const corrections = new Map();
export const began = Date.now();
/** What moves: how many texts have a label, and the number of the latest change. */
export const now = { version: 1, labelled: flag("empty") ? 0 : flag("live") ? Math.floor(N * (flag("settle") ? 1 : 0.46)) : N };

export const isLive = () => flag("live") || flag("empty");
const labelOf = (p) => corrections.get(p)?.label ?? corpus.labels[corpus.label[p]];
const sure = (p) => (corrections.has(p) ? 1 : corpus.confidence[p]);
const disagrees = (p) => corpus.saidOf(p).some((names) => names.length > 0 && names[0] !== labelOf(p));

export function row(p, whole = false) {
  const text = corpus.textOf(p);
  const shares = corpus.sureOf(p);
  const known = p < now.labelled;
  const correction = corrections.get(p);
  const failed = corpus.failed(p);
  return {
    position: p,
    id: `pool-${String(p).padStart(4, "0")}`,
    text_hash: `hash-${p}`,
    text: whole ? text : text.slice(0, 300),
    cut: !whole && text.length > 300,
    label: known ? labelOf(p) : null,
    confidence: known ? Math.round(sure(p) * 1e4) / 1e4 : null,
    margin: known ? Math.max(0, Math.round((shares[0][1] - (shares[1]?.[1] ?? 0)) * 1e4) / 1e4) : null,
    others: known
      ? shares
          .slice(1, 5)
          .filter(([, share]) => share >= 0.01)
          .map(([label, confidence]) => ({ label, confidence }))
      : null,
    candidates: [...new Set(corpus.saidOf(p).flat())],
    by: !known ? null : correction ? "person" : failed ? "student" : "posterior",
    final: !isLive(),
    revision: correction ? 2 : Math.floor(noise(p, 11) * 3),
    corrected: Boolean(correction),
  };
}

export function status() {
  const seconds = (Date.now() - began) / 1000;
  const settling = flag("live") && now.labelled >= N;
  const pause =
    flag("live") && seconds % 40 < 6 ? { seconds: Math.round((6 - (seconds % 40)) * 10) / 10, why: "429 from api.example.org" } : null;
  const spent = now.labelled * 0.000412;
  return {
    phase: flag("empty") ? "annotating" : settling ? "settling" : flag("live") ? "annotating" : "complete",
    total: N,
    done: now.labelled,
    rows: Math.min(N, now.labelled + 64),
    pending: 64,
    bad_rows: 2,
    placed: now.labelled,
    failed: Math.floor(now.labelled / 350),
    unanswered: 1,
    answered: now.labelled,
    asked: now.labelled * 3 + 41,
    in_flight: isLive() ? 59 : 0,
    retries: 21,
    pause,
    cost: spent.toFixed(6),
    spent: spent.toFixed(6),
    spent_before: "0",
    max_cost: "5.00",
    consumed: Math.max(0, now.labelled - (isLive() ? 160 : 0)),
    events: Math.floor(now.labelled * 1.4),
    steps: Math.floor(now.labelled / 8),
    pass: settling ? 2 : 0,
    max_passes: 10,
    elapsed_s: Math.round((isLive() ? seconds + 34 : 68.4) * 10) / 10,
    newest: [1, 2, 3, 4, 5]
      .map((k) => now.labelled - k)
      .filter((p) => p >= 0)
      .slice(0, 3)
      .map((p) => ({ id: row(p).id, text: row(p).text, label: row(p).label, confidence: row(p).confidence })),
    calibration_doubt: doubt(),
  };
}

const doubt = () => (flag("doubt") ? "All teachers gave the same answers: the confidences are a ranking, not probabilities." : null);

export function overview() {
  const count = new Array(corpus.labels.length).fill(0);
  const confidence = new Array(20).fill(0);
  const step = Math.max(1, Math.floor(now.labelled / 50_000));
  const sizes = new Map();
  const by = new Map();
  const agree = TEACHERS.map((teacher) => ({ teacher, answered: 0, agrees: 0 }));
  for (let p = 0; p < now.labelled; p += step) {
    count[corpus.number.get(labelOf(p))] += step;
    confidence[Math.min(19, Math.floor(sure(p) * 20))] += step;
    const said = corpus.saidOf(p);
    const size = new Set(said.flat()).size;
    sizes.set(size, (sizes.get(size) ?? 0) + step);
    const from = corrections.has(p) ? "person" : corpus.failed(p) ? "student" : "posterior";
    by.set(from, (by.get(from) ?? 0) + step);
    said.forEach((names, t) => {
      if (names.length) agree[t].answered += step;
      if (names[0] === labelOf(p)) agree[t].agrees += step;
    });
  }
  const distribution = corpus.labels.map((label, k) => ({ label, count: count[k] })).sort((a, b) => b.count - a.count);
  const parts = now.labelled ? 40 : 0;
  // Labels are gone over again whenever there are twice as many, and at the end.
  const isTurn = (from, to) => Math.floor(Math.log2(Math.max(1, from))) < Math.floor(Math.log2(to)) || (!isLive() && to === now.labelled);
  const changes = Array.from({ length: parts }, (_, k) => {
    const [from, to] = [k, k + 1].map((part) => Math.round((part * now.labelled) / parts));
    return { texts: to, changed: isTurn(from, to) ? Math.round(to * 0.05 * (0.8 + 0.4 * noise(k, 2))) : 0 };
  });
  return {
    texts: N,
    labelled: now.labelled,
    final: isLive() ? 0 : N,
    corrected: corrections.size,
    failed: by.get("student") ?? 0,
    events: Math.floor(now.labelled * 1.4),
    distribution,
    confidence,
    set_sizes: [...sizes].sort((a, b) => a[0] - b[0]).map(([size, n]) => ({ size, count: n })),
    by: [...by].map(([b, n]) => ({ by: b, count: n })),
    agreement: agree,
    changes,
    calibration_doubt: doubt(),
  };
}

let cache = { key: "", order: [] };

/** Positions in the order and by the filters that are asked for. */
function select(q) {
  const key = `${q.toString().replace(/(offset|limit)=\d*/g, "")} ${now.version} ${now.labelled}`;
  if (cache.key === key) return cache.order;
  const label = q.get("label");
  const by = q.get("by");
  const range = q.has("min") || q.has("max");
  const [min, max] = [Number(q.get("min") ?? 0), Number(q.get("max") ?? 1)];
  const contains = q.get("contains")?.toLowerCase();
  const order = [];
  for (let p = 0; p < N; p += 1) {
    if (label && (p >= now.labelled || labelOf(p) !== label)) continue;
    if (range && (p >= now.labelled || sure(p) < min || (sure(p) >= max && max < 1))) continue;
    if (q.get("corrected") && !corrections.has(p)) continue;
    if (q.get("failed") && !corpus.failed(p)) continue;
    if (by && row(p).by !== by) continue;
    if (q.get("disagree") && !disagrees(p)) continue;
    if (contains && !corpus.textOf(p).toLowerCase().includes(contains) && !row(p).id.includes(contains)) continue;
    order.push(p);
  }
  const sort = q.get("sort") ?? "position";
  const sign = q.get("desc") === "1" ? -1 : 1;
  const known = (p) => (p < now.labelled ? 0 : 1);
  if (sort === "confidence") order.sort((a, b) => known(a) - known(b) || sign * (sure(a) - sure(b)) || a - b);
  else if (sort === "margin") order.sort((a, b) => known(a) - known(b) || sign * ((row(a).margin ?? 0) - (row(b).margin ?? 0)) || a - b);
  else if (sort === "label") order.sort((a, b) => known(a) - known(b) || sign * labelOf(a).localeCompare(labelOf(b)) || a - b);
  else if (sign < 0) order.reverse();
  cache = { key, order };
  return order;
}

export function page(q) {
  const order = select(q);
  const offset = Number(q.get("offset") ?? 0);
  return {
    total: order.length,
    version: now.version,
    rows: order.slice(offset, offset + Number(q.get("limit") ?? 100)).map((p) => row(p)),
  };
}

export function detail(p) {
  const correction = corrections.get(p) ?? null;
  const said = corpus.saidOf(p);
  const teachers = TEACHERS.map((teacher, t) => ({
    teacher,
    labels: said[t],
    weights: said[t].length > 1 ? said[t].map((_, k) => Math.round((0.78 / (k + 1) ** 1.6) * 100) / 100) : [],
    answers: [
      {
        attempt: 1,
        raw: JSON.stringify({ labels: said[t] }, null, 2),
        reasoning: t === 0 ? "The customer asks about the state of something that was ordered, and names no fault." : null,
        problem: said[t].length ? null : "none of the labels it named is one of the task",
      },
    ],
  }));
  const r = row(p, true);
  const history = !r.label
    ? []
    : [0, 1, 2].slice(0, r.revision + 1).map((k) => ({
        offset: p + k * 997,
        label: k === r.revision ? r.label : (said.flat()[0] ?? r.label),
        confidence: Math.round(r.confidence * (0.6 + 0.2 * k) * 1e4) / 1e4,
        by: r.by,
        final: k === 2,
        revision: k,
        student: 40 * k + 3,
      }));
  const nearest = [1, 2, 3, 4]
    .map((k) => (p + k * 389) % N)
    .map((n, k) => ({ position: n, id: row(n).id, text: row(n).text, label: row(n).label, similarity: 0.9 - 0.2 * k }));
  return { ...r, teachers, failure: corpus.failed(p) ? "no teacher named a label of the task" : null, history, correction, nearest };
}

/** The confidences of the first labels, as nobody corrected them: added up once. */
const summed = { labelled: 0, sum: 0 };

export function expected() {
  for (; summed.labelled < now.labelled; summed.labelled += 1) summed.sum += corpus.confidence[summed.labelled];
  let { sum } = summed;
  for (const p of corrections.keys()) sum += 1 - corpus.confidence[p];
  return { labelled: now.labelled, right: now.labelled ? sum / now.labelled : null, calibration_doubt: now.labelled ? doubt() : null };
}

export function review(q) {
  const order = q.get("order") ?? "doubtful";
  const all = [];
  for (let p = 0; p < now.labelled; p += 1) {
    if (corrections.has(p) || (order === "label" && labelOf(p) !== q.get("label")) || (order === "disagree" && !disagrees(p))) continue;
    all.push(p);
  }
  if (order === "random") all.sort((a, b) => noise(a, Number(q.get("seed") ?? 1)) - noise(b, Number(q.get("seed") ?? 1)));
  else all.sort((a, b) => sure(a) - sure(b) || a - b);
  const offset = Number(q.get("offset") ?? 0);
  return {
    remaining: all.length,
    expected: expected(),
    rows: all
      .slice(offset, offset + Number(q.get("limit") ?? 50))
      .map((p) => row(p, true))
      .map((r) => ({ ...r, text: r.text.slice(0, 20_000), cut: r.text.length > 20_000 })),
  };
}
