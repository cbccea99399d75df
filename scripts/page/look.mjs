// Takes pictures of every view at three widths, light and dark, from the mock, and tells of anything the browser complained about.
// NODE_PATH is no help to modules: run it where playwright-core is installed, or say where: TOOLS=/path/to/node_modules
//   node scripts/page/look.mjs OUT_FOLDER [BASE_URL] [only-names-with-this]
// Invariant: it ends with status 1 if there was an error on the console or the page scrolls sideways.

import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(process.env.TOOLS ? `${process.env.TOOLS}/x.js` : import.meta.url);
const { chromium } = require("playwright-core");
const [out = "look", base = "http://127.0.0.1:18100", only = ""] = process.argv.slice(2);
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
mkdirSync(out, { recursive: true });

/** Name, address, what to do there before the picture. */
const VIEWS = [
  ["overview", "#/overview", async () => {}],
  ["labels", "#/labels", async () => {}],
  ["labels-open", "#/labels?sort=confidence&open=40", async () => {}],
  ["labels-nothing", "#/labels?contains=zzzz", async () => {}],
  [
    "review",
    "#/review",
    async (page) => {
      if (process.env.LOOK_ONLY_READ) return;
      for (const key of ["Enter", "2", "s"]) {
        await page.keyboard.press(key);
        await page.waitForTimeout(150);
      }
    },
  ],
  [
    "review-search",
    "#/review?order=disagree",
    async (page) => {
      await page.keyboard.press("/");
      await page.keyboard.type("card pay");
    },
  ],
  ["audit-start", "#/audit", async () => {}],
  [
    "audit",
    "#/audit",
    async (page) => {
      if (await page.locator(".number-form button.main-button").count()) {
        await page.locator(".number-form input").first().fill("40");
        await page.locator(".number-form button.main-button").first().click();
        await page.locator(".stage-id").waitFor();
      }
      for (const key of ["1", "2", "3"]) {
        await page.keyboard.press(key);
        await page.waitForTimeout(150);
      }
    },
  ],
  [
    "audit-so-far",
    "#/audit",
    async (page) => {
      await page.locator(".so-far > summary").click();
    },
  ],
  ["keys", "#/review", async (page) => page.keyboard.press("?")],
];

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--hide-scrollbars"] });
let complaints = 0;
const complain = (text) => {
  complaints += 1;
  console.log(text);
};
for (const scheme of ["light", "dark"]) {
  for (const [width, height] of [
    [390, 844],
    [1280, 800],
    [1920, 1080],
  ]) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, deviceScaleFactor: 1 });
    for (const [name, hash, act] of VIEWS) {
      const shot = `${name}-${width}-${scheme}`;
      if (!shot.includes(only)) continue;
      const page = await context.newPage();
      page.on("console", (message) => message.type() === "error" && complain(`${shot}: ${message.text()}`));
      page.on("pageerror", (error) => complain(`${shot}: ${error.stack}`));
      await page.goto(`${base}/${hash}`);
      await page.waitForTimeout(700);
      await act(page);
      await page.waitForTimeout(300);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wide > 0) complain(`${shot}: scrolls sideways by ${wide} px`);
      await page.screenshot({ path: `${out}/${shot}.png`, fullPage: name === "overview" || (width === 390 && name === "review") });
      await page.close();
    }
    await context.close();
  }
}
await browser.close();
console.log(complaints ? `${complaints} complaints` : "no complaints");
process.exit(complaints ? 1 : 0);
