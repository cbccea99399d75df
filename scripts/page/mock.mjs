// A stand-in for the page's server: the assets and the routes of the API over a made corpus, for building and looking at the page.
// No dependency: node scripts/page/mock.mjs [--texts 10000] [--live] [--settle] [--doubt] [--empty] [--rest-without-status] [--port 18100] [--delay MS]
// GET /mock?fail=1|0 makes corrections fail, ?down=1|0 breaks the stream and all answers, ?token=1|0 wants a token.
// Not a model of how candist behaves: `candist serve` is. Invariant: loopback only.

import { createServer } from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { basename, extname } from "node:path";
import { TEACHERS, makeCorpus, noise } from "./mock-corpus.mjs";

const flag = (name) => process.argv.includes(`--${name}`);
const option = (name, other) => (flag(name) ? process.argv[process.argv.indexOf(`--${name}`) + 1] : other);
const N = Number(option("texts", 10_000));
const PORT = Number(option("port", 18_100));
const DELAY = Number(option("delay", 0));
const ASSETS = new URL("../../src/page/assets/", import.meta.url);
const corpus = makeCorpus(N);
const corrections = new Map();
const mode = { fail: false, down: false, token: false };
const streams = new Set();
const began = Date.now();
let version = 1;
let labelled = flag("empty") ? 0 : flag("live") ? Math.floor(N * (flag("settle") ? 1 : 0.46)) : N;
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
  "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const isLive = () => flag("live") || flag("empty");
const labelOf = (p) => corrections.get(p)?.label ?? corpus.labels[corpus.label[p]];
const sure = (p) => (corrections.has(p) ? 1 : corpus.confidence[p]);
const disagrees = (p) => corpus.saidOf(p).some((names) => names.length > 0 && names[0] !== labelOf(p));

function row(p, whole = false) {
  const text = corpus.textOf(p);
  const shares = corpus.sureOf(p);
  const known = p < labelled;
  const correction = corrections.get(p);
  const failed = corpus.failed(p);
  return {
    position: p,
    id: `pool-${String(p).padStart(4, "0")}`,
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
    by: !known ? null : correction ? "correction" : failed ? "student" : "posterior",
    final: !isLive(),
    revision: correction ? 2 : Math.floor(noise(p, 11) * 3),
    corrected: Boolean(correction),
  };
}

function status() {
  const seconds = (Date.now() - began) / 1000;
  const settling = flag("live") && labelled >= N;
  const pause =
    flag("live") && seconds % 40 < 6 ? { seconds: Math.round((6 - (seconds % 40)) * 10) / 10, why: "429 from api.example.org" } : null;
  const spent = labelled * 0.000412;
  return {
    phase: flag("empty") ? "annotating" : settling ? "settling" : flag("live") ? "annotating" : "complete",
    total: N,
    done: labelled,
    rows: Math.min(N, labelled + 64),
    pending: 64,
    bad_rows: 2,
    placed: labelled,
    failed: Math.floor(labelled / 350),
    unanswered: 1,
    answered: labelled,
    asked: labelled * 3 + 41,
    in_flight: isLive() ? 59 : 0,
    retries: 21,
    pause,
    cost: spent.toFixed(6),
    spent: spent.toFixed(6),
    spent_before: "0",
    max_cost: "5.00",
    consumed: Math.max(0, labelled - (isLive() ? 160 : 0)),
    events: Math.floor(labelled * 1.4),
    steps: Math.floor(labelled / 8),
    pass: settling ? 2 : 0,
    max_passes: 10,
    elapsed_s: Math.round((isLive() ? seconds + 34 : 68.4) * 10) / 10,
    newest: [1, 2, 3, 4, 5]
      .map((k) => labelled - k)
      .filter((p) => p >= 0)
      .slice(0, 3)
      .map((p) => ({ id: row(p).id, text: row(p).text, label: row(p).label, confidence: row(p).confidence })),
    calibration_doubt: doubt(),
  };
}

const doubt = () => (flag("doubt") ? "All teachers gave the same answers: the confidences are a ranking, not probabilities." : null);

