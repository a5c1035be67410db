/** How the console's lists show people, places, times and numbers. */

import { clone, paintAvatar } from "../elements/parts.js";
import { ageOf, count, momentOf, say } from "../words.js";

const language = document.documentElement.lang;
const exact = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(language, { notation: "compact", maximumFractionDigits: 1 });
const fine = new Intl.NumberFormat(language, { maximumSignificantDigits: 3 });

export const whole = (number) => exact.format(number);

/** The words for one, or for so many. */
export const countOf = (key, n) => (n === 1 ? count(key, 1) : say(key, { n: whole(n) }));

/** "12", "3.46", "12.3K" */
export function brief(number) {
  if (number >= 10_000) return short.format(number);
  return number >= 1_000 ? exact.format(number) : fine.format(number);
}

const isLong = (unit, number) => unit === "milliseconds" && number >= 1_000;

/** A figure in its unit, or a dash. */
export function inUnit(unit, number) {
  if (number === null) return say("no_figure");
  return isLong(unit, number) ? say("seconds", { n: brief(number / 1_000) }) : say(unit, { n: brief(number) });
}

/** One beside an axis, where the unit is said only if it is another one. */
export const onAxis = (unit, number) => (isLong(unit, number) ? inUnit(unit, number) : brief(number));

/** Two, with their unit once where it is the same. */
export function pairOf(unit, one, other) {
  const same = isLong(unit, one) === isLong(unit, other);
  return say("quantiles", { p50: same && !isLong(unit, one) ? brief(one) : inUnit(unit, one), p99: inUnit(unit, other) });
}

export function showPerson(place, person) {
  if (place.dataset.person === String(person?.id)) return;
  place.dataset.person = person?.id;
  if (!person) return void (place.textContent = say("nobody"));
  const shown = clone("person");
  paintAvatar(shown.querySelector(".avatar"), person);
  shown.querySelector(".name").textContent = person.name;
  place.replaceChildren(shown);
}

/** Tags are `[words, tone?]`; the tone is a class. */
export function showTags(place, tags) {
  place.replaceChildren(
    ...tags.map(([words, tone]) => {
      const tag = clone("tag");
      tag.textContent = words;
      if (tone) tag.classList.add(tone);
      return tag;
    }),
  );
}

const clock = new Intl.DateTimeFormat(language, { timeStyle: "medium" });

/** "2:03:07 PM" */
export const exactTimeOf = (at) => clock.format(new Date(at));

/** "5 min ago", with the moment for who points at it. */
export function showAge(place, at) {
  place.textContent = ageOf(at);
  place.title = momentOf(at);
  if (place.localName === "time") place.dateTime = at;
}
