/** What a found message says around the words that were looked for. */

const MARKS = /[\u0300-\u036f]/g;
const LONGEST = 240; // characters
const BEFORE = 60; // of these in front of the first word found
const WORD = /[\p{L}\p{N}][\p{L}\p{N}\u0300-\u036f]*/gu;
const START = "(?<![\\p{L}\\p{N}])";
const END = "(?![\\p{L}\\p{N}])";

/** → `[{text, found}]`, which follow each other; `found` are words of the query. */
export function excerpt(said, query) {
  const text = said.replace(/\s+/g, " ").trim();
  const places = placesOf(text, query);
  const start = text.length <= LONGEST ? 0 : wordAt(text, Math.max(0, (places[0]?.from ?? 0) - BEFORE));
  const end = Math.min(text.length, start + LONGEST);
  const parts = [];
  let at = start;
  const add = (upto, found) => upto > at && parts.push({ text: text.slice(at, upto), found });
  for (const { from, upto } of places) {
    if (from < at || upto > end) continue;
    add(from, false);
    at = from;
    add(upto, true);
    at = upto;
  }
  add(end, false);
  if (start > 0) parts.unshift({ text: "…", found: false });
  if (end < text.length) parts.push({ text: "…", found: false });
  return parts;
}

/** Where the words stand: whole ones, the last one also where it only begins a word. */
function placesOf(text, query) {
  const words = (fold(query).text.match(WORD) ?? []);
  if (!words.length) return [];
  const { text: folded, places } = fold(text);
  const last = words.at(-1);
  const pattern = new RegExp(`${START}(?:(?:${words.join("|")})${END}|${last})`, "gu");
  return [...folded.matchAll(pattern)].map(({ index, 0: word }) => ({
    from: places[index],
    upto: places[index + word.length],
  }));
}

/** The text without case and accents, and for each of its characters the place it had. */
function fold(text) {
  let folded = "";
  const places = [];
  let at = 0;
  for (const letter of text) {
    const bare = letter.normalize("NFD").replace(MARKS, "").toLowerCase();
    for (let i = 0; i < bare.length; i += 1) places.push(at);
    folded += bare;
    at += letter.length;
  }
  return { text: folded, places: [...places, at] };
}

const wordAt = (text, from) => (from ? text.indexOf(" ", from) + 1 : 0);
