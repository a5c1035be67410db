import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Board } from "../../chat/static/chat/js/orders/board.js";
import { itemOf, kindOf, pairsOf, summaryOf, textOf } from "../../chat/static/chat/js/orders/items.js";
import { Lanes, PAGE } from "../../chat/static/chat/js/orders/lanes.js";
import { Outbox } from "../../chat/static/chat/js/outbox.js";
import { Refused } from "../../chat/static/chat/js/socket.js";
import { MemoryStore } from "../../chat/static/chat/js/store.js";

const order = (seq, state = "queued", attempts = state === "queued" ? 0 : 1, more = {}) => ({
  queue: "kitchen",
  seq,
  item: `order ${seq}`,
  state,
  attempts,
  worker: null,
  at: "2030-01-01T00:00:00.000Z",
  ...more,
});

const none = { orders: [], more: false };
const seqs = (lanes, state) => lanes.of(state).orders.map(({ seq }) => seq);

function loaded(lists = {}, counts = {}) {
  const lanes = new Lanes();
  lanes.expect();
  lanes.take({ queued: none, leased: none, done: none, dead: none, ...lists }, counts);
  return lanes;
}

// Lanes

test("an order moves from lane to lane, and the counts with it", () => {
  const lanes = loaded();
  lanes.apply(order(1));
  lanes.apply(order(2));
  assert.ok(lanes.apply(order(1, "leased")));
  lanes.apply(order(1, "done"));
  assert.deepEqual(lanes.counts, { queued: 1, leased: 0, done: 1, dead: 0 });
  assert.deepEqual([seqs(lanes, "queued"), seqs(lanes, "leased"), seqs(lanes, "done")], [[2], [], [1]]);
  assert.ok(lanes.exact);
});

test("an order that failed waits again with its attempts, and may die", () => {
  const lanes = loaded();
  for (const news of [order(1), order(1, "leased", 1), order(1, "queued", 1), order(1, "leased", 2)]) lanes.apply(news);
  assert.deepEqual(seqs(lanes, "leased"), [1]);
  lanes.apply(order(1, "dead", 2));
  assert.deepEqual(lanes.counts, { queued: 0, leased: 0, done: 0, dead: 1 });
});

test("a dead order is revived without attempts, or buried and gone", () => {
  const lanes = loaded({ dead: { orders: [order(2, "dead", 5), order(1, "dead", 5)], more: false } }, { dead: 2 });
  assert.ok(lanes.apply(order(1, "queued", 0)));
  lanes.apply(order(2, "buried", 5));
  assert.deepEqual(lanes.counts, { queued: 1, leased: 0, done: 0, dead: 0 });
  assert.equal(lanes.find(2), undefined);
});

test("news that is older than what is known changes nothing", () => {
  const lanes = loaded();
  lanes.apply(order(1, "done", 2));
  for (const old of [order(1), order(1, "leased", 1), order(1, "queued", 1), order(1, "leased", 2), order(1, "done", 2)]) {
    assert.ok(!lanes.apply(old));
  }
  assert.deepEqual(seqs(lanes, "done"), [1]);
});

test("what came while a list was under way is laid on top of it", () => {
  const lanes = loaded();
  lanes.expect();
  lanes.apply(order(3));
  lanes.apply(order(2, "leased"));
  lanes.take({ queued: { orders: [order(2), order(1)], more: false }, leased: none, done: none, dead: none }, { queued: 2 });
  assert.deepEqual([seqs(lanes, "queued"), seqs(lanes, "leased")], [[3, 1], [2]]);
  assert.deepEqual(lanes.counts, { queued: 2, leased: 1, done: 0, dead: 0 });
});

test("an order that a list counted is not counted again by its late news", () => {
  const lanes = loaded();
  lanes.expect();
  for (const seq of [1, 2, 3]) lanes.apply(order(seq));
  lanes.take({ queued: { orders: [order(3)], more: true }, leased: none, done: none, dead: none }, { queued: 3 });
  lanes.apply(order(2));
  assert.equal(lanes.counts.queued, 3);
});

test("counts that were read before late news may be off, and are known to be", () => {
  const lanes = loaded();
  lanes.expect();
  lanes.apply(order(4));
  lanes.take({ queued: { orders: [order(3)], more: false }, leased: none, done: none, dead: none }, { queued: 1 });
  assert.deepEqual(seqs(lanes, "queued"), [4, 3]);
  assert.ok(!lanes.exact);
});

