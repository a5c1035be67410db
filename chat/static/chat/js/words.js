/** What the scripts say; the words come with the page, translated. */

const words = JSON.parse(document.getElementById("words").textContent);
const FOR_GOOD = "9999"; // the year in which a mute ends that never does

export function say(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** The words for one, or for `n`. */
export function count(key, n) {
  return say(n === 1 && `${key}_one` in words ? `${key}_one` : key, { n });
}

export const has = (key) => key in words;

/** What lasts up to a time, `KEY_until`, or for good, `KEY`. */
export function sayUntil(key, until, values = {}) {
  const ends = until && !until.startsWith(FOR_GOOD);
  return ends ? say(`${key}_until`, { ...values, until: whenOf(until) }) : say(key, values);
}

/** Why the server refused something, for the person whose it was. */
export function reasonOf({ code, message, until, reason, reference }) {
  if (has(`${code}_reason`)) return say(`${code}_reason`);
  if (until && has(`${code}_until`)) return [sayUntil(code, until), reason].filter(Boolean).join(": ");
  return reference ? say("reference", { reason: message, reference }) : message;
}

const language = document.documentElement.lang;
const clock = new Intl.DateTimeFormat(language, { hour: "numeric", minute: "2-digit" });
const moment = new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "medium" });
const when = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
const weekday = new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long" });
const date = new Intl.DateTimeFormat(language, { dateStyle: "long" });

export const timeOf = (at) => clock.format(new Date(at));
export const whenOf = (at) => when.format(new Date(at));
export const momentOf = (at) => moment.format(new Date(at));

export function dayOf(at, now = new Date()) {
  const then = new Date(at);
  const days = Math.round((startOf(now) - startOf(then)) / 86_400_000);
  if (days === 0) return say("today");
  if (days === 1) return say("yesterday");
  return (days > 0 && days < 200 ? weekday : date).format(then);
}

const startOf = (day) => new Date(day.getFullYear(), day.getMonth(), day.getDate());

const ago = new Intl.RelativeTimeFormat(language, { numeric: "always", style: "narrow" });
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "5 min ago" */
export function ageOf(at, now = Date.now()) {
  const seconds = Math.max(0, (now - new Date(at)) / 1000);
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? [];
  return unit ? ago.format(-Math.floor(seconds / length), unit) : say("now");
}

/** "30 sec", "5 min", "2 hr" */
export function durationOf(seconds) {
  const whole = UNITS.find(([, length]) => seconds >= length * 2 || (seconds && seconds % length === 0));
  const [unit, length] = whole ?? ["second", 1];
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 }).format(
    seconds / length,
  );
}
