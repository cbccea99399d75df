// The head of the overview: how far the run is, what it costs, what holds it up. Made once, then only its texts and lengths change.
// What a run says of itself is live.js's; this words it. Invariant: a number that is not known is not shown as 0.

import { h, put, say } from "./dom.js";
import { clock, count, counted, decimal, duration, money, percent, rate } from "./format.js";

/** @typedef {import("./live.js").Live} Live */

/** The phase in words; a run whose process is gone is none of the two that go on. @param {Status | null} status @param {boolean} alive */
export function phaseName(status, alive) {
  if (!status) return alive ? "starting" : "at rest";
  if (alive && status.pause) return "paused";
  if (alive || status.phase === "complete") return status.phase;
  return "stopped";
}

/** The share that is done, 0 to 1; null where the total is not known. @param {Status | null} status */
export function shareDone(status) {
  return status?.total ? Math.min(1, status.done / status.total) : null;
}

/** What the whole corpus will have cost, as the program reckons it. @param {Status} status */
export function projected(status) {
  const paid = decimal(status.spent) - decimal(status.spent_before);
  if (!status.total || paid <= 0 || status.answered < 10) return null;
  return (paid * Math.max(0, status.total - status.done)) / status.answered + decimal(status.spent);
}

/** @param {string} name */
function stat(name) {
  const value = h("span", { class: "stat-value" });
  const more = h("span", { class: "stat-more" });
  const root = h("div", { class: "stat" }, h("dt", {}, name), h("dd", {}, value, more));
  return {
    root,
    /** @param {string} main @param {string} [rest] @param {string} [tone] */
    set(main, rest = "", tone = "") {
      root.hidden = main === "";
      say(value, main);
      say(more, rest);
      root.dataset.tone = tone;
    },
  };
}