test("an order that moved between two lists stands where the newer one has it", () => {
  const lanes = loaded({ queued: { orders: [order(1)], more: false }, leased: { orders: [order(1, "leased")], more: false } });
  assert.deepEqual([seqs(lanes, "queued"), seqs(lanes, "leased")], [[], [1]]);
});

test("a lane keeps the newest, and older ones are fetched by pages", () => {
  const lanes = loaded({ queued: { orders: [order(50), order(49)], more: true } }, { queued: 50 });
  lanes.apply(order(51));
  lanes.apply(order(3, "queued", 1));
  assert.deepEqual(seqs(lanes, "queued"), [51, 50, 49], "3 lies below what is shown");
  lanes.add("queued", { orders: [order(48), order(47)], more: true, counts: { queued: 51 } });
  assert.deepEqual(seqs(lanes, "queued"), [51, 50, 49, 48, 47]);
  assert.ok(lanes.of("queued").more);
});

test("a flood of orders fills no lane past its bound", () => {
  const lanes = loaded();
  for (let seq = 1; seq <= 500; seq++) lanes.apply(order(seq));
  assert.equal(lanes.of("queued").orders.length, PAGE);
  assert.equal(seqs(lanes, "queued")[0], 500);
  assert.equal(lanes.counts.queued, 500);
});

test("a guess about an order that was not shown is known to be one", () => {
  const lanes = loaded({ queued: { orders: [order(50)], more: true } }, { queued: 30 });
  lanes.apply(order(3, "leased"));
  assert.deepEqual(lanes.counts, { queued: 29, leased: 1, done: 0, dead: 0 });
  assert.ok(!lanes.exact);
  lanes.count({ queued: 29, leased: 1 });
  assert.ok(lanes.exact);
});

test("a lane that lost most of what it shows while older ones are due is thin", () => {
  const many = Array.from({ length: PAGE }, (_, i) => order(100 - i));
  const lanes = loaded({ queued: { orders: many, more: true } }, { queued: 100 });
  assert.ok(!lanes.thin);
  for (const each of many.slice(0, PAGE / 2 + 1)) lanes.apply({ ...each, state: "leased", attempts: 1 });
  assert.ok(lanes.thin);
});

// Items

test("objects and lists are items of JSON, all else is text", () => {
  assert.deepEqual(itemOf(' {"table": 4} '), { table: 4 });
  assert.deepEqual(itemOf("[1, 2]"), [1, 2]);
  assert.equal(itemOf(" 42 "), "42");
  assert.equal(itemOf("{table: 4}"), "{table: 4}");
  assert.deepEqual(["soup", "{}", "{table"].map(kindOf), ["text", "json", "broken"]);
});

test("small flat objects are shown as pairs, others as text", () => {
  assert.deepEqual(pairsOf({ table: 4, dish: "soup", hot: true }), [["table", "4"], ["dish", "soup"], ["hot", "true"]]);
  for (const item of ["soup", 4, null, [1], {}, { a: { b: 1 } }, { a: "x".repeat(100) }]) assert.equal(pairsOf(item), null);
  assert.equal(textOf({ a: { b: 1 } }), '{\n  "a": {\n    "b": 1\n  }\n}');
  assert.equal(summaryOf("one\n two"), "one two");
  assert.equal(summaryOf("x".repeat(100), 10), "xxxxxxxxx…");
});

// The board, on a server in the test's hands

class Server extends EventTarget {
  online = false;
  sent = [];
  answers = {};
  send(event, data, answer) {
    if (!this.online) return answer(new Refused({ code: "disconnected", message: "", temporary: true }));
    const ask = { event, data, answer };
    this.sent.push(ask);
    const reply = this.answers[event]?.(data);
    if (reply instanceof Refused) answer(reply);
    else if (reply !== undefined) answer(null, reply);
  }
  call(event, data = {}) {
    return new Promise((resolve, reject) => this.send(event, data, (error, reply) => (error ? reject(error) : resolve(reply))));
  }
  emit(event, data) {
    if (this.online) this.sent.push({ event, data });
  }
  says(event, data) {
    this.dispatchEvent(new CustomEvent("event", { detail: { event, data } }));
  }
  connects(up = true) {
    this.online = up;
    this.dispatchEvent(new CustomEvent("state"));
  }
  asked(event) {
    return this.sent.filter((ask) => ask.event === event).map((ask) => ask.data);
  }
}

