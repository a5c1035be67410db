import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Chat } from "../../chat/static/chat/js/chat.js";
import { Memory } from "../../chat/static/chat/js/memory.js";

const alice = { id: 1, name: "alice" };
const bob = { id: 2, name: "bob" };

/** A connected socket whose other end is the test. */
class Line extends EventTarget {
  online = false;
  asked = [];
  told = [];
  reconnects = 0;
  send(event, data, answer) {
    this.asked.push({ event, data, answer });
  }
  call(event, data) {
    return new Promise((resolve, reject) =>
      this.send(event, data, (error, reply) => (error ? reject(error) : resolve(reply))),
    );
  }
  emit(event, data) {
    this.told.push({ event, data });
  }
  reconnect() {
    this.reconnects += 1;
  }
  goes(online) {
    this.online = online;
    this.asked = online ? [] : this.asked;
    this.dispatchEvent(new CustomEvent("state"));
  }
  brings(...entries) {
    this.dispatchEvent(new CustomEvent("entries", { detail: entries }));
  }
  says(event, data) {
    this.dispatchEvent(new CustomEvent("event", { detail: { event, data } }));
  }
  /** The oldest unanswered call of this event. */
  ask(event) {
    const at = this.asked.findIndex((ask) => ask.event === event);
    assert.ok(at >= 0, `${event} was asked`);
    return this.asked.splice(at, 1)[0];
  }
  answers(event, reply) {
    const { data, answer } = this.ask(event);
    answer(null, reply);
    return data;
  }
  refuses(event, error) {
    this.ask(event).answer({ temporary: false, message: error.code, ...error });
  }
  events(event) {
    return this.told.filter((each) => each.event === event).map((each) => each.data);
  }
}

class Outbox extends EventTarget {
  records = [];
  up = false;
  of = (room) => this.records.filter((record) => record.room === room);
  hurried = [];
  online = (up) => (this.up = up);
  hurry = (room) => this.hurried.push(room);
}

class Storage {
  items = new Map();
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, value) => this.items.set(key, value);
  removeItem = (key) => this.items.delete(key);
}

const info = (room, more = {}) => ({
  room,
  name: room,
  topic: "",
  private: false,
  ordering: "ordered",
  closed: false,
  member: true,
  role: "member",
  head: 0,
  cursor: 0,
  read: 0,
  unread: 0,
  mentions: 0,
  ...more,
});

const entry = (room, seq, data = {}, { event = "message", from = bob } = {}) => ({
  event,
  room,
  seq,
  at: "2026-01-01T00:00:00.000Z",
  from,
  data: { client_id: `c${seq}`, body: `body ${seq}`, ...data },
});

const joined = (room, more = {}) => ({
  room,
  head: 0,
  first: 1,
  cursor: 0,
  epoch: "e",
  ordering: "ordered",
  here: [alice],
  here_count: 1,
  received_by_all: 0,
  read_by_all: 0,
  ...more,
});

let line;
let outbox;
let storage;
let channel;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  line = new Line();
  outbox = new Outbox();
  storage = new Storage();
  channel = Object.assign(new EventTarget(), { posted: [], postMessage: (news) => channel.posted.push(news) });
});

afterEach(() => mock.timers.reset());

