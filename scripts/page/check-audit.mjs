// Checks of the audit: drawn, labelled with the keyboard, gone back in, ended; nothing of it can be corrected; who only looks. See check.mjs.

import { corrected, holds, is, open, reload, settle, text } from "./harness.mjs";

const state = async (server) => (await server.api("/api/v1/audit")).audit;
const filled = async (server) => (await state(server))?.filled;

async function drawn(server, n) {
  const page = await open(server, "#/audit");
  await page.locator(".number-form input").first().fill(String(n));
  await page.keyboard.press("Enter");
  await page.locator(".stage-id").waitFor();
  return page;
}

/** The key of the label that the mock's run has, or of another. */
async function keyOf(page, server, isRight) {
  const id = await text(page, ".stage-id");
  const label = await server.api(`/mock/label?position=${Number(id.replace("pool-", ""))}`);
  const names = await page.locator(".blind .choice-name").allTextContents();
  const place = isRight ? names.indexOf(label) : names.findIndex((name) => name !== label);
  return String(place + 1);
}

export async function auditByKeyboard(server) {
  const page = await drawn(server, 30);
  await is("thirty are drawn", async () => (await state(server)).drawn, 30);
  const sent = await (await fetch(`${server.url}/api/v1/audit/next`)).text();
  await is("what is sent of a text says nothing of its label", async () => Object.keys(JSON.parse(sent).rows[0]).sort(), [
    "choices",
    "cut",
    "id",
    "position",
    "text",
    "text_hash",
  ]);
  const { position } = JSON.parse(sent).rows[0];
  const listed = await server.api(`/api/v1/labels/${position}`);
  await is("nor does what lists say of it", [listed.label, listed.confidence, listed.candidates.length], [null, null, 0]);
  await is("and neither does the page", () => page.locator(".stage .holds, .stage .choice-share, .stage .choice-bar").count(), 0);
  const ids = [];
  for (let k = 0; k < 10; k += 1) {
    ids.push(await text(page, ".stage-id"));
    await page.keyboard.press(await keyOf(page, server, k !== 4));
  }
  await is("ten are kept", () => filled(server), 10);
  await is("figures are there, and not in sight", () => page.locator(".so-far:not([open])").count(), 1);
  await page.keyboard.press("u");
  await is("undo takes the last one back", () => filled(server), 9);
  await is("and goes back to it", () => text(page, ".stage-id"), ids.at(-1));
  await page.keyboard.press("s");
  await page.keyboard.press("s");
  await page.keyboard.press("u");
  await page.keyboard.press("n");
  await page.keyboard.type("1 is a note");
  await page.keyboard.press("Enter");
  await page.keyboard.press("/");
  await page.keyboard.type("lost phone");
  await page.keyboard.press("Enter");
  await is("a searched label is kept", () => filled(server), 10);
  await is("what is behind a skipped text does not count", async () => (await state(server)).counted, 9);
  await reload(page);
  await page.locator(".stage-id").waitFor();
  await is("after a reload it goes on with the first that is open", () => text(page, ".stage-id"), ids.at(-1));
  for (let k = 0; k < 20; k += 1) {
    await page.locator(".stage-id").waitFor();
    await page.keyboard.press(k === 3 ? "s" : await keyOf(page, server, true));
  }
  await is("one was left for later and comes again", () => filled(server), 29);
  await page.keyboard.press(await keyOf(page, server, true));
  await is("all are labelled", async () => [await filled(server), (await state(server)).counted], [30, 30]);
  await is("and figures come by themselves", async () => (await text(page, ".hero-count")).endsWith("of the labels are right"), true);
  await is("where the run has another label is listed", () => page.locator(".differing .log-entry").count(), 2);
  await page.keyboard.press("u");
  await is("undo goes on to work", () => filled(server), 29);
  await page.keyboard.press(await keyOf(page, server, true));
  await is("and so does labelling it anew", () => filled(server), 30);
}

export async function auditEnds(server) {
  const page = await drawn(server, 20);
  for (let k = 0; k < 20; k += 1) {
    await page.keyboard.press(await keyOf(page, server, true));
  }
  await page.locator(".percent input").first().fill("20");
  await page.keyboard.press("Enter");
  await holds("epsilon is in the address", async () => page.url().includes("epsilon=0.2"));
  await holds("and in the sentence", async () => (await text(page, ".says")).includes("at most 20%"));
  await page.locator(".audit-acts .number-form input").fill("25");
  await page.locator(".audit-acts .number-form button").click();
  await is("the sample is larger, and what was said stays", async () => [(await state(server)).drawn, await filled(server)], [25, 20]);
  await page.locator(".stage-id").waitFor();
  await page.locator(".audit-acts button", { hasText: "End the audit" }).click();
  await holds("it is asked first", () => page.locator("dialog[open]").count());
  await page.keyboard.press("1");
  await page.keyboard.press("Escape");
  await settle(page);
  await is("Escape goes on with it, keys behind do nothing", async () => [(await state(server)).open, await filled(server)], [true, 20]);
  await page.locator(".audit-acts button", { hasText: "End the audit" }).click();
  await page.locator("dialog .main-button").click();
  await is("it has ended", async () => (await state(server)).open, false);
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator("a.button").click()]);
  await holds("the certificate is a file", async () => Boolean(await download.path()));
  await is("nothing was corrected by it", () => corrected(server), 0);
  await page.locator(".take button").click();
  await is("its labels are corrections when asked for", () => corrected(server), 20);
  await holds("which is told", async () => (await text(page, ".audit-acts")).includes("20 labels taken as corrections"));
  await page.locator(".audit-start input").fill("5");
  await page.locator(".audit-start button").click();
  await is("another sample begins anew", async () => [(await state(server)).drawn, await filled(server)], [5, 0]);
}

export async function auditKeepsApart(server) {
  const page = await drawn(server, 12);
  const { rows } = await server.api("/api/v1/audit/next");
  const { position } = rows[0];
  await page.goto(`${server.url}/#/labels?open=${position}`);
  await holds("a text of the sample says so", () => page.locator(".detail .in-sample").isVisible());
  await is("and offers no correction", () => page.locator(".detail .correct-more").count(), 0);
  await page.keyboard.press("1");
  await settle(page);
  await is("by no key either", () => corrected(server), 0);
  await server.api("/mock?fail=1");
  await page.goto(`${server.url}/#/audit`);
  await page.locator(".stage-id").waitFor();
  await page.keyboard.press("1");
  await holds("a failure is told", async () => (await text(page, ".failures")).includes("One label is not kept. The disk is full."));
  await holds("everywhere", async () => (await text(page, "#state")).includes("1 not kept"));
  await server.api("/mock?fail=0");
  await page.locator(".failures button").click();
  await is("tried again, it is kept", () => filled(server), 1);
}

/** Who only looks; the run has no final label yet. */
export async function auditLooks(server) {
  const page = await open(server, "#/audit");
  await holds("nothing can be drawn", async () => (await page.locator(".audit-start .number-form").count()) === 0);
  await holds("and why", async () => (await text(page, ".audit")).includes("Look only"));
  await page.keyboard.press("1");
  await settle(page);
  await is("nothing is drawn", () => state(server), null);
}

export async function auditTooEarly(server) {
  const page = await open(server, "#/audit");
  await holds("an audit is of final labels", async () => (await text(page, ".audit-start")).includes("No final labels yet"));
}
