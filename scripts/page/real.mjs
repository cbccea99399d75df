// Drives the page of a real run as a person would: watches it while it asks, filters, corrects twenty texts with the keyboard, loses
// the process in the middle, and finds all that was acknowledged.
//   TOOLS=/path/to/node_modules node scripts/page/real.mjs CANDIST REPLAY_SERVER     (playwright-core; Chromium)
// Invariant: what the page called kept is in corrections.jsonl, and in the labels of the next process.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { browser, corrected, count, holds, is, open, text } from "./harness.mjs";

const [candist, replay] = process.argv.slice(2).map((path) => resolve(path));
const EXAMPLES = resolve("examples/banking77");
const folder = mkdtempSync(join(tmpdir(), "candist-page-"));
const [SERVER_PORT, PAGE_PORT] = [18_140, 18_141];
const server = { url: `http://127.0.0.1:${PAGE_PORT}`, api: async (path) => (await fetch(server.url + path)).json() };

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
base_url = "http://127.0.0.1:${SERVER_PORT}/v1"
max_in_flight = 32
[student]
dimension = 16
[distill]
max_passes = 8
[run]
dir = "${folder}/run"
`,
);

const teachers = ["gpt-4", "gpt-3.5", "gpt-4-other-shots"].map((name) => `${EXAMPLES}/teacher_${name}.jsonl`);
const answers = spawn(replay, [...teachers, "--corpus", `${EXAMPLES}/pool.jsonl`, "--port", String(SERVER_PORT), "--latency-ms", "150"], {
  stdio: ["ignore", "pipe", "inherit"],
});

/** Starts the run with its page, and waits until it listens. */
async function run() {
  const child = spawn(candist, ["run", "live.toml", "--listen", `127.0.0.1:${PAGE_PORT}`], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  await new Promise((resolve) => child.stderr.once("data", resolve));
  child.stderr.resume();
  for (let tries = 0; tries < 300; tries += 1) {
    try {
      if ((await server.api("/api/v1/overview")).labelled > 20) return child;
    } catch {
      // There is no run to show yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error("the page does not come");
}

async function keyed(page, key, wanted) {
  await page.keyboard.press(key);
  await is(`${wanted} are kept after ${key}`, () => corrected(server), wanted);
}

let child;
try {
  await new Promise((resolve) => setTimeout(resolve, 1500));
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
  await page.waitForTimeout(1000);
  for (let kept = 1; kept <= 10; kept += 1) await keyed(page, kept % 3 ? "Enter" : "2", kept);
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  child = await run();
  await is("the next process has what was acknowledged", () => corrected(server), 10);
  page = await open(server, "#/review");
  await page.waitForTimeout(1000);
  for (let kept = 11; kept <= 20; kept += 1) await keyed(page, "1", kept);
  await keyed(page, "u", 19);
  const lines = readFileSync(join(folder, "run/corrections.jsonl"), "utf8").trim().split("\n");
  const said = new Map(lines.map((line) => JSON.parse(line)).map((line) => [line.id, line.label]));
  await is("as many are on disk", [...said.values()].filter(Boolean).length, 19);
  child.kill("SIGINT");
  await is("Ctrl-C ends it where nothing is lost", [await new Promise((resolve) => child.once("exit", resolve))].every((code) => code === 0 || code === 130), true);
} finally {
  child?.kill("SIGKILL");
  answers.kill();
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(count.failures ? `${count.failures} did not hold` : "all of it holds");
process.exitCode = count.failures ? 1 : 0;
