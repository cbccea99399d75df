// Drives the page over the mock as a person would, and fails where it does not do what it should: review by keyboard, undo, failures,
// filters, a million rows, lost connections, no token, nothing there, nasty texts, and axe-core on every view.
//   TOOLS=/path/to/node_modules node scripts/page/check.mjs [only-names-with-this]     (playwright-core, axe-core; Chromium)
// Invariant: every check starts from a mock of its own, so that their order does not matter.

import { auditByKeyboard, auditEnds, auditKeepsApart, auditLooks, auditTooEarly } from "./check-audit.mjs";
import { reviewAtOnce, reviewDoubts, reviewEnds, reviewEstimates, reviewFails, reviewTwenty } from "./check-review.mjs";
import { filters, million, panel } from "./check-table.mjs";
import { AXE, browser, corrected, count, holds, is, mock, open, reload, settle, text } from "./harness.mjs";

const only = process.argv[2] ?? "";

async function lost(server) {
  const page = await open(server, "#/overview");
  await server.api("/mock?down=1");
  await holds("the loss is told, with its time", async () =>
    /Connection lost. What is shown is of \d\d:\d\d/.test(await text(page, "#link-lost")),
  );
  await server.api("/mock?down=0");
  await is("and it comes back", () => page.locator("#link-lost").isVisible(), false);
  await server.api("/mock?token=1");
  await page.goto(`${server.url}/#/labels`);
  await reload(page);
  await holds("a token is wanted", async () =>
    (await text(page, "main")).includes("Open the address that candist printed, with its token."),
  );
}

async function live(server) {
  const page = await open(server, "#/overview");
  // It is paused for six seconds of every forty.
  const isPaused = async () => (await text(page, ".quiet-notice")).startsWith("Nothing is sent just now. 429 from");
  await holds("the pause is told", isPaused, 90_000);
  const first = await text(page, ".big");
  await holds("the count moves", async () => (await text(page, ".big")) !== first);
  await holds("the share is in the title", async () => /^\d+% · banking77/.test(await page.title()));
  await server.api("/mock?still=1");
  const { status } = await server.api("/api/v1/status");
  await page.goto(`${server.url}/#/labels?open=${status.done + 80}`);
  await holds("a text has no label yet", async () => (await text(page, ".detail-body")).includes("No label yet."));
  await server.api("/mock?still=0");
  await holds("and is told its label when it comes", () => page.locator(".detail-name").count());
  await page.goto(`${server.url}/#/labels?sort=confidence`);
  await holds("news are offered", () => page.locator(".news").isVisible());
}

async function empty(server) {
  const page = await open(server, "#/overview");
  await holds("no labels yet", async () => (await text(page, ".overview .blank")).includes("No labels yet"));
  await page.goto(`${server.url}/#/review`);
  await holds("nothing to review", async () => (await text(page, ".stage")).includes("Nothing to review"));
}

async function rest(server) {
  const page = await open(server, "#/overview");
  await is("a run at rest without a status", () => text(page, ".hero-count"), "10,000of 10,000 texts");
  await page.goto(`${server.url}/#/review`);
  await page.locator(".stage-id").waitFor();
  await page.keyboard.press("Enter");
  await settle(page);
  await holds(
    "nothing is sent where nothing can be corrected",
    async () => (await corrected(server)) === 0 && (await text(page, ".notice")).includes("Look only"),
  );
}

