/** Items of orders: any JSON, written and shown by people. */

export const LONGEST = 32 * 1024; // bytes of an item's JSON

const FEW = 8;
const SHORT = 80;

/** What was typed: an object or a list where it is JSON of one, else the text itself. */
export function itemOf(text) {
  const trimmed = text.trim();
  if (!looksLikeJson(trimmed)) return trimmed;
  try {
    return JSON.parse(trimmed);
  } catch {
    return trimmed;
  }
}

/** "text", "json", or "broken": it begins like JSON and isn't. */
export function kindOf(text) {
  if (!looksLikeJson(text.trim())) return "text";
  return typeof itemOf(text) === "string" ? "broken" : "json";
}

const looksLikeJson = (trimmed) => /^[{[]/.test(trimmed);

/** The pairs of a small flat object, which read better than its JSON; else null. */
export function pairsOf(item) {
  if (item === null || typeof item !== "object" || Array.isArray(item)) return null;
  const pairs = Object.entries(item);
  const isFlat = pairs.every(([, value]) => value === null || typeof value !== "object");
  if (!pairs.length || pairs.length > FEW || !isFlat) return null;
  const read = pairs.map(([key, value]) => [key, String(value)]);
  return read.every(([key, value]) => key.length + value.length < SHORT) ? read : null;
}

export function textOf(item) {
  return typeof item === "string" ? item : JSON.stringify(item, null, 2);
}

/** One line of it, for a title or a screen reader. */
export function summaryOf(item, length = SHORT) {
  const text = (typeof item === "string" ? item : JSON.stringify(item)).replace(/\s+/g, " ");
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