export function progressPanel() {
  const big = h("span", { class: "big" });
  const of = h("span", { class: "of" });
  const pace = h("p", { class: "pace" });
  const fill = h("div", { class: "meter-fill" });
  const meter = h(
    "div",
    { class: "meter", role: "progressbar", "aria-label": "Texts done", "aria-valuemin": 0, "aria-valuemax": 100 },
    fill,
  );
  const pause = h("p", { class: "notice quiet-notice", role: "status", hidden: true });
  const spend = { ...stat("Spent") };
  const cap = h("div", { class: "cap-fill" });
  const capLine = h("div", { class: "cap", "aria-hidden": "true" }, h("div", { class: "cap-ahead" }), cap);
  spend.root.append(capLine);
  const stats = {
    flight: stat("In flight"),
    retries: stat("Retries"),
    failed: stat("No candidates"),
    student: stat("Student"),
    pass: stat("Settling"),
    events: stat("Label events"),
    corrected: stat("Corrected"),
  };
  const root = h(
    "section",
    { class: "hero", "aria-label": "Progress" },
    h("div", { class: "hero-line" }, h("p", { class: "hero-count" }, big, of), pace),
    meter,
    pause,
    h(
      "dl",
      { class: "stats" },
      spend.root,
      stats.flight.root,
      stats.retries.root,
      stats.failed.root,
      stats.student.root,
      stats.pass.root,
      stats.events.root,
      stats.corrected.root,
    ),
  );

  /** @param {Status} status @param {boolean} alive */
  const showMoney = (status, alive) => {
    const [spent, most, whole] = [decimal(status.spent), decimal(status.max_cost), projected(status)];
    const parts = [most > 0 && `of ${money(most)} at most`, alive && whole !== null && `about ${money(whole)} in all`];
    spend.set(
      spent === 0 && most === 0 ? "" : money(spent),
      parts.filter(Boolean).join(", "),
      most > 0 && (whole ?? 0) > most ? "warn" : "",
    );
    capLine.hidden = most <= 0;
    cap.style.width = percentWidth(spent, most);
    const ahead = /** @type {HTMLElement} */ (capLine.firstElementChild);
    ahead.style.width = alive ? percentWidth(whole ?? 0, most) : "0";
  };

  /** @param {Live} live @param {Overview | null} overview */
  const update = (live, overview) => {
    const { status } = live;
    const done = status ? status.done : (overview?.labelled ?? 0);
    const total = status?.total ?? (live.live ? null : (overview?.texts ?? null));
    say(big, count(done));
    say(of, total === null ? "texts so far" : `of ${counted(total, "text")}`);
    const part = total ? Math.min(1, done / total) : null;
    say(pace, paceLine(live, part));
    root.classList.toggle("unknown", part === null && live.live);
    fill.style.width = part === null ? "" : `${part * 100}%`;
    if (part === null) meter.removeAttribute("aria-valuenow");
    else meter.setAttribute("aria-valuenow", String(Math.floor(part * 100)));
    const held = live.live ? status?.pause : null;
    pause.hidden = !held;
    if (held) put(pause, h("strong", {}, "Nothing is sent just now. "), `${held.why}; goes on in ${duration(held.seconds)}.`);
    if (status) showMoney(status, live.live);
    else spend.set("");
    showCounts(live, overview);
  };

  /** @param {Live} live @param {Overview | null} overview */
  const showCounts = ({ status, live: alive }, overview) => {
    const failed = status?.failed ?? overview?.failed ?? 0;
    const unanswered = status?.unanswered ?? 0;
    const isAsking = alive && status && (status.phase === "annotating" || status.in_flight > 0);
    stats.flight.set(isAsking ? count(status.in_flight) : "", "requests");
    stats.retries.set(status && (alive || status.retries) ? count(status.retries) : "");
    const rest = [
      unanswered > 0 ? `${count(unanswered)} not answered` : failed > 0 ? "the student labels these" : "",
      status?.bad_rows ? counted(status.bad_rows, "bad row") : "",
    ];
    stats.failed.set(count(failed), rest.filter(Boolean).join(", "));
    stats.student.set(alive && status ? behindLine(status) : "", status ? counted(status.steps, "step") : "");
    stats.pass.set(
      alive && status && status.pass > 0 ? `pass ${status.pass}` : "",
      status?.max_passes ? `of ${status.max_passes} at most` : "",
    );
    stats.events.set(count(status?.events ?? overview?.events ?? 0), overview?.final ? `${counted(overview.final, "label")} final` : "");
    stats.corrected.set(count(overview?.corrected ?? 0), "by people");
  };
  return { root, update };
}

/** @param {number} value @param {number} most */
function percentWidth(value, most) {
  return most > 0 ? `${Math.min(100, (value / most) * 100)}%` : "0";
}

/** @param {Status} status */
function behindLine(status) {
  const behind = Math.max(0, status.placed - status.consumed);
  return behind === 0 ? "up to date" : `${count(behind)} behind`;
}

/** @param {Live} live @param {number | null} part */
function paceLine(live, part) {
  const { status, rate: speed, at } = live;
  const share = part === null ? "" : percent(part);
  if (!live.live) {
    const took = status && status.elapsed_s > 0 ? `last worked for ${duration(status.elapsed_s)}` : "";
    return [share, phaseName(status, false), took].filter(Boolean).join(" · ");
  }
  const isPassing = status && status.pass > 0;
  const pass =
    status?.phase !== "settling" ? "" : isPassing ? `settling, pass ${status.pass} of ${status.max_passes} at most` : "settling the labels";
  const left = status?.total && speed && status.phase === "annotating" ? (status.total - status.done) / speed : null;
  const eta =
    left !== null && left > 0 ? `${duration(left)} left, done about ${clock(new Date((at ?? new Date()).getTime() + left * 1000))}` : "";
  return [share, pass, speed && status?.phase === "annotating" && rate(speed), eta, status && `${duration(status.elapsed_s)} so far`]
    .filter(Boolean)
    .join(" · ");
}
