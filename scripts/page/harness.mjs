// What checks of the page stand on: a mock for each, a browser, and two ways to say what should be so. The checks are in check.mjs.
// Invariant: whatever the page throws, whatever a text would run and whatever the CSP forbids counts as a failure.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(process.env.TOOLS ? `${process.env.TOOLS}/x.js` : import.meta.url);
const { chromium } = require("playwright-core");
export const AXE = require.resolve("axe-core/axe.min.js");
const MOCK = fileURLToPath(new URL("mock.mjs", import.meta.url));
let port = 18_110;
/** How many did not hold. */
export const count = { failures: 0 };

const PATIENCE_MS = 20_000;

/** Whether it is so; of a function, whether it becomes so: a busy machine is slow, and not wrong. */
export async function is(what, look, wanted) {
  const [find, until] = typeof look === "function" ? [look, Date.now() + PATIENCE_MS] : [() => look, 0];
  for (;;) {
    const found = await find();
    if (JSON.stringify(found) === JSON.stringify(wanted)) return;
    if (Date.now() >= until) {
      count.failures += 1;
      console.log(`  FAILED ${what}: ${JSON.stringify(found)} and not ${JSON.stringify(wanted)}`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
}
export const holds = (what, look) => is(what, async () => Boolean(typeof look === "function" ? await look() : look), true);

export async function mock(...flags) {
  port += 1;
  const child = spawn(process.execPath, [MOCK, "--port", String(port), ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  const url = `http://127.0.0.1:${port}`;
  const api = async (path) => (await fetch(url + path)).json();
  return { url, api, stop: () => child.kill() };
}

export const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

export async function open(server, hash, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => is("no error in the page", error.stack, null));
  page.on("dialog", (dialog) => is("no dialog of a text", dialog.message(), null));
  page.on("console", (message) => /Content Security Policy/.test(message.text()) && is("nothing against the CSP", message.text(), null));
  await page.goto(`${server.url}/${hash}`);
  await page.locator("main > .page").waitFor();
  await page.waitForTimeout(400);
  return page;
}

export const text = (page, selector) => page.locator(selector).first().textContent();
export const corrected = async (server) => (await server.api("/api/v1/labels?corrected=1")).total;
