// Drives the page over the mock as a person would, and fails where it does not do what it should: review by keyboard, undo, failures,
// filters, a million rows, lost connections, no token, nothing there, nasty texts, and axe-core on every view.
//   TOOLS=/path/to/node_modules node scripts/page/check.mjs [only-names-with-this]     (playwright-core, axe-core; Chromium)
// Invariant: every check starts from a mock of its own, so that their order does not matter.

import { AXE, browser, corrected, count, holds, is, mock, open, text } from "./harness.mjs";

const only = process.argv[2] ?? "";

async function reviewTwenty(server) {
  const page = await open(server, "#/review");
  const ids = new Set();
  for (let k = 0; k < 20; k += 1) {
    ids.add(await text(page, ".stage-id"));
    await page.keyboard.press(k % 3 === 1 && (await page.locator(".choice").count()) > 1 ? "2" : "Enter");
  }
  await page.waitForTimeout(400);
  await is("twenty different texts", async () => ids.size, 20);
  await is("twenty are kept", () => corrected(server), 20);
  await holds("what is left counts down", async () => (await text(page, ".review-left")).includes("9,980 left · 20 reviewed"));
  const last = [...ids].at(-1);
  await page.keyboard.press("u");
  await page.waitForTimeout(300);
  await is("undo goes back", () => text(page, ".stage-id"), last);
  await is("and takes it back", () => corrected(server), 19);
  await page.keyboard.press("s");
  await page.keyboard.press("u");
  await is("undo of a skip goes back too", () => text(page, ".stage-id"), last);
  await page.keyboard.press("n");
  await page.keyboard.type("2 is a note");
  await page.keyboard.press("Enter");
  await page.keyboard.press("/");
  await page.keyboard.type("lost phone");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
  const position = Number(last.replace("pool-", ""));
  const decided = async (at) => (await server.api(`/api/v1/labels/${at}`)).correction;
  await is("a searched label and a note are kept", async () => [(await decided(position))?.label, (await decided(position))?.note], ["lost_or_stolen_phone", "2 is a note"]);
  await page.keyboard.press("d");
  await page.waitForTimeout(300);
  await holds("what teachers said", () => page.locator(".review-side .teacher").count());
  await page.keyboard.press("Escape");
  await is("Escape closes", () => page.locator(".review-side .detail").isVisible(), false);
  await page.keyboard.press("?");
  await holds("the keys", () => page.locator("dialog[open]").count());
  await page.keyboard.press("Enter");
  await is("keys behind the dialog do nothing", () => corrected(server), 20);
}

async function reviewFails(server) {
  const page = await open(server, "#/review");
  await server.api("/mock?fail=1");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
  await holds("a failure is told with its reason", async () => (await text(page, ".failures")).includes("2 corrections are not kept. The disk is full."));
  await is("and not counted as reviewed", async () => (await text(page, ".review-left")).includes("reviewed"), false);
  await server.api("/mock?fail=0");
  await page.locator(".failures button").click();
  await page.waitForTimeout(300);
  await is("tried again, they are kept", () => corrected(server), 2);
  await is("and the failure is gone", () => page.locator(".failures").isVisible(), false);
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
  await holds("one skipped", async () => (await text(page, ".stage")).includes("1 text skipped"));
  await page.locator(".stage .main-button").click();
  await page.waitForTimeout(400);
  await page.locator(".stage").focus();
  await page.keyboard.press("Enter");
  await page.waitForTimeout(400);
  await holds("all reviewed", async () => (await text(page, ".stage")).includes("All reviewed"));
  await is("all are kept", () => corrected(server), total);
}

async function filters(server) {
  const page = await open(server, "#/labels");
  await page.locator(".filters .picker input").click();
  await page.keyboard.type("pin bl");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
  await is("the label is in the address", async () => new URL(page.url()).hash, "#/labels?label=pin_blocked");
  const { total } = await server.api("/api/v1/labels?label=pin_blocked");
  await holds("the count", async () => (await text(page, ".count")).startsWith(`${total} texts match`));
  await page.locator(".head button", { hasText: "Confidence" }).click();
  await page.waitForTimeout(300);
  await holds("ordered by confidence", async () => {
    const seen = (await page.locator(".row:not(.head):visible .c-confidence .num").allTextContents()).map(Number);
    return seen.length > 5 && seen.every((share, at) => at === 0 || share >= seen[at - 1]);
  });
  await page.locator(".chip", { hasText: "Teachers disagree" }).click();
  await page.waitForTimeout(300);
  const link = page.url();
  const other = await open(server, new URL(link).hash);
  await is("the link shows the same", () => text(other, ".count"), await text(page, ".count"));
  await is("and the filter is on", () => other.locator('.chip[aria-pressed="true"]').count(), 1);
  await page.goBack();
  await page.waitForTimeout(300);
  await is("back takes the last filter off", () => page.locator('.chip[aria-pressed="true"]').count(), 0);
  await page.goto(`${server.url}/#/labels?contains=qqqq`);
  await page.waitForTimeout(400);
  await holds("nothing matches", async () => (await text(page, ".blank")).includes("Nothing matches"));
  await page.locator(".blank button").click();
  await page.waitForTimeout(300);
  await is("clear", () => text(page, ".count"), "10,000 texts");
  await page.goto(`${server.url}/#/overview`);
  await page.waitForTimeout(500);
  await page.locator(".mark.link").nth(2).click();
  await page.waitForTimeout(300);
  await holds("a bar leads to its rows", async () => new URL(page.url()).hash.startsWith("#/labels?label="));
}

