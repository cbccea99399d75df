// Drives the page over the mock as a person would, and fails where it does not do what it should: review by keyboard, undo, failures,
// filters, a million rows, lost connections, no token, nothing there, nasty texts, and axe-core on every view.
//   TOOLS=/path/to/node_modules node scripts/page/check.mjs [only-names-with-this]     (playwright-core, axe-core; Chromium)
// Invariant: every check starts from a mock of its own, so that their order does not matter.

import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const require = createRequire(process.env.TOOLS ? `${process.env.TOOLS}/x.js` : import.meta.url);
const { chromium } = require("playwright-core");
const AXE = require.resolve("axe-core/axe.min.js");
const MOCK = fileURLToPath(new URL("mock.mjs", import.meta.url));
const only = process.argv[2] ?? "";
let port = 18_110;
let failures = 0;

function is(what, found, wanted) {
  if (JSON.stringify(found) === JSON.stringify(wanted)) return;
  failures += 1;
  console.log(`  FAILED ${what}: ${JSON.stringify(found)} and not ${JSON.stringify(wanted)}`);
}
const holds = (what, value) => is(what, Boolean(value), true);

async function mock(...flags) {
  port += 1;
  const child = spawn(process.execPath, [MOCK, "--port", String(port), ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => child.stdout.once("data", resolve));
  const url = `http://127.0.0.1:${port}`;
  const api = async (path) => (await fetch(url + path)).json();
  return { url, api, stop: () => child.kill() };
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

async function open(server, hash, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => is("no error in the page", error.stack, null));
  page.on("dialog", (dialog) => is("no dialog of a text", dialog.message(), null));
  page.on("console", (message) => /Content Security Policy/.test(message.text()) && is("nothing against the CSP", message.text(), null));
  await page.goto(`${server.url}/${hash}`);
  await page.waitForTimeout(400);
  return page;
}

const text = (page, selector) => page.locator(selector).first().textContent();
const corrected = async (server) => (await server.api("/api/v1/labels?corrected=1")).total;

async function reviewTwenty(server) {
  const page = await open(server, "#/review");
  const ids = new Set();
  for (let k = 0; k < 20; k += 1) {
    ids.add(await text(page, ".stage-id"));
    await page.keyboard.press(k % 3 === 1 && (await page.locator(".choice").count()) > 1 ? "2" : "Enter");
  }
  await page.waitForTimeout(400);
  is("twenty different texts", ids.size, 20);
  is("twenty are kept", await corrected(server), 20);
  holds("what is left counts down", (await text(page, ".review-left")).includes("9,980 left · 20 reviewed"));
  const last = [...ids].at(-1);
  await page.keyboard.press("u");
  await page.waitForTimeout(300);
  is("undo goes back", await text(page, ".stage-id"), last);
  is("and takes it back", await corrected(server), 19);
  await page.keyboard.press("s");
  await page.keyboard.press("u");
  is("undo of a skip goes back too", await text(page, ".stage-id"), last);
  await page.keyboard.press("n");
  await page.keyboard.type("2 is a note");
  await page.keyboard.press("Enter");
  await page.keyboard.press("/");
  await page.keyboard.type("lost phone");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
  const position = Number(last.replace("pool-", ""));
  const { correction } = await server.api(`/api/v1/labels/${position}`);
  is("a searched label and a note are kept", [correction.label, correction.note], ["lost_or_stolen_phone", "2 is a note"]);
  await page.keyboard.press("d");
  await page.waitForTimeout(300);
  holds("what teachers said", await page.locator(".review-side .teacher").count());
  await page.keyboard.press("Escape");
  is("Escape closes", await page.locator(".review-side .detail").isVisible(), false);
  await page.keyboard.press("?");
  holds("the keys", await page.locator("dialog[open]").count());
  await page.keyboard.press("Enter");
  is("keys behind the dialog do nothing", await corrected(server), 20);
}

async function reviewFails(server) {
  const page = await open(server, "#/review");
  await server.api("/mock?fail=1");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
  holds("a failure is told with its reason", (await text(page, ".failures")).includes("2 corrections are not kept. The disk is full."));
  is("and not counted as reviewed", (await text(page, ".review-left")).includes("reviewed"), false);
  await server.api("/mock?fail=0");
  await page.locator(".failures button").click();
  await page.waitForTimeout(300);
  is("tried again, they are kept", await corrected(server), 2);
  is("and the failure is gone", await page.locator(".failures").isVisible(), false);
}

async function reviewEnds(server) {
  const label = "lost_or_stolen_phone";
  const { total } = await server.api(`/api/v1/labels?label=${label}`);
  const page = await open(server, `#/review?order=label&label=${label}`);
  for (let k = 0; k < total; k += 1) {
    await page.keyboard.press(k === 3 ? "s" : "Enter");
    await page.waitForTimeout(40);
  }
  await page.waitForTimeout(400);
  holds("one skipped", (await text(page, ".stage")).includes("1 text skipped"));
  await page.locator(".stage .main-button").click();
  await page.waitForTimeout(400);
  await page.locator(".stage").focus();
  await page.keyboard.press("Enter");
  await page.waitForTimeout(400);
  holds("all reviewed", (await text(page, ".stage")).includes("All reviewed"));
  is("all are kept", await corrected(server), total);
}

async function filters(server) {
  const page = await open(server, "#/labels");
  await page.locator(".filters .picker input").click();
  await page.keyboard.type("pin bl");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
  is("the label is in the address", new URL(page.url()).hash, "#/labels?label=pin_blocked");
  const { total } = await server.api("/api/v1/labels?label=pin_blocked");
  holds("the count", (await text(page, ".count")).startsWith(`${total} texts match`));
  await page.locator(".head button", { hasText: "Confidence" }).click();
  await page.waitForTimeout(300);
  const seen = (await page.locator(".row:not(.head):visible .c-confidence .num").allTextContents()).map(Number);
  is("ordered by confidence", [...seen].sort((a, b) => a - b), seen);
  await page.locator(".chip", { hasText: "Teachers disagree" }).click();
  await page.waitForTimeout(300);
  const link = page.url();
  const other = await open(server, new URL(link).hash);
  is("the link shows the same", await text(other, ".count"), await text(page, ".count"));
  is("and the filter is on", await other.locator('.chip[aria-pressed="true"]').count(), 1);
  await page.goBack();
  await page.waitForTimeout(300);
  is("back takes the last filter off", await page.locator('.chip[aria-pressed="true"]').count(), 0);
  await page.goto(`${server.url}/#/labels?contains=qqqq`);
  await page.waitForTimeout(400);
  holds("nothing matches", (await text(page, ".blank")).includes("Nothing matches"));
  await page.locator(".blank button").click();
  await page.waitForTimeout(300);
  is("clear", await text(page, ".count"), "10,000 texts");
  await page.goto(`${server.url}/#/overview`);
  await page.waitForTimeout(500);
  await page.locator(".mark.link").nth(2).click();
  await page.waitForTimeout(300);
  holds("a bar leads to its rows", new URL(page.url()).hash.startsWith("#/labels?label="));
}

async function panel(server) {
  const page = await open(server, "#/labels");
  await page.locator(".grid").focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
  is("the third row opens", await text(page, ".detail-id"), "pool-0002");
  await page.keyboard.press("j");
  await page.waitForTimeout(300);
  is("j is the next", await text(page, ".detail-id"), "pool-0003");
  await page.locator(".detail .picker input").click();
  await page.keyboard.type("age");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(400);
  is("it is kept", await corrected(server), 1);
  holds("and told", (await text(page, ".kept-line")).includes("Kept"));
  is("and in the table", await page.locator(".row.is-open .c-label").textContent(), "age_limit");
  await page.locator(".kept-line button").click();
  await page.waitForTimeout(400);
  is("taken back", await corrected(server), 0);
  await page.keyboard.press("Escape");
  await page.waitForTimeout(200);
  is("Escape closes it", await page.locator(".detail").isVisible(), false);
  is("and the table has the focus", await page.evaluate(() => document.activeElement?.className), "grid");
}

async function million(server) {
  const page = await open(server, "#/labels");
  const rows = () => page.locator(".row:not(.head)").count();
  const at = () => page.evaluate(() => [...document.querySelectorAll(".row.is-at .c-text")].map((cell) => cell.parentElement.getAttribute("aria-rowindex")));
  const order = () => page.evaluate(() => {
    const shown = [...document.querySelectorAll(".row:not(.head)")].filter((row) => !row.hidden).map((row) => ({ i: Number(row.dataset.index), y: row.getBoundingClientRect().y }));
    shown.sort((a, b) => a.y - b.y);
    return shown.every((row, k) => k === 0 || (row.i === shown[k - 1].i + 1 && Math.abs(row.y - shown[k - 1].y - 40) < 0.6)) && shown.length > 10;
  });
  await page.locator(".grid").focus();
  await page.keyboard.press("End");
  await page.waitForTimeout(500);
  is("End is the last row", await at(), ["1000001"]);
  holds("its text is there", (await page.locator(".row.is-at .c-text").textContent()).length > 3);
  const bottom = await page.evaluate(() => Math.round(document.querySelector(".grid").getBoundingClientRect().bottom - document.querySelector(".row.is-at").getBoundingClientRect().bottom));
  holds(`it ends where the table ends (${bottom})`, Math.abs(bottom) <= 1);
  for (const part of [0.02, 0.5, 0.97, 0.3]) {
    await page.evaluate((p) => { const g = document.querySelector(".grid"); g.scrollTop = (g.scrollHeight - g.clientHeight) * p; }, part);
    await page.waitForTimeout(450);
    holds(`rows stand in order at ${part}`, await order());
  }
  const box = await page.locator(".grid").boundingBox();
  await page.mouse.move(box.x + 300, box.y + 300);
  const before = await page.evaluate(() => Number([...document.querySelectorAll(".row:not(.head)")].find((r) => !r.hidden && r.getBoundingClientRect().y > 300).dataset.index));
  const frames = page.evaluate(() => new Promise((done) => {
    const times = [];
    let last = performance.now();
    const tick = (now) => { times.push(now - last); last = now; if (times.length < 90) requestAnimationFrame(tick); else done(times.slice(2)); };
    requestAnimationFrame(tick);
  }));
  for (let k = 0; k < 60; k += 1) await page.mouse.wheel(0, 120);
  const times = (await frames).sort((a, b) => a - b);
  await page.waitForTimeout(500);
  const after = await page.evaluate(() => Number([...document.querySelectorAll(".row:not(.head)")].find((r) => !r.hidden && r.getBoundingClientRect().y > 300).dataset.index));
  is("sixty notches are 180 rows, in the middle too", Math.round((after - before) / 10) * 10, 180);
  holds("rows stand in order after the wheel", await order());
  console.log(`  frames: median ${times[Math.floor(times.length / 2)].toFixed(1)} ms, slowest ${times.at(-1).toFixed(1)} ms; ${await rows()} rows in the DOM`);
  holds("few rows in the DOM", (await rows()) < 60);
  await page.keyboard.press("Home");
  await page.waitForTimeout(500);
  is("Home is the first", await at(), ["2"]);
  let asked = 0;
  page.on("request", (request) => request.url().includes("/api/v1/labels?") && (asked += 1));
  await page.evaluate(async () => { const g = document.querySelector(".grid"); for (let k = 0; k < 60; k += 1) { g.scrollTop += 120_000; await new Promise(requestAnimationFrame); } });
  await page.waitForTimeout(700);
  holds(`what flies past is not all asked for (${asked} of 60 places)`, asked < 45);
}

async function lost(server) {
  const page = await open(server, "#/overview");
  await server.api("/mock?down=1");
  await page.waitForTimeout(600);
  holds("the loss is told, with its time", /Connection lost. What is shown is of \d\d:\d\d/.test(await text(page, "#link-lost")));
  await server.api("/mock?down=0");
  await page.waitForTimeout(3500);
  is("and it comes back", await page.locator("#link-lost").isVisible(), false);
  await server.api("/mock?token=1");
  await page.goto(`${server.url}/#/labels`);
  await page.reload();
  await page.waitForTimeout(500);
  holds("a token is wanted", (await text(page, "main")).includes("Open the address that candist printed, with its token."));
}

async function live(server) {
  const page = await open(server, "#/overview");
  holds("the pause is told", (await text(page, ".quiet-notice")).startsWith("Nothing is sent just now. 429 from"));
  const first = await text(page, ".big");
  await page.waitForTimeout(7500);
  holds("the count moves", (await text(page, ".big")) !== first);
  holds("the share is in the title", /^\d+% · banking77/.test(await page.title()));
  await page.goto(`${server.url}/#/labels?sort=confidence`);
  await page.waitForTimeout(3500);
  holds("news are offered", await page.locator(".news").isVisible());
}

async function empty(server) {
  const page = await open(server, "#/overview");
  holds("no labels yet", (await text(page, ".overview .blank")).includes("No labels yet"));
  await page.goto(`${server.url}/#/review`);
  await page.waitForTimeout(400);
  holds("nothing to review", (await text(page, ".stage")).includes("Nothing to review"));
}

async function rest(server) {
  const page = await open(server, "#/overview");
  is("a run at rest without a status", await text(page, ".hero-count"), "10,000of 10,000 texts");
  await page.goto(`${server.url}/#/review`);
  await page.waitForTimeout(400);
  await page.keyboard.press("Enter");
  holds("nothing is sent where nothing can be corrected", (await corrected(server)) === 0 && (await text(page, ".notice")).includes("Look only"));
}

async function nasty(server) {
  const page = await open(server, "#/labels");
  for (let k = 0; k < 13; k += 1) {
    await page.goto(`${server.url}/#/labels?open=${40 + 61 * k}`);
    await page.waitForTimeout(250);
    const wanted = (await server.api(`/api/v1/labels/${40 + 61 * k}`)).text;
    const found = await text(page, ".detail-text");
    if (wanted.trim()) is(`nasty text ${k}`, found.slice(0, 200), wanted.slice(0, 200));
    else holds("white space is told", found.includes("white space"));
    is("the page is no wider for it", await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.querySelector(".detail-body").scrollWidth <= document.querySelector(".detail-body").clientWidth), true);
  }
  await page.goto(`${server.url}/#/labels?open=40`);
  await page.waitForTimeout(300);
  await page.locator(".detail .picker input").click();
  await page.keyboard.type("eighty");
  await page.locator(".detail .picker li").first().click();
  await page.waitForTimeout(300);
  const { correction } = await server.api("/api/v1/labels/40");
  holds("a label with quotes is kept as it is", correction?.label.startsWith('he said "it\'s <b>not</b> a label" &'));
  await page.goto(`${server.url}/#/labels?${new URLSearchParams({ label: correction?.label ?? "" })}`);
  await page.waitForTimeout(300);
  is("and a filter", await text(page, ".count"), "1 text matches");
  await page.goto(`${server.url}/#/labels?open=${40 + 61 * 12}`);
  await page.waitForTimeout(300);
  await page.locator(".long .link").click();
  const started = Date.now();
  await page.waitForTimeout(50);
  holds("a megabyte is shown whole", (await text(page, ".detail-text")).endsWith("The end."));
  console.log(`  a megabyte: ${Date.now() - started} ms`);
  is("an Arabic text is right to left", await (await open(server, "#/labels?open=162")).evaluate(() => getComputedStyle(document.querySelector(".detail-text")).direction), "rtl");
}

