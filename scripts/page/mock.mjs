// A stand-in for the page's server: the assets and the routes of the API over a made corpus, for building and looking at the page.
// No dependency: node scripts/page/mock.mjs [--texts 10000] [--live] [--settle] [--doubt] [--empty] [--rest-without-status] [--port 18100] [--delay MS]
// GET /mock?fail=1|0 makes corrections fail, ?down=1|0 breaks the stream and all answers, ?token=1|0 wants a token,
// ?still=1|0 lets a live run stand still.
// Not a model of how candist behaves: `candist serve` is. Invariant: loopback only.

import { createServer } from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { basename, extname } from "node:path";
import * as audit from "./mock-audit.mjs";
import { TEACHERS } from "./mock-corpus.mjs";
import {
  N,
  began,
  corpus,
  corrections,
  detail,
  expected,
  flag,
  isLive,
  now,
  option,
  overview,
  page,
  review,
  row,
  status,
} from "./mock-run.mjs";

const PORT = Number(option("port", 18_100));
const DELAY = Number(option("delay", 0));
const ASSETS = new URL("../../src/page/assets/", import.meta.url);
const mode = { fail: false, down: false, token: false, still: false };
const streams = new Set();
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; " +
  "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

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

/** As it is sent: of a text of the sample nothing but the text. */
const marked = (one) =>
  audit.isSampled(one.position)
    ? {
        ...one,
        ...{ audited: true, label: null, confidence: null, margin: null, others: [], candidates: [], by: null, final: false, revision: 0 },
        ...(one.teachers ? { teachers: [], failure: null, history: [], correction: null, nearest: [] } : {}),
      }
    : { ...one, audited: false };
/** Whose label is taken back, which the address has to say. */
const named = (url) => new URL(url, "http://localhost").searchParams.get("id");
const positionIn = (url) => Number(basename(new URL(url, "http://localhost").pathname));
const state = () => (flag("rest-without-status") ? null : status());
const tell = (event, data) => streams.forEach((to) => to.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`));

function changed() {
  now.version += 1;
  tell("labels", { events: Math.floor(now.labelled * 1.4), version: now.version });
}

function correct(request, response, body) {
  if (request.headers["x-candist"] !== "1") return send(response, 403, { error: "the header X-Candist is missing" });
  if (mode.fail) return send(response, 500, { error: "The disk is full. Make room, then try again." });
  if (audit.isSampled(request.method === "DELETE" ? positionIn(request.url) : JSON.parse(body).position))
    return send(response, 409, { error: "this text is in the sample of the audit: end the audit first" });
  if (request.method === "DELETE") {
    const position = positionIn(request.url);
    if (named(request.url) !== detail(position).id) return send(response, 409, { error: "this position has another text by now" });
    corrections.delete(position);
    changed();
    return send(response, 200, { position, label: null });
  }
  const { position, text_hash, label, who, note } = JSON.parse(body);
  if (text_hash !== detail(position).text_hash) return send(response, 409, { error: "this position has another text by now" });
  if (!corpus.number.has(label)) return send(response, 422, { error: `"${label}" is not a label of the task.` });
  corrections.set(position, { label, who, note });
  changed();
  return send(response, 200, { position, label });
}

function audits(request, response, url, body) {
  const path = url.pathname.replace("/api/v1/audit", "");
  try {
    if (request.method === "GET" && path === "") return send(response, 200, audit.state(url.searchParams));
    if (request.method === "GET" && path === "/next") return send(response, 200, audit.next(url.searchParams));
    if (request.method === "GET") return send(response, 200, audit.toAudit(Number(basename(path))));
    if (request.headers["x-candist"] !== "1") return send(response, 403, { error: "the header X-Candist is missing" });
    if (flag("fixed")) return send(response, 501, { error: "labels cannot be given here: this page only shows the run" });
    if (mode.fail) return send(response, 500, { error: "The disk is full. Make room, then try again." });
    const sent = body ? JSON.parse(body) : {};
    const acts = { "/draw": audit.draw, "/more": audit.more, "/labels": audit.label, "/end": audit.end, "/corrections": audit.take };
    const done = request.method === "DELETE" ? audit.takeBack(positionIn(request.url), named(request.url)) : acts[path](sent);
    changed();
    return send(response, 200, done ?? audit.state(new URLSearchParams()));
  } catch (error) {
    if (!Array.isArray(error)) throw error;
    return send(response, error[0], { error: error[1] });
  }
}

/** What may be asked for: the server refuses other fields too. */
const FIELDS = {
  "/api/v1/labels": "offset limit sort desc label by min max final disagree corrected failed contains".split(" "),
  "/api/v1/review": "order label limit seed offset".split(" "),
  "/api/v1/estimates": ["looked", "changed"],
  "/api/v1/audit": ["epsilon", "delta", "figures"],
  "/api/v1/audit/next": ["offset", "limit"],
};

function answer(request, response, body) {
  const url = new URL(request.url, "http://localhost");
  const path = url.pathname;
  const unknown = [...url.searchParams.keys()].find((name) => FIELDS[path] && !FIELDS[path].includes(name));
  if (unknown) return send(response, 400, { error: `unknown field ${unknown}` });
  if (path === "/mock/label") return send(response, 200, detail(Number(url.searchParams.get("position"))).label);
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
  if (path === "/api/v1/labels") {
    const shown = page(url.searchParams);
    return send(response, 200, { ...shown, rows: shown.rows.map(marked) });
  }
  if (path.startsWith("/api/v1/audit")) return audits(request, response, url, body);
  if (path === "/audit/certificate") return send(response, 200, { kind: "candist audit certificate", ...audit.state(url.searchParams) });
  if (path === "/api/v1/review") {
    const queue = review(url.searchParams);
    return send(response, 200, { ...queue, rows: queue.rows.filter((one) => !audit.isSampled(one.position)) });
  }
  if (path === "/api/v1/estimates") {
    const [looked, changed] = ["looked", "changed"].map((name) => Number(url.searchParams.get(name) ?? 0));
    return send(response, 200, { expected: expected(), changed: looked ? audit.share(changed, looked) : null });
  }
  const position = Number(path.match(/^\/api\/v1\/labels\/(\d+)$/)?.[1] ?? NaN);
  if (position < N) return send(response, 200, marked(detail(position)));
  return send(response, 404, { error: "there is nothing at this address" });
}

createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => setTimeout(() => answer(request, response, body), request.url.startsWith("/api") ? DELAY : 0));
}).listen(PORT, "127.0.0.1", function () {
  console.log(`http://127.0.0.1:${this.address().port}/  ${N} texts`);
});

if (flag("live")) {
  setInterval(() => {
    const paused = ((Date.now() - began) / 1000) % 40 < 6;
    const more = paused || mode.still ? 0 : Math.min(N - now.labelled, Math.round(N * 0.004));
    now.labelled += more;
    tell("status", { live: true, status: state() });
    if (more) changed();
  }, 1000);
}
