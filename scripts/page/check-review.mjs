// Checks of the review: twenty texts by keyboard with undo, note and search; corrections that fail; the end of a list. See check.mjs.

import { corrected, holds, is, open, settle, text } from "./harness.mjs";

/** The share that is expected to be right, as it was and as it is: "84.30% → 84.31%". */
const expected = async (page) => (await text(page, ".estimate-right")).replace("at first, now", "");
const percent = (share) => `${(share * 100).toFixed(2)}%`;
/** What the first, the second, ... had as their label, and what is there now. */
const had = (page) => text(page, ".estimate-had");
const isShown = (page, selector) => page.locator(selector).isVisible();

export async function reviewTwenty(server) {
  const page = await open(server, "#/review");
  const ids = new Set();
  for (let k = 0; k < 20; k += 1) {
    ids.add(await text(page, ".stage-id"));
    await page.keyboard.press(k % 3 === 1 && (await page.locator(".choice").count()) > 1 ? "2" : "Enter");
  }
  await is("twenty different texts", async () => ids.size, 20);
  await is("twenty are kept", () => corrected(server), 20);
  await holds("what is left counts down", async () => (await text(page, ".review-left")).includes("9,980 left"));
  const last = [...ids].at(-1);
  await page.keyboard.press("u");
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
  const position = Number(last.replace("pool-", ""));
  const decided = async (at) => (await server.api(`/api/v1/labels/${at}`)).correction;
  await is("a searched label and a note are kept", async () => [(await decided(position))?.label, (await decided(position))?.note], [
    "lost_or_stolen_phone",
    "2 is a note",
  ]);
  await page.keyboard.press("d");
  await holds("what teachers said", () => page.locator(".review-side .teacher").count());
  await page.keyboard.press("Escape");
  await is("Escape closes", () => page.locator(".review-side .detail").isVisible(), false);
  await page.keyboard.press("?");
  await holds("the keys", () => page.locator("dialog[open]").count());
  await page.keyboard.press("Enter");
  await settle(page);
  await is("keys behind the dialog do nothing", () => corrected(server), 20);
}

export async function reviewFails(server) {
  const page = await open(server, "#/review");
  await server.api("/mock?fail=1");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Enter");
  await holds("a failure is told with its reason", async () =>
    (await text(page, ".failures")).includes("2 corrections are not kept. The disk is full."),
  );
  await is("and not counted as looked at", () => isShown(page, ".estimate-had"), false);
  await server.api("/mock?fail=0");
  await page.locator(".failures button").click();
  await is("tried again, they are kept", () => corrected(server), 2);
  await is("and the failure is gone", () => page.locator(".failures").isVisible(), false);
}

export async function reviewEnds(server) {
  const label = "lost_or_stolen_phone";
  const { total } = await server.api(`/api/v1/labels?label=${label}`);
  const page = await open(server, `#/review?order=label&label=${label}`);
  for (let k = 0; k < total; k += 1) {
    await page.locator(".stage-id").waitFor();
    await page.keyboard.press(k === 3 ? "s" : "Enter");
  }
  await holds("one skipped", async () => (await text(page, ".stage")).includes("1 text skipped"));
  await page.locator(".stage .main-button").click();
  await page.locator(".stage-id").waitFor();
  await page.locator(".stage").focus();
  await page.keyboard.press("Enter");
  await holds("all reviewed", async () => (await text(page, ".stage")).includes("All reviewed"));
  await is("all are kept", () => corrected(server), total);
}

/** What is said of all labels moves with each correction; what a person found says something of all where texts come by chance, and nowhere else. */
export async function reviewEstimates(server) {
  const page = await open(server, "#/review");
  const right = async () => percent((await server.api("/api/v1/estimates")).expected.right);
  const before = await right();
  await is("the share that is expected to be right", () => expected(page), `${before} expected right`);
  await is("and nothing of what nobody looked at", () => isShown(page, ".estimate-had"), false);
  let changed = 0;
  for (let k = 0; k < 12; k += 1) {
    await page.locator(".stage-id").waitFor();
    const isOther = k % 3 === 1 && (await page.locator(".choice").count()) > 1;
    changed += isOther ? 1 : 0;
    await page.keyboard.press(isOther ? "2" : "Enter");
  }
  await is("twelve are kept", () => corrected(server), 12);
  const after = await right();
  await is("more are expected to be right now", async () => before < after, true);
  await is("which is told with what it was", () => expected(page), `${before} → ${after} expected right`);
  await is("and how many had another label", () => had(page), `${changed} of 12 had another label`);
  await is("in an order that is not random nothing is said of all", () => isShown(page, ".estimate-all"), false);
  await page.keyboard.press("u");
  await is("what was taken back counts no more", async () => (await had(page)).endsWith("of 11 had another label"), true);
  await is("in neither", async () => (await expected(page)) === `${before} → ${await right()} expected right`, true);
  await page.evaluate(() => window.scrollTo(0, document.documentElement.scrollHeight));
  await holds("it is in sight wherever one reads", () =>
    page.evaluate(() => {
      const { top, bottom } = document.querySelector(".estimate-right").getBoundingClientRect();
      return top >= document.querySelector(".top").getBoundingClientRect().bottom - 1 && bottom <= innerHeight;
    }),
  );
  await page.locator(".segment", { hasText: "By chance" }).click();
  await page.locator(".stage-id").waitFor();
  await settle(page);
  await is("another order begins with nothing", () => isShown(page, ".estimate-all"), false);
  for (let k = 0; k < 8; k += 1) {
    await page.locator(".stage-id").waitFor();
    await page.keyboard.press("Enter");
  }
  const none = async (looked) => (await server.api(`/api/v1/estimates?looked=${looked}&changed=0`)).changed;
  const said = async (looked) => `about 0.0% of all that are left, 0.0% to ${((await none(looked)).high * 100).toFixed(1)}%`;
  await is("by chance it says what that is for all", async () => [await text(page, ".estimate-all")], [await said(8)]);
  await page.keyboard.press("s");
  for (let k = 0; k < 4; k += 1) {
    await page.locator(".stage-id").waitFor();
    await page.keyboard.press("Enter");
  }
  await is("all are kept", () => corrected(server), 23);
  await settle(page);
  await is("what is behind a skipped text does not count for all", () => text(page, ".estimate-all"), await said(8));
}

export async function reviewDoubts(server) {
  const page = await open(server, "#/review");
  await holds("a ranking is called so", async () => (await text(page, ".estimate-right")).startsWith("confidences are a ranking here"));
  await is("and dressed up as no estimate", async () => (await text(page, ".standing")).includes("expected"), false);
}

/** The server takes a second and a half for everything, and the next text is there at once. */
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
    // Half of what the server takes: it was not waited for.
    if (took > 750) slow.push(took);
  }
  await is("no text was waited for", slow, []);
  await is("all are kept in the end", () => corrected(server), 15);
}
