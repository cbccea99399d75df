// What checks of the page stand on: a mock for each, a browser, and two ways to say what should be so. The checks are in check.mjs.
// Machines differ in speed, and are busy: nothing is true because some time passed, only because it was waited for. What must not happen is
// looked for once the page is at rest (`settle`).
// Invariant: whatever the page throws, whatever a text would run and whatever the CSP forbids counts as a failure.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(process.env.TOOLS ? `${process.env.TOOLS}/x.js` : import.meta.url);
const { chromium } = require("playwright-core");
export const AXE = require.resolve("axe-core/axe.min.js");
const MOCK = fileURLToPath(new URL("mock.mjs", import.meta.url));
/** How many did not hold. */
export const count = { failures: 0 };

const PATIENCE_MS = 40_000;

/** Whether it is so; of a function, whether it becomes so: a busy machine is slow, and not wrong. */
export async function is(what, look, wanted, patience = PATIENCE_MS) {
  const [find, until] = typeof look === "function" ? [look, Date.now() + patience] : [() => look, 0];
  for (;;) {
    // What throws because a page is being loaded may hold the next time.
    const found = await Promise.resolve()
      .then(find)
      .catch((error) => String(error));
    if (JSON.stringify(found) === JSON.stringify(wanted)) return;
    if (Date.now() >= until) {
      count.failures += 1;
      console.log(`  FAILED ${what}: ${JSON.stringify(found)} and not ${JSON.stringify(wanted)}`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
}
export const holds = (what, look, patience = PATIENCE_MS) =>
  is(what, async () => Boolean(typeof look === "function" ? await look() : look), true, patience);

/** The address that a server prints when it listens. */
export function address(child, output, pattern = /(http:\/\/[\d.]+:\d+)/) {
  return new Promise((resolve, reject) => {
    let said = "";
    const listen = (part) => {
      said += part;
      const found = said.match(pattern);
      if (!found) return;
      output.off("data", listen);
      output.resume();
      resolve(found[1]);
    };
    output.setEncoding("utf8").on("data", listen);
    child.once("exit", (code) => reject(new Error(`it ended with ${code} and said: ${said}`)));
  });
}

export async function mock(...flags) {
  const child = spawn(process.execPath, [MOCK, "--port", "0", ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  const url = await address(child, child.stdout);
  const api = async (path) => (await fetch(url + path)).json();
  return { url, api, stop: () => child.kill() };
}

// In a container /dev/shm is often too small for a browser.
export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});

/** Requests under way, of each page; its stream is always one. */
const underWay = new WeakMap();

function watch(page) {
  const requests = new Set();
  underWay.set(page, requests);
  page.on("request", (request) => request.url().endsWith("/stream") || requests.add(request));
  for (const end of ["requestfinished", "requestfailed"]) page.on(end, (request) => requests.delete(request));
}

/** Until the page is at rest: what was done has been drawn, and what it asks for has been answered. */
export async function settle(page) {
  const until = Date.now() + PATIENCE_MS;
  for (let quiet = 0; quiet < 3 && Date.now() < until;) {
    // A page that is being loaded again has no frame to wait for.
    const drawn = await page
      .evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 20, true)))))
      .catch(() => false);
    quiet = drawn && underWay.get(page).size === 0 ? quiet + 1 : 0;
  }
}

export async function open(server, hash, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  context.setDefaultNavigationTimeout(PATIENCE_MS);
  const page = await context.newPage();
  watch(page);
  page.on("pageerror", (error) => is("no error in the page", error.stack, null));
  page.on("dialog", async (dialog) => {
    await dialog.accept();
    await is("no dialog", `${dialog.type()} ${dialog.message()}`, null);
  });
  page.on("console", (message) => /Content Security Policy/.test(message.text()) && is("nothing against the CSP", message.text(), null));
  await page.goto(`${server.url}/${hash}`);
  await page.locator("main > .page").waitFor();
  await settle(page);
  return page;
}

/** Loads the page again, once all that was said is kept: it holds on to who leaves before. */
export async function reload(page) {
  await settle(page);
  await page.reload();
}

export const text = (page, selector) => page.locator(selector).first().textContent();
export const corrected = async (server) => (await server.api("/api/v1/labels?corrected=1")).total;
