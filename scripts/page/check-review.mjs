// Checks of the review: twenty texts by keyboard with undo, note and search; corrections that fail; the end of a list. See check.mjs.

import { corrected, holds, is, open, text } from "./harness.mjs";

export async function reviewTwenty(server) {
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
  await is("a searched label and a note are kept", async () => [(await decided(position))?.label, (await decided(position))?.note], [
    "lost_or_stolen_phone",
    "2 is a note",
  ]);
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

export async function reviewFails(server) {
  const page = await open(server, "#/review");
  await server.api("/mock?fail=1");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
  await holds("a failure is told with its reason", async () =>
    (await text(page, ".failures")).includes("2 corrections are not kept. The disk is full."),
  );
  await is("and not counted as reviewed", async () => (await text(page, ".review-left")).includes("reviewed"), false);
  await server.api("/mock?fail=0");
  await page.locator(".failures button").click();
  await page.waitForTimeout(300);
  await is("tried again, they are kept", () => corrected(server), 2);
  await is("and the failure is gone", () => page.locator(".failures").isVisible(), false);
}

export async function reviewEnds(server) {
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

/** The server takes 400 ms for everything, and the next text is there at once. */
export async function reviewAtOnce(server) {
  const page = await open(server, "#/review");
  await page.locator(".stage-id").waitFor();
  const slow = [];
  for (let k = 0; k < 15; k += 1) {
    const took = await page.evaluate(
      () =>
        new Promise((done) => {
          const before = document.querySelector(".stage-id").textContent;
          const began = performance.now();
          document.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
          const look = () =>
            document.querySelector(".stage-id")?.textContent !== before ? done(performance.now() - began) : requestAnimationFrame(look);
          look();
        }),
    );
    // Less than the server takes: it was not waited for.
    if (took > 350) slow.push(took);
    await page.waitForTimeout(120);
  }
  await is("no text was waited for", slow, []);
  await is("all are kept in the end", () => corrected(server), 15);
}