async function nasty(server) {
  const page = await open(server, "#/labels");
  for (let k = 0; k < 13; k += 1) {
    await page.goto(`${server.url}/#/labels?open=${40 + 61 * k}`);
    const wanted = (await server.api(`/api/v1/labels/${40 + 61 * k}`)).text;
    const found = () => text(page, ".detail-text");
    if (wanted.trim()) await is(`nasty text ${k}`, async () => (await found()).slice(0, 200), wanted.slice(0, 200));
    else await holds("white space is told", async () => (await found()).includes("white space"));
    await is(
      "the page is no wider for it",
      () =>
        page.evaluate(
          () =>
            document.documentElement.scrollWidth <= innerWidth &&
            document.querySelector(".detail-body").scrollWidth <= document.querySelector(".detail-body").clientWidth,
        ),
      true,
    );
  }
  const { label } = await server.api(`/api/v1/labels/${40 + 61 * 12}`);
  await page.goto(`${server.url}/#/review?${new URLSearchParams({ order: "label", label })}`);
  await page.locator(".stage-id").waitFor();
  for (let k = 0; k < 200 && !(await page.locator(".stage .long").count()); k += 1) {
    await page.keyboard.press("s");
    await page.locator(".stage-id").waitFor();
  }
  await page.locator(".stage .long .link").click();
  await holds("a text that was cut is shown whole when asked for", async () => (await text(page, ".stage-words")).endsWith("The end."));
  await page.goto(`${server.url}/#/labels?open=40`);
  await settle(page);
  await page.locator(".detail .picker input").click();
  await page.keyboard.type("eighty");
  await page.locator(".detail .picker li").first().click();
  const decided = async () => (await server.api("/api/v1/labels/40")).correction;
  await holds("a label with quotes is kept as it is", async () =>
    (await decided())?.label.startsWith('he said "it\'s <b>not</b> a label" &'),
  );
  await page.goto(`${server.url}/#/labels?${new URLSearchParams({ label: (await decided())?.label ?? "" })}`);
  await is("and a filter", () => text(page, ".count"), "1 text matches");
  await page.goto(`${server.url}/#/labels?open=${40 + 61 * 12}`);
  await page.locator(".detail .long .link").click();
  const started = Date.now();
  await holds("a megabyte is shown whole", async () => (await text(page, ".detail-text")).endsWith("The end."));
  console.log(`  a megabyte: ${Date.now() - started} ms`);
  const arabic = await open(server, "#/labels?open=162");
  await is(
    "an Arabic text is right to left",
    () => arabic.evaluate(() => getComputedStyle(document.querySelector(".detail-text")).direction),
    "rtl",
  );
}

async function axe(server) {
  const states = [
    ["overview", "#/overview", async (page) => page.locator(".values-of summary").first().click()],
    ["labels", "#/labels", async () => {}],
    ["panel", "#/labels?open=40", async (page) => page.locator(".answers summary").first().click()],
    ["picker", "#/labels", async (page) => page.locator(".filters .picker input").click()],
    ["nothing", "#/labels?contains=qqqq", async () => {}],
    ["review", "#/review", async (page) => page.keyboard.press("Enter")],
    ["search", "#/review", async (page) => page.keyboard.press("/")],
    ["keys", "#/review", async (page) => page.keyboard.press("?")],
    ["audit to begin", "#/audit", async () => {}],
    [
      "audit",
      "#/audit",
      async (page) => {
        await page.locator(".number-form input").first().fill("12");
        await page.keyboard.press("Enter");
        await page.locator(".stage-id").waitFor();
        await page.keyboard.press("1");
        await page.locator(".so-far > summary").click();
      },
    ],
    [
      "audit at its end",
      "#/audit",
      async (page) => {
        await page.locator(".audit-acts button", { hasText: "End the audit" }).click();
        await page.locator("dialog .main-button").click();
        await page.locator(".take").waitFor();
      },
    ],
  ];
  for (const colorScheme of ["light", "dark"]) {
    for (const [width, height] of [
      [1280, 800],
      [390, 844],
    ]) {
      for (const [name, hash, act] of states) {
        if (name === "picker" && width === 390) continue;
        const page = await open(server, hash, { colorScheme, viewport: { width, height }, bypassCSP: true });
        await act(page);
        await settle(page);
        await page.addScriptTag({ path: AXE });
        const { violations } = await page.evaluate(() => window.axe.run());
        for (const one of violations)
          is(
            `axe, ${name} ${colorScheme} ${width}`,
            `${one.impact} ${one.id}: ${one.nodes
              .slice(0, 2)
              .map((node) => `${node.target} ${node.failureSummary}`)
              .join("; ")}`,
            null,
          );
        await page.context().close();
      }
    }
  }
}

const CHECKS = [
  [reviewTwenty],
  [reviewEstimates],
  [reviewDoubts, "--doubt"],
  [reviewAtOnce, "--delay", "1500"],
  [reviewFails],
  [reviewEnds],
  [auditByKeyboard],
  [auditEnds],
  [auditKeepsApart],
  [auditLooks, "--fixed"],
  [auditTooEarly, "--empty"],
  [filters],
  [panel],
  [million, "--texts", "1000000"],
  [lost],
  [live, "--live"],
  [empty, "--empty"],
  [rest, "--rest-without-status", "--fixed"],
  [nasty],
  [axe],
];
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
console.log(count.failures ? `${count.failures} failed` : "all is as it should be");
process.exit(count.failures ? 1 : 0);
