// The page: its top bar, and which view is on. Views are functions (element, parameters) → { update, destroy }.
// Checked with: npx -p typescript tsc -p scripts/page/tsconfig.json. Invariant: one view at a time, and what it listened to ends with it.

import { NO_TOKEN, getRun, onRefused, reason } from "./api.js";
import { audited } from "./audited.js";
import { auditView } from "./audit.js";
import { onCorrection, sitting } from "./corrections.js";
import { byId, h, isPlain, isTyping, put, say } from "./dom.js";
import { clock, count, percent } from "./format.js";
import { showKeys } from "./keys.js";
import { unkept } from "./keeper.js";
import { labelsView } from "./labels.js";
import { askOnce, listen, live, on } from "./live.js";
import { overviewView } from "./overview.js";
import { phaseName, shareDone } from "./progress.js";
import { reviewView } from "./review.js";
import { VIEWS, go, href, route } from "./route.js";
import { run } from "./run.js";

/** @typedef {{ update: (params: URLSearchParams) => void, destroy: () => void }} View */

const TITLES = { overview: "Overview", labels: "Labels", review: "Review", audit: "Audit" };
const MAKERS = { overview: overviewView, labels: labelsView, review: reviewView, audit: auditView };

/** @type {View | null} */
let view = null;
/** @type {import("./route.js").ViewName | null} */
let shown = null;
let isRefused = false;

function follow() {
  if (isRefused || !run.info) return;
  const { view: name, params } = route();
  if (name === shown && view) {
    view.update(params);
    return;
  }
  const main = byId("main");
  view?.destroy();
  const first = shown === null;
  shown = name;
  put(main);
  main.dataset.view = name;
  view = MAKERS[name](main, params);
  for (const link of document.querySelectorAll("nav a[data-view]")) {
    if (link.getAttribute("data-view") === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
  // Who follows a link goes on from the view's start; at the first load the focus stays where the browser has it.
  if (!first) main.focus({ preventScroll: true });
  showState();
}

function showState() {
  if (isRefused || !run.info) {
    put(byId("state"));
    return;
  }
  const name = phaseName(live.status, live.live);
  const share = shareDone(live.status);
  const moving = live.live && live.link === "open";
  const done = live.status ? `${count(live.status.done)}${live.status.total ? ` of ${count(live.status.total)}` : ""}` : "";
  const [failed, unlabelled] = [unkept(sitting).failed, unkept(audited.entries).failed];
  const where = failed > 0 ? "review" : "audit";
  const notKept = failed + unlabelled > 0 && h("a", { href: href(where), class: "not-kept" }, `${count(failed + unlabelled)} not kept`);
  put(
    byId("state"),
    notKept,
    h("span", { class: moving ? "dot moving" : "dot", "data-phase": name }),
    h("span", { class: "phase" }, name),
    done && h("span", { class: "state-done num" }, done),
    share !== null && live.live && h("span", { class: "num" }, percent(share)),
  );
  byId("topbar").hidden = share === null || !live.live;
  byId("topbar-fill").style.width = `${(share ?? 0) * 100}%`;
  const at = share !== null && live.live ? `${percent(share)} · ` : "";
  document.title = `${at}${run.info?.task ?? "candist"} · ${shown ? TITLES[shown] : "candist"}`;
}

function showLink() {
  const lost = byId("link-lost");
  lost.hidden = live.link !== "lost" || isRefused;
  // Said once a loss, not at every try.
  if (lost.hidden) put(lost);
  else if (!lost.textContent) say(lost, `Connection lost. What is shown is of ${clock(live.at ?? new Date())}; trying again.`);
  showState();
}

/** @param {string} title @param {string} what @param {(() => void) | null} again */
function showTrouble(title, what, again) {
  view?.destroy();
  view = null;
  shown = null;
  put(
    byId("main"),
    h(
      "div",
      { class: "page" },
      h(
        "div",
        { class: "blank", role: "alert" },
        h("h1", {}, title),
        h("p", {}, what),
        again && h("button", { type: "button", class: "main-button", onclick: again }, "Try again"),
      ),
    ),
  );
}

function refuse() {
  if (isRefused) return;
  isRefused = true;
  showTrouble("This page wants its token", NO_TOKEN, () => location.reload());
  put(byId("state"));
  showLink();
}

async function start() {
  try {
    run.info = await getRun();
    say(byId("task"), run.info.task);
    await askOnce();
  } catch (error) {
    if (!isRefused) showTrouble("Nothing to show yet", reason(error), () => void start());
    return;
  }
  follow();
  listen();
}

onRefused(refuse);
onCorrection(showState);
audited.on(showState);
window.addEventListener("beforeunload", (event) => {
  // What is not kept yet would be lost.
  const { saving, failed } = unkept([...sitting, ...audited.entries]);
  if (saving + failed > 0) event.preventDefault();
});
on("status", showState);
on("link", showLink);
window.addEventListener("hashchange", follow);
byId("keys").addEventListener("click", () => showKeys());
byId("skip").addEventListener("click", (event) => {
  // The address after # is the view's: it must not become that of the skipped-to element.
  event.preventDefault();
  byId("main").focus();
});
document.addEventListener("keydown", (event) => {
  if (!isPlain(event) || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  if (event.key === "?") showKeys();
  const place = ["O", "L", "R", "A"].indexOf(event.key);
  const name = VIEWS[place];
  if (name) go(name, new URLSearchParams());
});
void start();
