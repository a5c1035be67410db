import assert from "node:assert/strict";
import { test } from "node:test";

import { LIMIT, Timeline } from "../../chat/static/chat/js/timeline.js";

const alice = { id: 1, name: "alice" };
const bob = { id: 2, name: "bob" };

const entry = (event, seq, data, from = bob) => ({
  event,
  room: "general",
  seq,
  at: `2026-01-01T00:00:00.${String(seq % 1000).padStart(3, "0")}Z`,
  from,
  data: { client_id: `c${seq}`, ...data },
});
const message = (seq, body = `body ${seq}`, from = bob) => entry("message", seq, { body }, from);
const messages = (first, last) =>
  Array.from({ length: last - first + 1 }, (_, i) => message(first + i));

function timeline({ at = 0, ordered = true } = {}) {
  const made = new Timeline({ me: alice, ordered });
  made.start({ seq: at }, "epoch");
  return made;
}

const seqs = (made) => made.rows.map((row) => row.seq);
const bodies = (made) => made.rows.map((row) => row.body);

test("entries are applied once, in order, and move the position", () => {
  const made = timeline();
  assert.deepEqual([1, 2, 2, 1, 3].map((seq) => made.apply(message(seq))), ["new", "new", "known", "known", "new"]);
  assert.deepEqual(seqs(made), [1, 2, 3]);
  assert.deepEqual(made.position, { seq: 3, client_id: "c3" });
});

test("an ordered room skips nothing: a gap is reported and not applied", () => {
  const made = timeline({ at: 5 });
  assert.equal(made.apply(message(7)), "gap");
  assert.deepEqual(made.position, { seq: 5 });
});

test("an unordered room takes entries as they come and shows them by seq", () => {
  const made = timeline({ ordered: false });
  const outcome = [3, 1, 3, 2, 1].map((seq) => made.apply(message(seq)));
  assert.deepEqual(outcome, ["new", "new", "known", "new", "known"]);
  assert.deepEqual(seqs(made), [1, 2, 3]);
  assert.equal(made.position.seq, 3);
});

test("in an unordered room what lies below the position but was never seen is taken", () => {
  const made = timeline({ ordered: false });
  made.apply(message(1));
  made.apply(message(5));
  assert.equal(made.apply(message(3)), "new");
  assert.equal(made.apply(message(5)), "known");
});

test("an edit, a reaction and a deletion change their target alone", () => {
  const made = timeline();
  for (const each of messages(1, 2)) made.apply(each);
  made.apply(entry("edit", 3, { target: 1, body: "better", html: "<b>better</b>" }));
  made.apply(entry("react", 4, { target: 1, emoji: "👍", on: true }));
  made.apply(entry("react", 5, { target: 1, emoji: "👍", on: true }, alice));
  assert.equal(made.rows[0].body, "better");
  assert.equal(made.rows[0].html, "<b>better</b>");
  assert.ok(made.rows[0].edited_at);
  assert.deepEqual(made.rows[0].reactions, [{ emoji: "👍", count: 2, users: [bob, alice], mine: true }]);
  made.apply(entry("react", 6, { target: 1, emoji: "👍", on: false }));
  made.apply(entry("react", 7, { target: 1, emoji: "👍", on: false }, alice));
  assert.deepEqual(made.rows[0].reactions, []);
  made.apply(entry("delete", 8, { target: 1, reason: "spam" }));
  assert.equal(made.rows[0].body, undefined);
  assert.deepEqual(made.rows[0].deleted.by, bob);
  assert.equal(made.rows[1].body, "body 2");
});

test("the same person reacting twice counts once", () => {
  const made = timeline();
  made.apply(message(1));
  made.apply(entry("react", 2, { target: 1, emoji: "🎉", on: true }));
  made.apply(entry("react", 3, { target: 1, emoji: "🎉", on: true }));
  assert.equal(made.rows[0].reactions[0].count, 1);
});

test("a page of history shows messages as they stand, and entries up to its head change them no more", () => {
  const made = timeline({ at: 2 });
  made.expect();
  const edited = { ...message(1, "second wording"), data: { client_id: "c1", body: "second wording" } };
  made.merge({ messages: [edited, message(2)], first: 1, head: 4, more: false });
  made.apply(entry("edit", 3, { target: 1, body: "first wording" }));
  assert.equal(made.rows[0].body, "second wording");
  made.apply(entry("edit", 4, { target: 1, body: "second wording" }));
  made.apply(entry("edit", 5, { target: 1, body: "third wording" }));
  assert.equal(made.rows[0].body, "third wording");
});

test("a page that was read before an entry came gets that entry on top", () => {
  const made = timeline({ at: 10 });
  made.expect();
  made.apply(entry("edit", 11, { target: 3, body: "edited meanwhile" }));
  made.merge({ messages: messages(1, 10), first: 1, head: 10, more: false }, { before: 11 });
  assert.equal(made.find(3).body, "edited meanwhile");
});

