// Drives the page of a real run as a person would: watches it while it asks, filters, corrects twenty texts with the keyboard, audits
// fifteen, loses the process in the middle of both, and finds all that was acknowledged.
//   TOOLS=/path/to/node_modules node scripts/page/real.mjs CANDIST REPLAY_SERVER     (playwright-core; Chromium)
// Invariant: what the page called kept is in corrections.jsonl, and in the labels of the next process.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { address, browser, corrected, count, holds, is, open, text } from "./harness.mjs";

const [candist, replay] = process.argv.slice(2).map((path) => resolve(path));
const EXAMPLES = resolve("examples/banking77");
/** What takes minutes on a slow machine: a run to its end. */
const LONG_MS = 900_000;
const folder = mkdtempSync(join(tmpdir(), "candist-page-"));
const server = { url: "", api: async (path) => (await fetch(server.url + path)).json() };

const teachers = ["gpt-4", "gpt-3.5", "gpt-4-other-shots"].map((name) => `${EXAMPLES}/teacher_${name}.jsonl`);
// Slow enough that it asks still when the browser is there.
const answers = spawn(replay, [...teachers, "--corpus", `${EXAMPLES}/pool.jsonl`, "--port", "0", "--latency-ms", "400"], {
  stdio: ["ignore", "pipe", "inherit"],
});
const teacher = await address(answers, answers.stdout);

const quickstart = readFileSync("configs/quickstart.toml", "utf8");
const task = quickstart.slice(quickstart.indexOf("[task]"), quickstart.indexOf("[corpus]"));
writeFileSync(
  join(folder, "live.toml"),
  `${task}
[corpus]
path = "${EXAMPLES}/pool.jsonl"
[[teachers]]
kind = "openai"
model = "all-merged"
base_url = "${teacher}/v1"
max_in_flight = 32
[student]
dimension = 16
[distill]
max_passes = 8
[run]
dir = "${folder}/run"
`,
);

/** Starts the run with its page, and waits until it listens. */
async function run() {
  const child = spawn(candist, ["run", "live.toml", "--listen", "127.0.0.1:0"], {
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
  });
  server.url = await address(child, child.stderr, /the page of this run is (http:\/\/[\d.]+:\d+)/);
  // Before there is a run to show, nothing answers, or not with this.
  const labelled = async () => (await server.api("/api/v1/overview").catch(() => ({}))).labelled > 20;
  await holds("the page comes, and has labels", labelled, LONG_MS);
  return child;
}

async function keyed(page, key, wanted) {
  await page.locator(".stage-id").waitFor();
  await page.keyboard.press(key);
  await is(`${wanted} are kept after ${key}`, () => corrected(server), wanted);
}

const audit = async () => (await server.api("/api/v1/audit")).audit;

/** Labels texts of the audit with the keyboard, until so many are kept. */
async function label(page, from, to) {
  for (let kept = from; kept <= to; kept += 1) {
    await page.locator(".stage-id").waitFor();
    await page.keyboard.press(String(1 + (kept % 4)));
    await is(`${kept} texts of the audit are labelled`, async () => (await audit()).filled, kept);
  }
}

/** Draws a sample when all labels are final, loses the process in its middle, ends it, and takes its labels. */
async function audits() {
  const isFinal = async () => {
    const { texts, final } = await server.api("/api/v1/overview");
    return texts === final;
  };
  await holds("all labels become final", isFinal, LONG_MS);
  let page = await open(server, "#/audit");
  await page.locator(".number-form input").fill("15");
  await page.keyboard.press("Enter");
  await label(page, 1, 8);
  await page.keyboard.press("u");
  await is("undo takes one back", async () => (await audit()).filled, 7);
  const id = await text(page, ".stage-id");
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  child = await run();
  await is("the next process has what was acknowledged of the audit", async () => (await audit()).filled, 7);
  page = await open(server, "#/audit");
  await is("and goes on with the same text", () => text(page, ".stage-id"), id);
  await label(page, 8, 15);
  await holds("figures come by themselves", async () => (await text(page, ".hero-count")).endsWith("of the labels are right"));
  const before = await corrected(server);
  // A sample is one of all labels: a person may have given some of them before it was drawn.
  const known = (await server.api("/api/v1/labels?audited=1&corrected=1")).total;
  await page.locator(".audit-acts button", { hasText: "End the audit" }).click();
  await page.locator("dialog .main-button").click();
  await is("it ends", async () => (await audit()).open, false);
  const certificate = await server.api("/audit/certificate");
  await is("its certificate counts all of it", () => [certificate.kind, certificate.audited], ["candist audit certificate", 15]);
  await is("nothing was corrected by it", () => corrected(server), before);
  await page.locator(".take button").click();
  await is("its labels are corrections when asked for", () => corrected(server), before + 15 - known);
}

let child;
try {
  child = await run();
  let page = await open(server, "#/overview");
  const before = await text(page, ".big");
  await holds("it is watched while it asks", async () => (await text(page, ".big")) !== before);
  await page.goto(`${server.url}/#/labels?label=card_arrival`);
  await holds("a filter leaves its label alone", async () => {
    const labels = await page.locator(".row:not(.head):visible .c-label").allTextContents();
    return labels.length > 0 && labels.every((label) => label.includes("card_arrival"));
  });
  await page.goto(`${server.url}/#/review`);
  for (let kept = 1; kept <= 10; kept += 1) await keyed(page, kept % 3 ? "Enter" : "2", kept);
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  child = await run();
  await is("the next process has what was acknowledged", () => corrected(server), 10);
  page = await open(server, "#/review");
  for (let kept = 11; kept <= 20; kept += 1) await keyed(page, "1", kept);
  await keyed(page, "u", 19);
  const lines = readFileSync(join(folder, "run/corrections.jsonl"), "utf8").trim().split("\n");
  const said = new Map(lines.map((line) => JSON.parse(line)).map((line) => [line.id, line.label]));
  await is("as many are on disk", [...said.values()].filter(Boolean).length, 19);
  await page.goto(`${server.url}/#/labels`);
  await page.getByLabel("Where the label comes from").selectOption({ label: "From a person" });
  const found = async () => {
    // What was taken back may still be a person's when the list is asked for: it does not change under who reads it, but says so.
    const news = page.locator(".news:visible");
    if (await news.count()) await news.click();
    return (await text(page, ".count")).slice(0, 14);
  };
  await is("and the filter finds as many", found, "19 texts match");
  await audits();
  child.kill("SIGINT");
  await is(
    "Ctrl-C ends it where nothing is lost",
    [await new Promise((resolve) => child.once("exit", resolve))].every((code) => code === 0 || code === 130),
    true,
  );
} finally {
  child?.kill("SIGKILL");
  answers.kill();
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(count.failures ? `${count.failures} did not hold` : "all of it holds");
process.exitCode = count.failures ? 1 : 0;
