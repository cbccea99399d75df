// What viewers cost a run: the seconds until it is complete, with none and with so many, in turns.
//   node scripts/page/viewers.mjs CANDIST CONFIG [VIEWERS] [TURNS]      (default 5 viewers, 3 turns)
// CONFIG is a run's configuration, whose directory is given anew for each turn. A viewer holds the stream and asks, whenever labels
// changed, for what the overview shows and for the first rows of the table, as the page does; it draws nothing, for that happens on
// the viewer's machine. The best of the turns counts: whatever else the machine does makes runs slower, never faster.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [candist, config, viewers = "5", turns = "3"] = process.argv.slice(2);
if (!candist || !config) throw new Error("say which program and which configuration");
const folder = mkdtempSync(join(tmpdir(), "candist-viewers-"));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let port = 18_160;

/** Follows the page until `stop` says so; gives how many answers it had. */
async function view(url, stop) {
  let answers = 0;
  while (!stop.aborted) {
    try {
      const reader = (await fetch(`${url}/api/v1/stream`, { signal: stop })).body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        if (!part.value.includes("event: labels")) continue;
        for (const path of ["overview", "labels?offset=0&limit=100&sort=confidence"]) {
          await (await fetch(`${url}/api/v1/${path}`, { signal: stop })).text();
          answers += 1;
        }
      }
    } catch {
      await sleep(50);
    }
  }
  return answers;
}

/** The seconds of a run that `many` look at. */
async function run(many, name) {
  port += 1;
  const url = `http://127.0.0.1:${port}`;
  const began = performance.now();
  const child = spawn(candist, ["run", config, "--run-dir", join(folder, name), "--listen", `127.0.0.1:${port}`, "--quiet"], {
    stdio: "ignore",
  });
  const stop = new AbortController();
  const views = Array.from({ length: many }, () => view(url, stop.signal));
  let phase = "";
  while (phase !== "complete") {
    await sleep(100);
    try {
      phase = (await (await fetch(`${url}/api/v1/status`)).json()).status?.phase ?? "";
    } catch {
      if (child.exitCode !== null) throw new Error("the run ended by itself");
    }
  }
  const seconds = (performance.now() - began) / 1000;
  stop.abort();
  child.kill("SIGKILL");
  const answers = (await Promise.all(views)).reduce((sum, some) => sum + some, 0);
  return { seconds, answers };
}

const best = [Infinity, Infinity];
for (let turn = 0; turn < Number(turns); turn += 1) {
  for (const [place, many] of [0, Number(viewers)].entries()) {
    const { seconds, answers } = await run(many, `${turn}-${many}`);
    best[place] = Math.min(best[place], seconds);
    console.log(`${many} viewers: ${seconds.toFixed(2)} s, ${answers} answers`);
  }
}
console.log(
  `with ${viewers} viewers ${((best[1] / best[0] - 1) * 100).toFixed(1)}% longer: ${best[0].toFixed(2)} and ${best[1].toFixed(2)} s`,
);
rmSync(folder, { recursive: true });
