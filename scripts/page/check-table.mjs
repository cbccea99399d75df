// Checks of the table: filters and orders in the address, the panel of a row, a million rows. See check.mjs.

import { corrected, holds, is, open, settle, text } from "./harness.mjs";

export async function filters(server) {
  const page = await open(server, "#/labels");
  await page.locator(".filters .picker input").click();
  await page.keyboard.type("pin bl");
  await page.keyboard.press("Enter");
  await is("the label is in the address", async () => new URL(page.url()).hash, "#/labels?label=pin_blocked");
  const { total } = await server.api("/api/v1/labels?label=pin_blocked");
  await holds("the count", async () => (await text(page, ".count")).startsWith(`${total} texts match`));
  await page.locator(".head button", { hasText: "Confidence" }).click();
  await holds("ordered by confidence", async () => {
    const seen = (await page.locator(".row:not(.head):visible .c-confidence .num").allTextContents()).map(Number);
    return seen.length > 5 && seen.every((share, at) => at === 0 || share >= seen[at - 1]);
  });
  await page.locator(".chip", { hasText: "Teachers disagree" }).click();
  await holds("and is in the address", async () => page.url().includes("disagree"));
  const link = page.url();
  const other = await open(server, new URL(link).hash);
  await settle(page);
  await is("the link shows the same", () => text(other, ".count"), await text(page, ".count"));
  await is("and the filter is on", () => other.locator('.chip[aria-pressed="true"]').count(), 1);
  await page.goBack();
  await is("back takes the last filter off", () => page.locator('.chip[aria-pressed="true"]').count(), 0);
  await page.goto(`${server.url}/#/labels?contains=qqqq`);
  await holds("nothing matches", async () => (await text(page, ".blank")).includes("Nothing matches"));
  await page.locator(".blank button").click();
  await is("clear", () => text(page, ".count"), "10,000 texts");
  await page.goto(`${server.url}/#/overview`);
  await page.locator(".mark.link").nth(2).waitFor();
  await settle(page);
  await page.locator(".mark.link").nth(2).click();
  await holds("a bar leads to its rows", async () => new URL(page.url()).hash.startsWith("#/labels?label="));
}

export async function panel(server) {
  const page = await open(server, "#/labels");
  await page.locator(".grid").focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await is("the third row opens", () => text(page, ".detail-id"), "pool-0002");
  await page.keyboard.press("j");
  await is("j is the next", () => text(page, ".detail-id"), "pool-0003");
  await is("the nearest texts are there", () => page.locator(".nearest button").count(), 4);
  await holds("with how near they are", async () => (await text(page, ".nearest")).includes("0.90"));
  await settle(page);
  await page.locator(".detail .picker input").click();
  await page.keyboard.type("age");
  await page.keyboard.press("Enter");
  await is("it is kept", () => corrected(server), 1);
  await holds("and told", async () => (await text(page, ".kept-line")).includes("Kept"));
  await is("and in the table", () => page.locator(".row.is-open .c-label").textContent(), "age_limit");
  await page.locator(".kept-line button").click();
  await is("taken back", () => corrected(server), 0);
  await page.keyboard.press("Escape");
  await is("Escape closes it", () => page.locator(".detail").isVisible(), false);
  await is("and the table has the focus", () => page.evaluate(() => document.activeElement?.className), "grid");
}