const QUEUE = {
  queue: "kitchen",
  name: "kitchen",
  ordering: "unordered",
  lease_seconds: 30,
  max_attempts: 5,
  counts: { queued: 0, leased: 0, done: 0, dead: 0 },
};
const refused = (code, more = {}) => new Refused({ code, message: code, ...more });

let server;
let orders; // what the server has
let kept; // what the tab has

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  server = new Server();
  orders = [];
  kept = new Map();
  server.answers = {
    queues: () => ({ queues: [QUEUE], more: false }),
    "order:watch": () => ({ counts: QUEUE.counts }),
    "order:list": ({ state, before = Infinity }) => {
      const found = orders.filter((each) => (!state || each.state === state) && each.seq < before);
      const counts = Object.fromEntries(Object.keys(QUEUE.counts).map((key) => [key, orders.filter((each) => each.state === key).length]));
      return { orders: found, counts, more: false };
    },
    "order:work": () => ({ leased: [] }),
    "order:extend": () => ({ lease_until: "" }),
    "order:done": () => ({ duplicate: false }),
    "order:fail": () => ({ state: "queued", attempts: 1 }),
  };
});

afterEach(() => mock.timers.reset());

function newBoard() {
  const outbox = new Outbox({
    user: 1,
    store: new MemoryStore(),
    place: "queue",
    call: (event, data) => server.call(event, data),
    channel: Object.assign(new EventTarget(), { postMessage() {} }),
  });
  const memory = { get: (key) => kept.get(key) ?? null, set: (key, value) => kept.set(key, value) };
  return new Board({ me: { id: 1, name: "alice", staff: false }, socket: server, outbox, memory, queues: [QUEUE] });
}

const settle = async () => {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
};

async function openBoard() {
  const board = newBoard();
  board.show("kitchen");
  server.connects();
  await settle();
  return board;
}

const given = (seq, token = `token ${seq}`, attempts = 1) =>
  server.says("order", { queue: "kitchen", seq, token, attempts, item: `order ${seq}`, lease_until: "" });
const held = (board) => [...board.work.leases.values()].map(({ seq }) => seq);

test("a page lists and watches its queue, and again after each reconnect", async () => {
  orders = [order(1)];
  const board = await openBoard();
  assert.deepEqual(seqs(board.open.lanes, "queued"), [1]);
  server.connects(false);
  orders = [order(2), order(1, "done")]; // the events of which were missed
  server.connects();
  await settle();
  assert.deepEqual([seqs(board.open.lanes, "queued"), seqs(board.open.lanes, "done")], [[2], [1]]);
  assert.equal(server.asked("order:watch").length, 2);
});

test("a quiet look heals what missed events left wrong", async () => {
  const board = await openBoard();
  orders = [order(1, "dead", 5)];
  board.refresh();
  await settle();
  assert.deepEqual(board.open.lanes.counts, { queued: 0, leased: 0, done: 0, dead: 1 });
  assert.equal(server.asked("order:watch").length, 1);
});

test("an order made offline is sent once there is a connection, and stands in its lane by its ack", async () => {
  const board = newBoard();
  const queue = board.show("kitchen");
  await board.order(queue, { dish: "soup" });
  assert.equal(board.unsent(queue).length, 1);
  server.answers["order:create"] = ({ queue }) => ({ queue, seq: 7, duplicate: false });
  server.connects();
  await settle();
  assert.equal(board.unsent(queue).length, 0);
  const [sent] = server.asked("order:create");
  assert.deepEqual([sent.queue, sent.item, Object.keys(sent).sort()], ["kitchen", { dish: "soup" }, ["client_id", "item", "queue"]]);
  assert.deepEqual(seqs(queue.lanes, "queued"), [7]);
});

test("an order that comes before its ack stands there once", async () => {
  const board = await openBoard();
  const { open } = board;
  for (const item of ["soup", "soup"]) await board.order(open, item);
  server.says("order:created", order(1, "queued", 0, { item: "soup" }));
  assert.deepEqual([board.unsent(open).length, seqs(open.lanes, "queued")], [1, [1]]);
  server.connects(false);
  assert.equal(board.unsent(open).length, 2, "whether it was this one is not known");
});

test("the queue that is left is watched no more", async () => {
  const board = await openBoard();
  board.show(null);
  assert.deepEqual(server.asked("leave"), [{ queue: "kitchen" }]);
});