async function axe(server) {
  const states = [["overview", "#/overview", async (page) => page.locator(".values-of summary").first().click()], ["labels", "#/labels", async () => {}],
    ["panel", "#/labels?open=40", async (page) => page.locator(".answers summary").first().click()], ["picker", "#/labels", async (page) => page.locator(".filters .picker input").click()],
    ["nothing", "#/labels?contains=qqqq", async () => {}], ["review", "#/review", async (page) => page.keyboard.press("Enter")], ["search", "#/review", async (page) => page.keyboard.press("/")],
    ["keys", "#/review", async (page) => page.keyboard.press("?")]];
  for (const colorScheme of ["light", "dark"]) {
    for (const [width, height] of [[1280, 800], [390, 844]]) {
      for (const [name, hash, act] of states) {
        if (name === "picker" && width === 390) continue;
        const page = await open(server, hash, { colorScheme, viewport: { width, height }, bypassCSP: true });
        await act(page);
        await page.waitForTimeout(200);
        await page.addScriptTag({ path: AXE });
        const { violations } = await page.evaluate(() => window.axe.run());
        for (const one of violations) is(`axe, ${name} ${colorScheme} ${width}`, `${one.impact} ${one.id}: ${one.nodes.slice(0, 2).map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`, null);
        await page.context().close();
      }
    }
  }
}

const CHECKS = [[reviewTwenty], [reviewFails], [reviewEnds], [filters], [panel], [million, "--texts", "1000000"], [lost], [live, "--live"], [empty, "--empty"], [rest, "--rest-without-status", "--fixed"], [nasty], [axe]];
for (const [check, ...flags] of CHECKS) {
  if (!check.name.toLowerCase().includes(only.toLowerCase())) continue;
  console.log(check.name);
  const server = await mock(...flags);
  try {
    await check(server);
  } catch (error) {
    is(`${check.name} runs to its end`, error.stack, null);
  } finally {
    server.stop();
    await Promise.all(browser.contexts().map((context) => context.close()));
  }
}
await browser.close();
console.log(failures ? `${failures} failed` : "all is as it should be");
process.exit(failures ? 1 : 0);