function chatWith(...rooms) {
  const memory = new Memory(alice.id, storage);
  return new Chat({ me: alice, socket: line, outbox, memory, channel, rooms });
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("on connecting, one's rooms are joined, the open one first, and others are not", () => {
  const chat = chatWith(info("a"), info("b"), info("c", { member: false }));
  chat.show("b");
  line.goes(true);
  const joins = line.asked.filter((ask) => ask.event === "join").map((ask) => ask.data.room);
  assert.deepEqual(joins, ["b", "a"]);
  assert.equal(outbox.up, true);
});

test("a first join goes on at the person's cursor, and what lies behind it comes by history", async () => {
  const chat = chatWith(info("a", { head: 7, cursor: 5 }));
  chat.show("a");
  line.goes(true);
  assert.deepEqual(line.answers("join", joined("a", { head: 7, cursor: 5 })), { room: "a" });
  line.brings(entry("a", 6), entry("a", 7));
  await turn();
  const asked = line.answers("history", { messages: [entry("a", 5)], first: 1, head: 7, more: false });
  assert.equal(asked.before, 6);
  await turn();
  assert.deepEqual(chat.open.timeline.rows.map((row) => row.seq), [5, 6, 7]);
  assert.deepEqual(line.events("received"), [{ a: 7 }]);
});

test("a page that brought its history joins after it", async () => {
  const chat = chatWith(info("a", { head: 5, cursor: 5 }));
  const page = { messages: [entry("a", 5)], first: 1, head: 5, more: false, cursor: 5, epoch: "e" };
  chat.show("a", page);
  assert.equal(chat.open.timeline.rows.length, 1, "shown before there is a connection");
  line.goes(true);
  const { after, epoch } = line.answers("join", joined("a", { head: 5, cursor: 5 }));
  assert.deepEqual([after, epoch], [5, "e"]);
  await turn();
  assert.deepEqual(line.events("received"), [{ a: 5 }]);
});

test("a reconnect resumes after the last entry, names it, and acknowledges it again", async () => {
  const chat = chatWith(info("a"));
  line.goes(true);
  line.answers("join", joined("a"));
  line.brings(entry("a", 1), entry("a", 2));
  line.goes(false);
  line.goes(true);
  assert.deepEqual(line.ask("join").data, { room: "a", after: 2, epoch: "e", after_client_id: "c2" });
  line.goes(false);
  line.goes(true);
  line.told = [];
  line.answers("join", joined("a", { head: 2, cursor: 0 }));
  await turn();
  assert.deepEqual(line.events("received"), [{ a: 2 }]);
  assert.equal(chat.rooms.get("a").timeline.rows.length, 2);
});

test("a new page goes on where this device was, when the person is further on elsewhere", async () => {
  chatWith(info("a"));
  line.goes(true);
  line.answers("join", joined("a"));
  line.brings(entry("a", 1), entry("a", 2));
  await turn();
  line = new Line();
  chatWith(info("a", { head: 9, cursor: 9 }));
  line.goes(true);
  assert.deepEqual(line.ask("join").data, { room: "a", after: 2, epoch: "e", after_client_id: "c2" });
});

test("a device that was away for very long goes on at the person's cursor", () => {
  storage.setItem("chatsite:1:position:a", JSON.stringify({ seq: 2, epoch: "e" }));
  chatWith(info("a", { head: 9_000, cursor: 9_000 }));
  line.goes(true);
  assert.deepEqual(line.ask("join").data, { room: "a" });
});

test("a reset drops what was kept and asks for the history of the log that is there now", async () => {
  const chat = chatWith(info("a"));
  chat.show("a");
  line.goes(true);
  line.answers("join", joined("a"));
  await turn();
  line.answers("history", { messages: [], first: 1, head: 0, more: false });
  line.brings(entry("a", 1, { body: "from a log that was lost" }));
  line.goes(false);
  line.goes(true);
  line.answers("join", joined("a", { cursor: 3, head: 3, epoch: "f", reset: true }));
  await turn();
  assert.equal(line.answers("history", { messages: [entry("a", 3)], first: 1, head: 3, more: false }).before, 4);
  await turn();
  assert.deepEqual(chat.open.timeline.rows.map((row) => row.body), ["body 3"]);
});

test("after a gap an ordered room is joined again after the last entry it has", () => {
  const chat = chatWith(info("a"));
  line.goes(true);
  line.answers("join", joined("a"));
  line.brings(entry("a", 1), entry("a", 3));
  assert.equal(line.ask("join").data.after, 1);
  assert.equal(chat.rooms.get("a").timeline.rows.length, 1);
});

test("in an unordered room each entry is acknowledged by itself, one that came again too", async () => {
  chatWith(info("a", { ordering: "unordered" }));
  line.goes(true);
  line.answers("join", joined("a"));
  line.brings(entry("a", 3), entry("a", 1), entry("a", 3));
  await turn();
  assert.deepEqual(line.events("received"), [{ a: [3, 1] }]);
});

test("what could not be acknowledged on a lost connection is not acknowledged on the next one", async () => {
  chatWith(info("a"));
  line.goes(true);
  line.answers("join", joined("a"));
  line.brings(entry("a", 1));
  line.goes(false);
  await turn();
  assert.deepEqual(line.events("received"), []);
});

test("unread messages of others are counted once, mentions apart", () => {
  const chat = chatWith(info("a", { head: 2, unread: 2 }));
  const room = chat.rooms.get("a");
  line.goes(true);
  line.answers("join", joined("a"));
  line.brings(entry("a", 1), entry("a", 2), entry("a", 3), entry("a", 4, { mentions: [alice] }));
  assert.deepEqual([room.unread, room.mentions], [4, 1]);
  line.brings(entry("a", 5, {}, { from: alice }), entry("a", 6, { target: 1, emoji: "👍", on: true }, { event: "react" }));
  assert.equal(room.unread, 4);
  assert.equal(chat.unread, 4);
});

test("what was read is told at once, then at most once a second, and to the other tabs", async () => {
  const chat = chatWith(info("a", { unread: 1, head: 1 }));
  const room = chat.rooms.get("a");
  line.goes(true);
  line.answers("join", joined("a"));
  for (const seq of [1, 2, 3]) {
    line.brings(entry("a", seq));
    chat.markRead(room);
  }
  assert.deepEqual(line.events("read"), [{ room: "a", seq: 1 }]);
  mock.timers.tick(1_000);
  assert.deepEqual(line.events("read").at(-1), { room: "a", seq: 3 });
  assert.deepEqual(channel.posted.at(-1), { read: { room: "a", seq: 3 } });
  assert.equal(room.unread, 0);
});

test("what was read offline is told on reconnecting", async () => {
  const chat = chatWith(info("a"));
  const room = chat.rooms.get("a");
  line.goes(true);
  line.answers("join", joined("a"));
  line.brings(entry("a", 1));
  line.goes(false);
  line.emit = () => {};
  chat.markRead(room);
  delete line.emit;
  mock.timers.tick(1_000);
  line.goes(true);
  line.answers("join", joined("a", { head: 1 }));
  assert.deepEqual(line.events("read"), [{ room: "a", seq: 1 }]);
});

test("reading in another tab reads here too", () => {
  const chat = chatWith(info("a", { unread: 3, head: 3 }));
  channel.dispatchEvent(new MessageEvent("message", { data: { read: { room: "a", seq: 3 } } }));
  assert.equal(chat.rooms.get("a").unread, 0);
});

test("the server's numbers do not undo what this page knows better", () => {
  const chat = chatWith(info("a", { head: 2, unread: 2 }));
  const room = chat.rooms.get("a");
  line.goes(true);
  line.answers("join", joined("a"));
  line.brings(entry("a", 1), entry("a", 2));
  chat.markRead(room);
  room.refresh(info("a", { head: 2, unread: 2, read: 0 }));
  assert.equal(room.unread, 0);
  room.refresh(info("a", { head: 5, unread: 3, read: 2 }));
  assert.equal(room.unread, 3);
});

test("all pages of the list are read, new rooms are joined, rooms that are gone go", async () => {
  const chat = chatWith(info("a"), info("gone"));
  line.goes(true);
  line.answers("rooms", { rooms: [info("a")], more: true, next: "a" });
  await turn();
  const asked = line.answers("rooms", { rooms: [info("new")], more: false });
  await turn();
  assert.equal(asked.after, "a");
  assert.deepEqual([...chat.rooms.keys()], ["a", "new"]);
  assert.equal(line.asked.filter((ask) => ask.event === "join" && ask.data.room === "new").length, 1);
});

test("a room made while the list was on its way stays", async () => {
  const chat = chatWith(info("a"));
  line.goes(true);
  const made = chat.create({ room: "new" });
  line.answers("room:create", info("new"));
  await made;
  line.answers("rooms", { rooms: [info("a")], more: false });
  await turn();
  assert.deepEqual([...chat.rooms.keys()], ["a", "new"]);
});

test("a member who was removed is shown the room from outside", async () => {
  const chat = chatWith(info("a"));
  chat.show("a");
  line.goes(true);
  line.answers("join", joined("a"));
  line.brings(entry("a", 1, { act: "kick", user: alice, text: "alice was removed." }, { event: "notice" }));
  assert.equal(chat.open.member, false);
  line.goes(false);
  line.goes(true);
  assert.equal(line.asked.some((ask) => ask.event === "join"), false);
});

const notice = (room, seq, data) => entry(room, seq, { body: undefined, text: data.act, ...data }, { event: "notice", from: { id: 0, name: "system" } });

/** A room that is open, joined and has what these notices say. */
function told(more, ...notices) {
  line = new Line();
  const chat = chatWith(info("a", more));
  chat.show("a");
  line.goes(true);
  line.answers("join", joined("a"));
  line.brings(...notices.map((data, at) => notice("a", at + 1, data)));
  return chat.open;
}

test("who was removed or banned is told why, and who left is not", () => {
  const room = told({}, { act: "kick", user: alice, reason: "spam" });
  assert.deepEqual([room.member, room.barrier().code, room.barrier().reason], [false, "kicked", "spam"]);
  const until = "2099-01-01T00:00:00.000Z";
  assert.deepEqual(told({}, { act: "ban", user: alice, reason: "spam", until }).barrier(), { code: "banned", reason: "spam", until });
  assert.equal(told({}, { act: "quit", user: alice }).barrier().code, "preview");
  assert.equal(told({ private: true }, { act: "quit", user: alice }).barrier().code, "no_longer");
  assert.equal(told({}, { act: "kick", user: bob, reason: "spam" }).barrier(), null);
});

test("who is muted can't write until it ends, and another's mute is not one's own", () => {
  const at = "2026-01-01T00:10:00.000Z";
  const room = told({}, { act: "mute", user: alice, until: at, reason: "calm down" });
  assert.deepEqual(room.barrier(Date.parse(at) - 1), { code: "muted", until: at, reason: "calm down" });
  assert.equal(room.barrier(Date.parse(at)), null);
  assert.equal(told({}, { act: "mute", user: alice }).barrier().until.slice(0, 4), "9999", "for good");
  assert.equal(told({}, { act: "mute", user: alice }, { act: "unmute", user: alice }).barrier(), null);
  assert.equal(told({}, { act: "mute", user: bob }).barrier(), null);
});

test("a write that is refused or goes through tells of a mute that no notice told of", () => {
  const room = told({});
  const error = { code: "muted", until: "2099-01-01T00:00:00.000Z" };
  outbox.dispatchEvent(new CustomEvent("refused", { detail: { room: "a", error } }));
  assert.equal(room.barrier().until, error.until);
  const record = { room: "a", event: "react", data: {} };
  outbox.dispatchEvent(new CustomEvent("sent", { detail: { record, receipt: { seq: 1 } } }));
  assert.equal(room.barrier(), null);
});

test("a mute that is over is forgotten with the next list of rooms", () => {
  const room = told({ muted_until: "9999-12-31T23:59:59.000Z" });
  assert.equal(room.barrier().code, "muted");
  room.refresh(info("a"));
  assert.equal(room.barrier(), null);
});

test("a closed room says why, and opens again", () => {
  assert.deepEqual(told({}, { act: "close", reason: "we moved" }).barrier(), { code: "closed", reason: "we moved" });
  assert.equal(told({}, { act: "close" }, { act: "reopen" }).barrier(), null);
});

test("who is made a moderator leads, who owns may do more, and so do the staff", () => {
  const room = told({}, { act: "role", user: alice, role: "moderator" });
  assert.deepEqual([room.leads, room.owns], [true, false]);
  const heir = told({}, { act: "quit", user: bob, owner: alice });
  assert.deepEqual([heir.leads, heir.owns], [true, true]);
  heir.me = { ...alice, staff: true };
  heir.info = { ...heir.info, role: null };
  assert.deepEqual([heir.leads, heir.owns], [true, true]);
});

test("in slow mode the next message waits from the last one on, but for who leads", () => {
  const room = told({}, { act: "rules", slow_mode: 30 });
  const at = Date.parse("2026-01-01T00:00:00.000Z");
  assert.equal(room.pause(at), 0);
  line.brings(entry("a", 2, {}, { from: alice }));
  assert.deepEqual([room.pause(at), room.pause(at + 20_000), room.pause(at + 40_000)], [30_000, 10_000, 0]);
  room.info = { ...room.info, role: "moderator" };
  assert.equal(room.pause(at), 0);
});

test("in slow mode a clock that is behind the server's makes nobody wait for longer", () => {
  const room = told({ slow_mode: 30 });
  line.brings(entry("a", 1, {}, { from: alice }));
  const behind = Date.parse("2026-01-01T00:00:00.000Z") - 3_600_000;
  assert.equal(room.pause(behind), 30_000);
  assert.equal(room.pause(behind + 29_000), 1_000);
});

test("what waits in a room goes on when its rules change", () => {
  const room = told({ slow_mode: 30 });
  outbox.dispatchEvent(new CustomEvent("held", { detail: { room: "a", refusal: { slow_mode: 30, retry_after: 30 } } }));
  line.brings(notice("a", 1, { act: "rules", slow_mode: 0 }));
  assert.deepEqual([outbox.hurried, room.pause()], [["a"], 0]);
});

test("the server's word counts when it makes a message wait", () => {
  const room = told({ slow_mode: 0 });
  const held = { room: "a", refusal: { slow_mode: 10, retry_after: 4 } };
  const before = Date.now();
  outbox.dispatchEvent(new CustomEvent("held", { detail: held }));
  assert.equal(room.info.slow_mode, 10);
  assert.ok(room.pause(before) >= 4_000);
});

test("who leads is told how many reports are open", () => {
  const room = told({ role: "owner", open_reports: 1 });
  let heard = null;
  const chat = chatWith(info("a", { role: "owner" }));
  chat.addEventListener("reports", ({ detail }) => (heard = detail));
  line.says("room:reports", { room: "a", open: 3 });
  assert.equal(room.info.open_reports, 3);
  assert.equal(heard.info.open_reports, 3);
});

test("a join refused for a while is tried again, one refused for good is not", () => {
  const chat = chatWith(info("a"), info("b"));
  line.goes(true);
  line.refuses("join", { code: "unavailable", temporary: true, retry_after: 1 });
  line.refuses("join", { code: "banned" });
  mock.timers.tick(5_000);
  assert.deepEqual(line.asked.filter((ask) => ask.event === "join").map((ask) => ask.data.room), ["a"]);
  assert.equal(chat.rooms.get("b"), undefined);
});

test("who types is forgotten after six seconds, or when their message comes", () => {
  const chat = chatWith(info("a"));
  const room = chat.rooms.get("a");
  line.goes(true);
  line.answers("join", joined("a"));
  line.says("typing", { room: "a", user: bob });
  assert.equal(room.typing.get(bob.id).name, "bob");
  mock.timers.tick(6_000);
  assert.equal(room.typing.size, 0);
  line.says("typing", { room: "a", user: bob });
  line.brings(entry("a", 1));
  assert.equal(room.typing.size, 0);
});

test("who is here follows those who come and go", () => {
  const chat = chatWith(info("a"));
  const room = chat.rooms.get("a");
  line.goes(true);
  line.answers("join", joined("a"));
  const change = (user, state) => line.says("presence", { room: "a", changes: [{ user, state }] });
  change(bob, "online");
  change(bob, "online");
  assert.deepEqual([room.here, room.hereCount], [[alice, bob], 2]);
  change(bob, "offline");
  assert.deepEqual([room.here, room.hereCount], [[alice], 1]);
});

test("a page of history that was asked for before a reset is not taken", async () => {
  const chat = chatWith(info("a", { member: false }));
  chat.show("a");
  line.goes(true);
  await turn();
  const early = line.ask("history");
  chat.join(chat.open);
  line.answers("join", joined("a", { head: 9, cursor: 9 }));
  early.answer(null, { messages: [entry("a", 1)], first: 1, head: 1, more: false });
  await turn();
  assert.equal(line.answers("history", { messages: [entry("a", 9)], first: 1, head: 9, more: false }).before, 10);
  await turn();
  assert.deepEqual(chat.open.timeline.rows.map((row) => row.seq), [9]);
});

test("a connection that is stuck behind another tab's write is given up", () => {
  chatWith(info("a"));
  outbox.dispatchEvent(new Event("stuck"));
  assert.equal(line.reconnects, 1);
});