test("what a page brings and the log brings again is shown once", () => {
  const made = timeline({ at: 0 });
  made.expect();
  made.merge({ messages: messages(1, 5), first: 1, head: 5, more: false });
  for (const each of messages(1, 6)) made.apply(each);
  assert.deepEqual(seqs(made), [1, 2, 3, 4, 5, 6]);
});

test("older pages go on top until there are no more", () => {
  const made = timeline({ at: 100 });
  made.merge({ messages: messages(51, 100), first: 1, head: 100, more: true });
  assert.equal(made.older, true);
  made.merge({ messages: messages(1, 50), first: 1, head: 100, more: false }, { before: 51 });
  assert.equal(made.older, false);
  assert.deepEqual(seqs(made), seqs({ rows: messages(1, 100) }));
});

test("the window keeps its size: the far end goes and is fetched again", () => {
  const made = timeline();
  for (const each of messages(1, LIMIT + 20)) made.apply(each);
  made.trim("start");
  assert.equal(made.rows.length, LIMIT);
  assert.equal(made.rows[0].seq, 21);
  assert.equal(made.older, true);
  made.merge({ messages: messages(1, 20), first: 1, head: LIMIT + 20, more: false }, { before: 21 });
  made.trim("end");
  assert.equal(made.rows.at(-1).seq, LIMIT);
  assert.equal(made.atEnd, false);
});

test("away from the end new messages wait for their page, and none is missed", () => {
  const made = timeline();
  for (const each of messages(1, LIMIT + 10)) made.apply(each);
  made.trim("end");
  made.apply(message(LIMIT + 11));
  assert.equal(made.rows.at(-1).seq, LIMIT);
  assert.equal(made.position.seq, LIMIT + 11);
  made.expect();
  made.apply(message(LIMIT + 12)); // comes while the page is under way
  made.merge({ messages: messages(LIMIT + 1, LIMIT + 11), first: 1, head: LIMIT + 11, more: false }, { after: LIMIT });
  assert.equal(made.atEnd, true);
  assert.deepEqual(seqs(made).slice(-3), [LIMIT + 10, LIMIT + 11, LIMIT + 12]);
});

const record = (client_id, body, more = {}) => ({
  n: 1,
  room: "general",
  event: "message",
  client_id,
  at: "2026-01-01T00:00:00.000Z",
  data: { room: "general", client_id, body },
  ...more,
});

test("an own message is shown below the others until its entry comes, and never twice", () => {
  const made = timeline();
  made.apply(message(1));
  const own = record("mine", "hello");
  assert.deepEqual(made.view([own]).map((row) => [row.body, row.state]), [["body 1", "stored"], ["hello", "waiting"]]);
  made.acknowledged(own, { seq: 2 });
  assert.deepEqual(made.view().map((row) => row.state), ["stored", "stored"]);
  made.apply(entry("message", 2, { client_id: "mine", body: "hello" }, alice));
  assert.deepEqual(made.view().map((row) => row.body), ["body 1", "hello"]);
});

test("an own message whose entry came before its ack is shown once", () => {
  const made = timeline();
  const own = record("mine", "hello");
  made.apply(entry("message", 1, { client_id: "mine", body: "hello" }, alice));
  assert.equal(made.view([own]).length, 1);
  made.acknowledged(own, { seq: 1 });
  assert.equal(made.view().length, 1);
});

test("somebody else's message with the same client_id is another message", () => {
  const made = timeline();
  made.apply(entry("message", 1, { client_id: "mine", body: "theirs" }, bob));
  assert.equal(made.view([record("mine", "ours")]).length, 2);
});

test("a refused message keeps its place with its reason", () => {
  const made = timeline();
  const [row] = made.view([record("mine", "hello", { error: { code: "muted", message: "Muted." } })]);
  assert.equal(row.state, "refused");
  assert.equal(row.error.message, "Muted.");
});

test("an edit, a deletion and a reaction are shown at once, while they are on their way", () => {
  const made = timeline();
  for (const each of messages(1, 3)) made.apply({ ...each, from: alice });
  const change = (event, data) => record("x", undefined, { event, data: { ...data, client_id: "x" } });
  const shown = made.view([
    change("edit", { target: 1, body: "new" }),
    change("delete", { target: 2 }),
    change("react", { target: 3, emoji: "👍", on: true }),
  ]);
  assert.equal(shown[0].body, "new");
  assert.ok(shown[1].deleted);
  assert.equal(shown[2].reactions[0].mine, true);
  assert.ok(shown.every((row) => row.changing === "waiting"));
  assert.deepEqual(bodies(made), ["body 1", "body 2", "body 3"], "the rows themselves wait for the entry");
});

test("a reset drops everything kept of the room", () => {
  const made = timeline();
  for (const each of messages(1, 3)) made.apply(each);
  made.reset();
  made.start({ seq: 1 }, "other");
  assert.deepEqual(made.rows, []);
  assert.equal(made.apply(message(2)), "new");
});