test("a lease is extended three times in its time, as long as it is held", async () => {
  const board = await openBoard();
  board.work.take("kitchen");
  given(1);
  const [lease] = board.work.leases.values();
  mock.timers.tick(10_000);
  assert.deepEqual(server.asked("order:extend"), [{ queue: "kitchen", seq: 1, token: "token 1" }]);
  assert.equal(lease.until, Date.now() + 30_000);
  board.work.done(lease, "hot");
  assert.deepEqual(server.asked("order:done"), [{ queue: "kitchen", seq: 1, token: "token 1", result: "hot" }]);
  mock.timers.tick(60_000);
  assert.equal(server.asked("order:extend").length, 1);
  assert.deepEqual(held(board), []);
});

test("a lease that counts no more is lost, and said to be", async () => {
  const board = await openBoard();
  const lost = [];
  board.work.addEventListener("lost", ({ detail }) => lost.push(detail.lease.seq));
  given(1);
  given(2);
  server.answers["order:extend"] = ({ seq }) => (seq === 1 ? refused("stale_lease") : {});
  mock.timers.tick(10_000);
  assert.deepEqual([held(board), lost], [[2], [1]]);
});

test("after a reconnect work goes on with what is still running", async () => {
  const board = await openBoard();
  board.work.take("kitchen", 3);
  given(1);
  given(2);
  server.connects(false);
  orders = [order(3, "leased", 2)];
  server.answers["order:work"] = () => ({ leased: [{ seq: 2, token: "token 2", attempts: 1 }, { seq: 3, token: "from another tab", attempts: 2 }] });
  server.connects();
  await settle();
  assert.deepEqual(held(board), [2, 3]);
  const { attempts, item } = board.work.leases.get("kitchen:3");
  assert.deepEqual([attempts, item], [2, "order 3"]);
  assert.deepEqual(server.asked("order:work").at(-1), { queue: "kitchen", max_in_flight: 3 });
});

test("what was done while the connection was lost is told before work goes on", async () => {
  const board = await openBoard();
  board.work.take("kitchen");
  given(1);
  server.connects(false);
  board.work.done(board.work.leases.get("kitchen:1"));
  assert.deepEqual(held(board), [1]);
  server.sent = [];
  server.connects();
  await settle();
  const told = server.sent.map(({ event }) => event).filter((event) => ["order:done", "order:work"].includes(event));
  assert.deepEqual(told, ["order:done", "order:work"]);
  assert.deepEqual(held(board), []);
});

test("who rests finishes what is leased and takes no more", async () => {
  const board = await openBoard();
  board.work.take("kitchen");
  given(1);
  board.work.rest("kitchen");
  assert.deepEqual(server.asked("order:rest"), [{ queue: "kitchen" }]);
  assert.deepEqual(held(board), [1]);
  server.connects(false);
  server.connects();
  await settle();
  assert.equal(server.asked("order:work").length, 1);
  assert.equal(server.asked("order:extend").length, 1, "which adopts it for the new connection");
});

test("a tab that was working goes on after a reload", async () => {
  const board = await openBoard();
  board.work.take("kitchen", 2);
  await openBoard();
  assert.deepEqual(server.asked("order:work").at(-1), { queue: "kitchen", max_in_flight: 2 });
});

test("a failure that the server refuses for good is shown, and the order kept", async () => {
  const board = await openBoard();
  given(1);
  server.answers["order:fail"] = () => refused("bad_data");
  board.work.fail(board.work.leases.get("kitchen:1"), "no eggs", 5);
  const [lease] = board.work.leases.values();
  assert.equal(lease.error.code, "bad_data");
  assert.deepEqual(server.asked("order:fail"), [{ queue: "kitchen", seq: 1, token: "token 1", reason: "no eggs", delay: 5 }]);
  mock.timers.tick(10_000);
  assert.deepEqual(held(board), [1]);
});

test("an act refused for a while is tried again", async () => {
  const board = await openBoard();
  given(1);
  server.answers["order:done"] = () => refused("unavailable", { temporary: true, retry_after: 1 });
  board.work.done(board.work.leases.get("kitchen:1"));
  server.answers["order:done"] = () => ({ duplicate: false });
  mock.timers.tick(1_000);
  assert.deepEqual(held(board), []);
});

test("queues are moderated by staff and those who lead them", () => {
  const board = newBoard();
  const queue = board.queues.get("kitchen");
  assert.ok(!board.moderates(queue));
  queue.info.role = "owner";
  assert.ok(board.moderates(queue));
});