function overview() {
  const count = new Array(corpus.labels.length).fill(0);
  const confidence = new Array(20).fill(0);
  const step = Math.max(1, Math.floor(labelled / 50_000));
  const sizes = new Map();
  const by = new Map();
  const agree = TEACHERS.map((teacher) => ({ teacher, answered: 0, agrees: 0 }));
  for (let p = 0; p < labelled; p += step) {
    count[corpus.number.get(labelOf(p))] += step;
    confidence[Math.min(19, Math.floor(sure(p) * 20))] += step;
    const said = corpus.saidOf(p);
    const size = new Set(said.flat()).size;
    sizes.set(size, (sizes.get(size) ?? 0) + step);
    const from = corrections.has(p) ? "correction" : corpus.failed(p) ? "student" : "posterior";
    by.set(from, (by.get(from) ?? 0) + step);
    said.forEach((names, t) => {
      if (names.length) agree[t].answered += step;
      if (names[0] === labelOf(p)) agree[t].agrees += step;
    });
  }
  const distribution = corpus.labels.map((label, k) => ({ label, count: count[k] })).sort((a, b) => b.count - a.count);
  const parts = labelled ? 40 : 0;
  const changes = Array.from({ length: parts }, (_, k) => ({
    texts: Math.round(((k + 1) * labelled) / parts),
    changed: Math.round((labelled / parts) * (0.02 + 0.3 * Math.exp(-k / 9)) * (0.8 + 0.4 * noise(k, 2))),
  }));
  return {
    texts: N,
    labelled,
    final: isLive() ? 0 : N,
    corrected: corrections.size,
    failed: by.get("student") ?? 0,
    events: Math.floor(labelled * 1.4),
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
  const key = `${q.toString().replace(/(offset|limit)=\d*/g, "")} ${version} ${labelled}`;
  if (cache.key === key) return cache.order;
  const label = q.get("label");
  const by = q.get("by");
  const range = q.has("min") || q.has("max");
  const [min, max] = [Number(q.get("min") ?? 0), Number(q.get("max") ?? 1)];
  const contains = q.get("contains")?.toLowerCase();
  const order = [];
  for (let p = 0; p < N; p += 1) {
    if (label && (p >= labelled || labelOf(p) !== label)) continue;
    if (range && (p >= labelled || sure(p) < min || (sure(p) >= max && max < 1))) continue;
    if (q.get("corrected") && !corrections.has(p)) continue;
    if (q.get("failed") && !corpus.failed(p)) continue;
    if (by && row(p).by !== by) continue;
    if (q.get("disagree") && !disagrees(p)) continue;
    if (contains && !corpus.textOf(p).toLowerCase().includes(contains) && !row(p).id.includes(contains)) continue;
    order.push(p);
  }
  const sort = q.get("sort") ?? "position";
  const sign = q.get("desc") === "1" ? -1 : 1;
  const known = (p) => (p < labelled ? 0 : 1);
  if (sort === "confidence") order.sort((a, b) => known(a) - known(b) || sign * (sure(a) - sure(b)) || a - b);
  else if (sort === "margin") order.sort((a, b) => known(a) - known(b) || sign * ((row(a).margin ?? 0) - (row(b).margin ?? 0)) || a - b);
  else if (sort === "label") order.sort((a, b) => known(a) - known(b) || sign * labelOf(a).localeCompare(labelOf(b)) || a - b);
  else if (sign < 0) order.reverse();
  cache = { key, order };
  return order;
}

function page(q) {
  const order = select(q);
  const offset = Number(q.get("offset") ?? 0);
  return { total: order.length, version, rows: order.slice(offset, offset + Number(q.get("limit") ?? 100)).map((p) => row(p)) };
}

function detail(p) {
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
    .map((n) => ({ position: n, id: row(n).id, text: row(n).text, label: row(n).label }));
  return { ...r, teachers, failure: corpus.failed(p) ? "no teacher named a label of the task" : null, history, correction, nearest };
}

function review(q) {
  const order = q.get("order") ?? "doubtful";
  const all = [];
  for (let p = 0; p < labelled; p += 1) {
    if (corrections.has(p) || (order === "label" && labelOf(p) !== q.get("label")) || (order === "disagree" && !disagrees(p))) continue;
    all.push(p);
  }
  if (order === "random") all.sort((a, b) => noise(a, Number(q.get("seed") ?? 1)) - noise(b, Number(q.get("seed") ?? 1)));
  else all.sort((a, b) => sure(a) - sure(b) || a - b);
  const offset = Number(q.get("offset") ?? 0);
  return {
    remaining: all.length,
    rows: all
      .slice(offset, offset + Number(q.get("limit") ?? 50))
      .map((p) => row(p, true))
      .map((r) => ({ ...r, text: r.text.slice(0, 20_000), cut: r.text.length > 20_000 })),
  };
}

function send(response, code, body) {
  response.writeHead(code, { "content-type": "application/json; charset=utf-8", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}

const TYPES = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html; charset=utf-8" };

function asset(response, name) {
  const file = new URL(basename(name), ASSETS);
  if (!existsSync(file)) return send(response, 404, { error: "there is no such file" });
  response.writeHead(200, {
    "content-type": TYPES[extname(name)] ?? "text/plain",
    "content-security-policy": CSP,
    "cache-control": "no-store",
  });
  return response.end(readFileSync(file));
}

function stream(request, response) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.write(`event: status\ndata: ${JSON.stringify({ live: isLive(), status: state() })}\n\n`);
  streams.add(response);
  request.on("close", () => streams.delete(response));
}

const state = () => (flag("rest-without-status") ? null : status());
const tell = (event, data) => streams.forEach((to) => to.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));

function changed() {
  version += 1;
  tell("labels", { events: Math.floor(labelled * 1.4), version });
}

function correct(request, response, body) {
  if (request.headers["x-candist"] !== "1") return send(response, 403, { error: "the header X-Candist is missing" });
  if (mode.fail) return send(response, 500, { error: "The disk is full. Make room, then try again." });
  if (request.method === "DELETE") {
    const position = Number(basename(request.url));
    corrections.delete(position);
    changed();
    return send(response, 200, { position, label: null });
  }
  const { position, label, who, note } = JSON.parse(body);
  if (!corpus.number.has(label)) return send(response, 422, { error: `"${label}" is not a label of the task.` });
  corrections.set(position, { label, who, note });
  changed();
  return send(response, 200, { position, label });
}

function answer(request, response, body) {
  const url = new URL(request.url, "http://localhost");
  const path = url.pathname;
  if (path === "/mock") {
    for (const [name, value] of url.searchParams) mode[name] = value === "1";
    if (mode.down) streams.forEach((to) => to.destroy());
    return send(response, 200, mode);
  }
  if (mode.down && path.startsWith("/api")) return request.socket.destroy();
  if (mode.token && path.startsWith("/api")) return send(response, 401, { error: "a token is missing" });
  if (path === "/") return asset(response, "index.html");
  if (path.startsWith("/assets/")) return asset(response, path);
  if (path === "/api/v1/stream") return stream(request, response);
  if (path.startsWith("/api/v1/corrections")) return correct(request, response, body);
  if (path === "/api/v1/run")
    return send(response, 200, {
      task: option("task", "banking77"),
      labels: corpus.labels.map((name) => ({ name, description: null })),
      teachers: TEACHERS,
      directory: "runs/banking77",
      version: "0.1.0",
      live: isLive(),
      correctable: !flag("fixed"),
      refinery: "posterior",
    });
  if (path === "/api/v1/status") return send(response, 200, { live: isLive(), status: state() });
  if (path === "/api/v1/overview") return send(response, 200, overview());
  if (path === "/api/v1/labels") return send(response, 200, page(url.searchParams));
  if (path === "/api/v1/review") return send(response, 200, review(url.searchParams));
  const position = Number(path.match(/^\/api\/v1\/labels\/(\d+)$/)?.[1] ?? NaN);
  if (position < N) return send(response, 200, detail(position));
  return send(response, 404, { error: "there is nothing at this address" });
}

createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => setTimeout(() => answer(request, response, body), request.url.startsWith("/api") ? DELAY : 0));
}).listen(PORT, "127.0.0.1", () => console.log(`http://127.0.0.1:${PORT}/  ${N} texts`));

if (flag("live")) {
  setInterval(() => {
    const paused = ((Date.now() - began) / 1000) % 40 < 6;
    const more = paused ? 0 : Math.min(N - labelled, Math.round(N * 0.004));
    labelled += more;
    tell("status", { live: true, status: state() });
    if (more) changed();
  }, 1000);
}