async function panel(server) {
  const page = await open(server, "#/labels");
  await page.locator(".grid").focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
  await is("the third row opens", () => text(page, ".detail-id"), "pool-0002");
  await page.keyboard.press("j");
  await page.waitForTimeout(300);
  await is("j is the next", () => text(page, ".detail-id"), "pool-0003");
  await page.locator(".detail .picker input").click();
  await page.keyboard.type("age");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(400);
  await is("it is kept", () => corrected(server), 1);
  await holds("and told", async () => (await text(page, ".kept-line")).includes("Kept"));
  await is("and in the table", () => page.locator(".row.is-open .c-label").textContent(), "age_limit");
  await page.locator(".kept-line button").click();
  await page.waitForTimeout(400);
  await is("taken back", () => corrected(server), 0);
  await page.keyboard.press("Escape");
  await page.waitForTimeout(200);
  await is("Escape closes it", () => page.locator(".detail").isVisible(), false);
  await is("and the table has the focus", () => page.evaluate(() => document.activeElement?.className), "grid");
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
  await is("End is the last row", () => at(), ["1000001"]);
  await holds("its text is there", async () => (await page.locator(".row.is-at .c-text").textContent()).length > 3);
  const bottom = (what) => page.evaluate((selector) => Math.round(document.querySelector(selector).getBoundingClientRect().bottom), what);
  await is("it ends where the table ends", async () => Math.abs((await bottom(".grid")) - (await bottom(".row.is-at"))) <= 1, true);
  for (const part of [0.02, 0.5, 0.97, 0.3]) {
    await page.evaluate((p) => { const g = document.querySelector(".grid"); g.scrollTop = (g.scrollHeight - g.clientHeight) * p; }, part);
    await page.waitForTimeout(450);
    await holds(`rows stand in order at ${part}`, () => order());
  }
  await page.evaluate(() => { const g = document.querySelector(".grid"); g.scrollTop = (g.scrollHeight - g.clientHeight) * 0.5; });
  await page.waitForTimeout(450);
  const middle = () => page.evaluate(() => { const g = document.querySelector(".grid"); return g.scrollTop / (g.scrollHeight - g.clientHeight); });
  await is("the middle of the scroll bar is the middle of the rows", async () => {
    const index = await page.evaluate(() => Number(document.querySelector(".row:not(.head):not([hidden])").dataset.index));
    return [Math.round(index / 1e4), Math.round((await middle()) * 100)];
  }, [50, 50]);
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
  await is("sixty notches are 180 rows, in the middle too", async () => Math.round((after - before) / 10) * 10, 180);
  await holds("rows stand in order after the wheel", () => order());
  console.log(`  frames: median ${times[Math.floor(times.length / 2)].toFixed(1)} ms, slowest ${times.at(-1).toFixed(1)} ms; ${await rows()} rows in the DOM`);
  await holds("few rows in the DOM", async () => (await rows()) < 60);
  await page.keyboard.press("Home");
  await page.waitForTimeout(500);
  await is("Home is the first", () => at(), ["2"]);
  let asked = 0;
  page.on("request", (request) => request.url().includes("/api/v1/labels?") && (asked += 1));
  await page.evaluate(async () => { const g = document.querySelector(".grid"); for (let k = 0; k < 60; k += 1) { g.scrollTop += 120_000; await new Promise(requestAnimationFrame); } });
  await page.waitForTimeout(700);
  await holds(`what flies past is not all asked for (${asked} of 60 places)`, async () => asked < 45);
}

