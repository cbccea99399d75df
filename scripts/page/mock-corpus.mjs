// A made corpus for the mock: real questions and recorded labels of examples/banking77, repeated up to a million rows, and nasty texts.
// Rows are synthesised when they are asked for. Invariant: a function of the number of texts alone, so that screenshots can be compared.

import { readFileSync } from "node:fs";

const BANKING = new URL("../../examples/banking77/", import.meta.url);
export const TEACHERS = ["gpt-4", "gpt-3.5", "gpt-4-other-shots"];
const TRUST = [1.9, 1.1, 1.3];

const lines = (name) =>
  readFileSync(new URL(name, BANKING), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

const LONG_LABEL = 'he said "it\'s <b>not</b> a label" & left; eighty characters are allowed to be here';

export const NASTY = [
  "<img src=x onerror=alert(1)>",
  "<script>alert('xss')</script> and </textarea><style>*{display:none}</style>",
  "هل يمكنني استخدام بطاقتي في الخارج؟ لقد حاولت الدفع مرتين ولم ينجح الأمر.",
  "אני לא מצליח לאפס את ה-PIN שלי ב-ATM, מה עושים?",
  "我的卡还没有到，已经等了两个星期了。请问什么时候可以收到？",
  "A line\nanother line\n\n\tand one that is indented\r\nwith a carriage return",
  `a${"b".repeat(4000)} one word of four thousand characters`,
  "Z̸̡̛͍̤̭͎͚͓͔̖͇̀̍̋͂͐̈́a̶̧̛̲̦̟͖̥̙͑̀́l̵̢̰̜̞̊̎̏͛̒g̷̭̰̠̈́͆̓̂o̴͉̊ with many marks, and a null: \u0000 and a bell \u0007",
  "\u202Egnirts desrever a si siht\u202C but this is not",
  "   ",
  "javascript:alert(1) https://example.org/?q=<b>&x=\"'`",
  "🏦💳 card 👩‍👩‍👧‍👦 family plan? 🇩🇪",
  "big",
];

const big = () => `${"This is a long document about a card that did not arrive. ".repeat(18_000)}\nThe end.`;

/** A number from 0 to 1 that depends on `n` and `salt` alone. */
export function noise(n, salt) {
  let x = (Math.imul(n + 1, 0x9e3779b1) ^ Math.imul(salt + 7, 0x85ebca6b)) >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d) >>> 0;
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b) >>> 0;
  return ((x ^ (x >>> 16)) >>> 0) / 4294967296;
}

export function makeCorpus(count) {
  const pool = lines("pool.jsonl");
  const said = TEACHERS.map((teacher) => lines(`teacher_${teacher}.jsonl`).map((line) => line.labels));
  const names = [...new Set(lines("pool_gold.jsonl").map((line) => line.label ?? line.gold))].filter(Boolean).sort();
  const labels = [...names.slice(0, 76), LONG_LABEL];
  const number = new Map(labels.map((name, place) => [name, place]));
  const label = new Int16Array(count);
  const confidence = new Float32Array(count);
  const nastyAt = (position) => (position % 61 === 40 ? Math.floor(position / 61) : -1);

  const textOf = (position) => {
    const nasty = nastyAt(position);
    if (nasty >= 0 && nasty < NASTY.length) return NASTY[nasty] === "big" ? big() : NASTY[nasty];
    const round = Math.floor(position / pool.length);
    const text = pool[(position * 7) % pool.length].text;
    return round === 0 ? text : `${text} (asked ${round + 1} times)`;
  };

  const saidOf = (position) =>
    TEACHERS.map((_, t) => {
      const nasty = nastyAt(position);
      const own = said[t][(position * 7) % pool.length].filter((name) => number.has(name));
      if (nasty >= 0 && nasty < NASTY.length) return t === 2 ? [LONG_LABEL] : [labels[(nasty * 5 + t) % 76]];
      if (own.length && noise(position, t + 20) < 0.22) return [...own, labels[Math.floor(noise(position, t + 30) * 76)]];
      return own;
    });

  /** [[label, share]] by what teachers said. */
  const posterior = (position) => {
    const weights = new Map();
    saidOf(position).forEach((names, t) =>
      names.forEach((name, rank) => weights.set(name, (weights.get(name) ?? 0) + TRUST[t] / (rank + 1))),
    );
    const sharp = 0.55 + 1.1 * noise(position, 3);
    const shares = [...weights].map(([name, weight]) => [name, Math.exp(weight * sharp)]);
    const rest = 0.3 + 9 * noise(position, 4) ** 4;
    const sum = shares.reduce((total, [, share]) => total + share, rest);
    return shares.map(([name, share]) => [name, Math.round((share / sum) * 1e4) / 1e4]).sort((a, b) => b[1] - a[1]);
  };

  const failed = (position) => position % 701 === 13 || saidOf(position).every((names) => names.length === 0);
  const sureOf = (position) => {
    const shares = posterior(position);
    if (shares.length) return shares;
    const guess = labels[Math.floor(noise(position, 9) * 76)];
    return [[guess, Math.round((0.25 + 0.6 * noise(position, 10)) * 1e4) / 1e4]];
  };

  for (let position = 0; position < count; position += 1) {
    // A million times the whole posterior takes a minute: what repeats is a little moved.
    const base = position < 20_000 ? null : position % 20_000;
    if (base === null) {
      const [[name, share]] = sureOf(position);
      label[position] = number.get(name);
      confidence[position] = share;
    } else {
      label[position] = label[base];
      confidence[position] = Math.min(0.9999, Math.max(0.03, confidence[base] + (noise(position, 5) - 0.5) * 0.02));
    }
  }
  return { count, labels, label, confidence, textOf, saidOf, sureOf, failed, number };
}
