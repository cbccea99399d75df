// Numbers, times and words as people read them. Pure functions: no DOM, no state.

const COUNT = new Intl.NumberFormat("en");
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/** 12,345. @param {number} value */
export function count(value) {
  return COUNT.format(value);
}

/** "1 text", "2 texts". @param {number} value @param {string} one @param {string} [many] */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** "once", "twice", "3 times". @param {number} value */
export function times(value) {
  return value === 1 ? "once" : value === 2 ? "twice" : `${count(value)} times`;
}

/** A share, 0 to 1, as a percentage that says 100% only of all and 0% only of none. @param {number} share */
export function percent(share) {
  if (!Number.isFinite(share)) return "–";
  if (share > 0 && share < 0.005) return "<1%";
  const shown = share < 1 ? Math.min(99, Math.round(share * 100)) : 100;
  return `${shown}%`;
}

/** A share, 0 to 1, as a percentage with decimals: 86.4%. @param {number} share @param {number} [digits] */
export function exact(share, digits = 1) {
  return `${(share * 100).toFixed(digits)}%`;
}

/** A probability: 0.46. @param {number | null} value */
export function probability(value) {
  return value === null || !Number.isFinite(value) ? "–" : value.toFixed(2);
}

/** An amount of money, small ones with more digits. @param {number} value */
export function money(value) {
  if (value === 0) return "0";
  return value.toFixed(value < 0.1 ? 4 : 2);
}

/** A decimal that came as a string. @param {string | null | undefined} text */
export function decimal(text) {
  const value = Number(text ?? 0);
  return Number.isFinite(value) ? value : 0;
}

/** "13 s", "4 min 10 s", "2 h 5 min", "3 d 4 h". @param {number} seconds */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return two(Math.floor(s / 60), "min", s % 60, "s");
  if (s < 86_400) return two(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "min");
  return two(Math.floor(s / 86_400), "d", Math.floor((s % 86_400) / 3600), "h");
}

/** @param {number} big @param {string} bigUnit @param {number} small @param {string} smallUnit */
function two(big, bigUnit, small, smallUnit) {
  return small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
}

/** Texts a second: 142/s, 3.4/s, 12/min. @param {number} perSecond */
export function rate(perSecond) {
  if (perSecond >= 10) return `${count(Math.round(perSecond))}/s`;
  if (perSecond >= 1) return `${perSecond.toFixed(1)}/s`;
  return `${count(Math.round(perSecond * 60))}/min`;
}

/** 12:03. @param {Date} date */
export function clock(date) {
  return CLOCK.format(date);
}

/** 1,234 as 1.2k: for axes. @param {number} value */
export function brief(value) {
  if (value >= 1e6) return `${trim(value / 1e6)}M`;
  if (value >= 1e4) return `${trim(value / 1e3)}k`;
  return count(value);
}

/** @param {number} value */
function trim(value) {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toFixed(1)));
}

/** Cuts `text` in the middle, so that its begin and end are seen. @param {string} text @param {number} most */
export function middle(text, most) {
  if (text.length <= most) return text;
  const head = Math.ceil((most - 1) * 0.6);
  return `${text.slice(0, head)}…${text.slice(text.length - (most - 1 - head))}`;
}

/** A round number not below `value`, for the end of an axis: 1, 2, 5 times a power of ten. @param {number} value */
export function roundUp(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 1.5, 2, 3, 4, 5, 6, 8, 10]) {
    if (step * power >= value) return step * power;
  }
  return 10 * power;
}

/** What a label comes from, in words. @param {string | null} by */
export function origin(by) {
  if (by === null) return "–";
  if (by === "student") return "student alone";
  if (by === "person") return "a person";
  // The other refineries were chosen by their names.
  if (by === "posterior") return "teachers & student";
  return by;
}