export async function million(server) {
  const page = await open(server, "#/labels");
  const rows = () => page.locator(".row:not(.head)").count();
  const at = () =>
    page.evaluate(() =>
      [...document.querySelectorAll(".row.is-at .c-text")].map((cell) => cell.parentElement.getAttribute("aria-rowindex")),
    );
  const order = () =>
    page.evaluate(() => {
      const shown = [...document.querySelectorAll(".row:not(.head)")]
        .filter((row) => !row.hidden)
        .map((row) => ({ i: Number(row.dataset.index), y: row.getBoundingClientRect().y }));
      shown.sort((a, b) => a.y - b.y);
      return (
        shown.every((row, k) => k === 0 || (row.i === shown[k - 1].i + 1 && Math.abs(row.y - shown[k - 1].y - 40) < 0.6)) &&
        shown.length > 10
      );
    });
  await page.locator(".grid").focus();
  await page.keyboard.press("End");
  await is("End is the last row", () => at(), ["1000001"]);
  await holds("its text is there", async () => (await page.locator(".row.is-at .c-text").textContent()).length > 3);
  const bottom = (what) => page.evaluate((selector) => Math.round(document.querySelector(selector).getBoundingClientRect().bottom), what);
  await is("it ends where the table ends", async () => Math.abs((await bottom(".grid")) - (await bottom(".row.is-at"))) <= 1, true);
  for (const part of [0.02, 0.5, 0.97, 0.3]) {
    await page.evaluate((p) => {
      const g = document.querySelector(".grid");
      g.scrollTop = (g.scrollHeight - g.clientHeight) * p;
    }, part);
    await settle(page);
    await holds(`rows stand in order at ${part}`, () => order());
  }
  await page.evaluate(() => {
    const g = document.querySelector(".grid");
    g.scrollTop = (g.scrollHeight - g.clientHeight) * 0.5;
  });
  await settle(page);
  const middle = () =>
    page.evaluate(() => {
      const g = document.querySelector(".grid");
      return g.scrollTop / (g.scrollHeight - g.clientHeight);
    });
  await is(
    "the middle of the scroll bar is the middle of the rows",
    async () => {
      const index = await page.evaluate(() => Number(document.querySelector(".row:not(.head):not([hidden])").dataset.index));
      return [Math.round(index / 1e4), Math.round((await middle()) * 100)];
    },
    [50, 50],
  );
  const box = await page.locator(".grid").boundingBox();
  await page.mouse.move(box.x + 300, box.y + 300);
  const atTop = () =>
    page.evaluate(() =>
      Number([...document.querySelectorAll(".row:not(.head)")].find((r) => !r.hidden && r.getBoundingClientRect().y > 300).dataset.index),
    );
  const before = await atTop();
  const frames = page.evaluate(
    () =>
      new Promise((done) => {
        const times = [];
        let last = performance.now();
        const tick = (now) => {
          times.push(now - last);
          last = now;
          if (times.length < 90) requestAnimationFrame(tick);
          else done(times.slice(2));
        };
        requestAnimationFrame(tick);
      }),
  );
  for (let k = 0; k < 60; k += 1) await page.mouse.wheel(0, 120);
  const times = (await frames).sort((a, b) => a - b);
  await is("sixty notches are 180 rows, in the middle too", async () => Math.round(((await atTop()) - before) / 10) * 10, 180);
  await holds("rows stand in order after the wheel", () => order());
  console.log(
    `  frames: median ${times[Math.floor(times.length / 2)].toFixed(1)} ms, slowest ${times.at(-1).toFixed(1)} ms; ${await rows()} rows in the DOM`,
  );
  await holds("few rows in the DOM", async () => (await rows()) < 60);
  await page.keyboard.press("Home");
  await is("Home is the first", () => at(), ["2"]);
  await settle(page);
  let asked = 0;
  page.on("request", (request) => request.url().includes("/api/v1/labels?") && (asked += 1));
  const took = await page.evaluate(async () => {
    const g = document.querySelector(".grid");
    const began = performance.now();
    for (let k = 0; k < 60; k += 1) {
      g.scrollTop += 120_000;
      await new Promise(requestAnimationFrame);
    }
    return performance.now() - began;
  });
  await settle(page);
  // It looks every 50 ms for what rests, and two pages of rows are in sight at most: a machine that draws slowly shows more places at rest.
  const most = 2 * (took / 50 + 3);
  await holds(`what flies past is not all asked for (${asked} of 60 places in ${Math.round(took)} ms)`, asked <= most);
}