async function lost(server) {
  const page = await open(server, "#/overview");
  await server.api("/mock?down=1");
  await page.waitForTimeout(600);
  await holds("the loss is told, with its time", async () => /Connection lost. What is shown is of \d\d:\d\d/.test(await text(page, "#link-lost")));
  await server.api("/mock?down=0");
  await page.waitForTimeout(3500);
  await is("and it comes back", () => page.locator("#link-lost").isVisible(), false);
  await server.api("/mock?token=1");
  await page.goto(`${server.url}/#/labels`);
  await page.reload();
  await page.waitForTimeout(500);
  await holds("a token is wanted", async () => (await text(page, "main")).includes("Open the address that candist printed, with its token."));
}

async function live(server) {
  const page = await open(server, "#/overview");
  await holds("the pause is told", async () => (await text(page, ".quiet-notice")).startsWith("Nothing is sent just now. 429 from"));
  const first = await text(page, ".big");
  await page.waitForTimeout(7500);
  await holds("the count moves", async () => (await text(page, ".big")) !== first);
  await holds("the share is in the title", async () => /^\d+% · banking77/.test(await page.title()));
  await page.goto(`${server.url}/#/labels?sort=confidence`);
  await page.waitForTimeout(3500);
  await holds("news are offered", () => page.locator(".news").isVisible());
}

async function empty(server) {
  const page = await open(server, "#/overview");
  await holds("no labels yet", async () => (await text(page, ".overview .blank")).includes("No labels yet"));
  await page.goto(`${server.url}/#/review`);
  await page.waitForTimeout(400);
  await holds("nothing to review", async () => (await text(page, ".stage")).includes("Nothing to review"));
}

async function rest(server) {
  const page = await open(server, "#/overview");
  await is("a run at rest without a status", () => text(page, ".hero-count"), "10,000of 10,000 texts");
  await page.goto(`${server.url}/#/review`);
  await page.waitForTimeout(400);
  await page.keyboard.press("Enter");
  await holds("nothing is sent where nothing can be corrected", async () => (await corrected(server)) === 0 && (await text(page, ".notice")).includes("Look only"));
}

async function nasty(server) {
  const page = await open(server, "#/labels");
  for (let k = 0; k < 13; k += 1) {
    await page.goto(`${server.url}/#/labels?open=${40 + 61 * k}`);
    await page.waitForTimeout(250);
    const wanted = (await server.api(`/api/v1/labels/${40 + 61 * k}`)).text;
    const found = () => text(page, ".detail-text");
    if (wanted.trim()) await is(`nasty text ${k}`, async () => (await found()).slice(0, 200), wanted.slice(0, 200));
    else await holds("white space is told", async () => (await found()).includes("white space"));
    await is("the page is no wider for it", () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth && document.querySelector(".detail-body").scrollWidth <= document.querySelector(".detail-body").clientWidth), true);
  }
  const { label } = await server.api(`/api/v1/labels/${40 + 61 * 12}`);
  await page.goto(`${server.url}/#/review?${new URLSearchParams({ order: "label", label })}`);
  for (let k = 0; k < 200 && !(await page.locator(".stage .long").count()); k += 1) {
    await page.keyboard.press("s");
    await page.waitForTimeout(30);
  }
  await page.locator(".stage .long .link").click();
  await holds("a text that was cut is shown whole when asked for", async () => (await text(page, ".stage-words")).endsWith("The end."));
  await page.goto(`${server.url}/#/labels?open=40`);
  await page.waitForTimeout(300);
  await page.locator(".detail .picker input").click();
  await page.keyboard.type("eighty");
  await page.locator(".detail .picker li").first().click();
  await page.waitForTimeout(300);
  const decided = async () => (await server.api("/api/v1/labels/40")).correction;
  await holds("a label with quotes is kept as it is", async () => (await decided())?.label.startsWith('he said "it\'s <b>not</b> a label" &'));
  await page.goto(`${server.url}/#/labels?${new URLSearchParams({ label: (await decided())?.label ?? "" })}`);
  await page.waitForTimeout(300);
  await is("and a filter", () => text(page, ".count"), "1 text matches");
  await page.goto(`${server.url}/#/labels?open=${40 + 61 * 12}`);
  await page.waitForTimeout(300);
  await page.locator(".long .link").click();
  const started = Date.now();
  await page.waitForTimeout(50);
  await holds("a megabyte is shown whole", async () => (await text(page, ".detail-text")).endsWith("The end."));
  console.log(`  a megabyte: ${Date.now() - started} ms`);
  const arabic = await open(server, "#/labels?open=162");
  await is("an Arabic text is right to left", () => arabic.evaluate(() => getComputedStyle(document.querySelector(".detail-text")).direction), "rtl");
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
console.log(count.failures ? `${count.failures} failed` : "all is as it should be");
process.exit(count.failures ? 1 : 0);
