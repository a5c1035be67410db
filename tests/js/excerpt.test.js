import assert from "node:assert/strict";
import { test } from "node:test";

import { excerpt } from "../../chat/static/chat/js/excerpt.js";

const marked = (text, query) => excerpt(text, query).filter((part) => part.found).map((part) => part.text);
const whole = (text, query) => excerpt(text, query).map((part) => part.text).join("");

test("words are marked whatever their case and accents, the last one also where it goes on", () => {
  assert.deepEqual(marked("The Café is a cafe, no cafeteria", "CAFÉ"), ["Café", "cafe", "cafe"]);
  assert.deepEqual(marked("tea and teapots", "tea pot"), ["tea"]);
  assert.deepEqual(marked("tea and teapots", "and tea"), ["tea", "and", "tea"]);
  assert.deepEqual(marked("cafe\u0301 cre\u0300me", "café crème"), ["cafe\u0301", "cre\u0300me"]);
});

test("what has no letter marks nothing, and what is no pattern is none", () => {
  assert.deepEqual(marked("a+b (c) [d] .*", ".* + ("), []);
  assert.deepEqual(marked("a+b (c)", "c"), ["c"]);
  assert.deepEqual(marked("", "tea"), []);
});

test("nothing of a short text is left out", () => {
  const text = "Some tea, some <b>milk</b> & 🫖";
  assert.equal(whole(text, "milk"), text);
  assert.equal(whole("one\n\ntwo   three", "two"), "one two three");
});

test("of a long text the words around the first one found are shown", () => {
  const words = Array.from({ length: 500 }, (_, at) => `word${at}`);
  const shown = whole(words.join(" "), "word300");
  assert.match(shown, /^….* word300 .*…$/);
  assert.ok(shown.length < 260);
  assert.match(whole(words.join(" "), "nothing"), /^word0 word1 .*…$/);
  assert.ok(whole(`${"x".repeat(5000)} tea`, "tea").length < 260);
});

test("characters of two units keep their place", () => {
  assert.deepEqual(marked("🫖🫖 𐐀𐐁 tea", "𐐨𐐩 te"), ["𐐀𐐁", "te"]);
  assert.deepEqual(marked("İstanbul ﬁn", "istanbul"), ["İstanbul"]);
});
