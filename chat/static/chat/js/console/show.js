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

/** A figure in its unit, or a dash. */
export const inUnit = (unit, number) => (number === null ? say("no_figure") : say(unit, { n: brief(number) }));

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
