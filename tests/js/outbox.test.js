import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { newClientId, Outbox } from "../../chat/static/chat/js/outbox.js";
import { MemoryStore } from "../../chat/static/chat/js/store.js";

/** The server's side of the socket: answers in the test's hands, ids kept as the server keeps them. */
class Server {
  log = [];
  asked = [];
  refusals = [];
  answering = true;
  call = (event, data) =>
    new Promise((resolve, reject) => {
      const ask = { event, data, client_id: data.client_id, body: data.body, resolve, reject };
      ask.accept = () => {
        let at = this.log.findIndex((each) => each.client_id === ask.client_id);
        if (at < 0) at = this.log.push(ask) - 1;
        resolve({ room: data.room, seq: at + 1, client_id: ask.client_id });
      };
      this.asked.push(ask);
      if (!this.answering) return;
      const refusal = this.refusals.shift();
      if (refusal) reject(refusal);
      else ask.accept();
    });
  get bodies() {
    return this.log.map((ask) => ask.body);
  }
}

/** Tabs of one browser: each hears what the others post. */
class Channel extends EventTarget {
  static tabs = [];
  constructor() {
    super();
    Channel.tabs.push(this);
  }
  postMessage(data) {
    for (const tab of Channel.tabs) {
      if (tab !== this) tab.dispatchEvent(new MessageEvent("message", { data: structuredClone(data) }));
    }
  }
}

/** Web Locks as far as one name needs them: first come, first served, stolen, given up. */
class Locks {
  holder = null;
  queue = [];
  request(_name, { signal, steal }, hold) {
    return new Promise((resolve, reject) => {
      const ask = { hold, resolve, reject };
      signal?.addEventListener("abort", () => {
        if (!this.queue.includes(ask)) return;
        this.queue = this.queue.filter((each) => each !== ask);
        reject(new Error("AbortError"));
      });
      if (steal && this.holder) {
        this.holder.reject(new Error("AbortError"));
        this.holder = null;
        this.queue.unshift(ask);
      } else this.queue.push(ask);
      this.#grant();
    });
  }
  #grant() {
    if (this.holder || !this.queue.length) return;
    const ask = (this.holder = this.queue.shift());
    ask.hold().then(() => {
      if (this.holder === ask) this.holder = null;
      ask.resolve();
      this.#grant();
    });
  }
}

let server;
let store;
let locks;
let tabs;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  server = new Server();
  store = new MemoryStore();
  locks = new Locks();
  tabs = [];
  Channel.tabs = [];
});

afterEach(() => {
  for (const tab of tabs) tab.close();
  mock.timers.reset();
});

async function tab({ user = 1, call = server.call, up = true } = {}) {
  const outbox = new Outbox({ user, store, call, channel: new Channel(), locks });
  tabs.push(outbox);
  await outbox.open();
  outbox.online(up);
  await settle();
  return outbox;
}

/** Lets everything that waits for promises alone come to rest. */
const settle = async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

const write = (outbox, body, room = "general") => outbox.add(room, "message", { body });

async function later(ms) {
  mock.timers.tick(ms);
  await settle();
}

const refusal = (code, more = {}) =>
  Object.assign(new Error(code), {
    code,
    message: code,
    temporary: ["unavailable", "rate_limited", "disconnected"].includes(code),
    ...more,
  });

test("a write is stored before it is sent and leaves at its ack", async () => {
  server.answering = false;
  const outbox = await tab();
  const record = await write(outbox, "hello");
  assert.equal((await store.all(1)).length, 1);
  await settle();
  server.asked[0].accept();
  await settle();
  assert.equal((await store.all(1)).length, 0);
  assert.equal(outbox.of("general").length, 0);
  assert.equal(server.asked[0].data.client_id, record.client_id);
});

test("what was written offline is sent in order once online", async () => {
  const outbox = await tab({ up: false });
  for (const body of ["one", "two", "three"]) await write(outbox, body);
  assert.equal(outbox.waiting.length, 3);
  outbox.online(true);
  await settle();
  assert.deepEqual(server.bodies, ["one", "two", "three"]);
  assert.equal(outbox.waiting.length, 0);
});

test("a new page sends what a closed one left, with the same client_id", async () => {
  const closed = await tab({ up: false });
  const record = await write(closed, "before the reload");
  closed.close();
  await tab();
  assert.equal(server.log[0].client_id, record.client_id);
});

test("after a lost connection everything unanswered is sent again from the first, in order", async () => {
  server.answering = false;
  const outbox = await tab();
  for (const body of ["one", "two", "three"]) await write(outbox, body);
  await settle();
  server.asked[0].accept(); // its ack is lost below
  server.asked = server.asked.slice(1);
  outbox.online(false);
  for (const ask of server.asked) ask.reject(refusal("disconnected"));
  await settle();
  server.answering = true;
  outbox.online(true);
  await settle();
  assert.deepEqual(server.bodies, ["one", "two", "three"]);
});

test("an ack that was lost leads to no second message", async () => {
  server.answering = false;
  const outbox = await tab();
  await write(outbox, "once");
  await settle();
  server.log.push(server.asked[0]); // committed, but the answer never comes
  outbox.online(false);
  server.asked[0].reject(refusal("disconnected"));
  server.answering = true;
  outbox.online(true);
  await settle();
  assert.deepEqual(server.bodies, ["once"]);
  assert.equal(outbox.waiting.length, 0);
});

test("after a temporary refusal all answers are awaited and the first unanswered one comes first", async () => {
  server.answering = false;
  const outbox = await tab();
  for (const body of ["one", "two", "three"]) await write(outbox, body);
  await settle();
  const [one, two, three] = server.asked;
  one.accept();
  two.reject(refusal("unavailable"));
  await settle();
  await later(60_000);
  assert.equal(server.asked.length, 3, "the third is still unanswered");
  three.reject(refusal("unavailable", { behind: two.client_id }));
  await settle();
  server.answering = true;
  await later(60_000);
  assert.deepEqual(server.bodies, ["one", "two", "three"]);
});

test("retry_after is waited for", async () => {
  server.refusals.push(refusal("rate_limited", { retry_after: 30 }));
  const outbox = await tab();
  await write(outbox, "slowly");
  await settle();
  await later(29_000);
  assert.equal(server.asked.length, 1);
  await later(1_000);
  assert.deepEqual(server.bodies, ["slowly"]);
});

test("a refusal in one room holds back no other", async () => {
  server.refusals.push(refusal("unavailable"));
  const outbox = await tab();
  await write(outbox, "here", "busy");
  await write(outbox, "there", "quiet");
  await settle();
  assert.deepEqual(server.bodies, ["there"]);
});

test("a write refused for good stays, marked with the reason, and blocks nothing", async () => {
  server.refusals.push(refusal("internal", { message: "Reference 4f2a" }));
  const outbox = await tab();
  await write(outbox, "poisoned");
  await write(outbox, "fine");
  await settle();
  assert.deepEqual(server.bodies, ["fine"]);
  const [refused] = outbox.of("general");
  assert.deepEqual([refused.error.code, refused.error.message], ["internal", "Reference 4f2a"]);
  assert.equal(outbox.waiting.length, 0);
  await later(60_000);
  assert.equal(server.asked.length, 2, "not tried again by itself");
});

test("a refused write is shown to a new page too", async () => {
  server.refusals.push(refusal("muted"));
  await write(await tab(), "hush");
  await settle();
  const again = await tab();
  assert.equal(again.of("general")[0].error.code, "muted");
});

test("a refused write can be tried again with its client_id, or discarded", async () => {
  server.refusals.push(refusal("muted"), refusal("muted"));
  const outbox = await tab();
  await write(outbox, "again");
  await write(outbox, "away");
  await settle();
  const [again, away] = outbox.of("general");
  await outbox.discard(away);
  await outbox.retry(again);
  await settle();
  assert.deepEqual(server.bodies, ["again"]);
  assert.equal(server.log[0].client_id, again.client_id);
  assert.equal((await store.all(1)).length, 0);
});

test("of several tabs one sends and all show", async () => {
  const calls = [0, 0];
  const counting = (i) => (event, data) => {
    calls[i] += 1;
    return server.call(event, data);
  };
  server.answering = false;
  const first = await tab({ call: counting(0) });
  const second = await tab({ call: counting(1) });
  await write(second, "from the second");
  await settle();
  assert.deepEqual(calls, [1, 0]);
  assert.equal(first.of("general").length, 1);
  assert.equal(second.of("general").length, 1);
  const sent = new Promise((resolve) => second.addEventListener("sent", resolve));
  server.asked[0].accept();
  assert.equal((await sent).detail.receipt.seq, 1);
  await settle();
  assert.equal(second.of("general").length, 0);
});

test("when the sending tab closes or loses its connection another one takes over", async () => {
  const first = await tab();
  const second = await tab();
  assert.deepEqual([first.sending, second.sending], [true, false]);
  first.online(false);
  await settle();
  assert.deepEqual([first.sending, second.sending], [false, true]);
  await write(first, "handed over");
  await settle();
  assert.deepEqual(server.bodies, ["handed over"]);
});

test("a tab that sleeps with the lock in its hand is robbed of it", async () => {
  const asleep = await tab({ call: () => new Promise(() => {}) });
  const awake = await tab();
  await write(awake, "wake up");
  await settle();
  assert.deepEqual(server.bodies, []);
  await later(10_000);
  assert.deepEqual(server.bodies, ["wake up"]);
  assert.equal(asleep.sending, false);
});

test("a write of which no tab was told is found", async () => {
  await tab();
  const data = { room: "general", client_id: newClientId(), body: "orphan" };
  await store.add({ user: 1, room: "general", event: "message", client_id: data.client_id, data });
  await later(10_000);
  assert.deepEqual(server.bodies, ["orphan"]);
});

test("two people on one browser do not mix", async () => {
  const alice = await tab({ user: 1, up: false });
  await write(alice, "alice's");
  const bob = await tab({ user: 2 });
  assert.equal(bob.of("general").length, 0);
  assert.deepEqual(server.bodies, []);
});

test("a connection on which a write can never come again is reported as stuck", async () => {
  server.refusals.push(refusal("unavailable", { behind: "sent-by-another-tab" }));
  const outbox = await tab();
  const stuck = new Promise((resolve) => outbox.addEventListener("stuck", resolve));
  await write(outbox, "behind");
  await stuck;
});

test("who is kept out has all that waits refused, in every tab, and what is tried again too", async () => {
  server.answering = false;
  const one = await tab();
  const other = await tab();
  await write(one, "under way");
  one.online(false);
  other.online(false);
  server.asked[0].reject(refusal("disconnected"));
  await write(one, "waiting");
  one.refuse(refusal("banned", { reason: "spam" }));
  await settle();
  assert.deepEqual(other.refused.map(({ error }) => [error.code, error.reason]), [["banned", "spam"], ["banned", "spam"]]);
  assert.equal(one.waiting.length, 0);
  await one.retry(one.refused[0]);
  await settle();
  assert.equal(one.refused.length, 2);
  assert.deepEqual((await store.all(1)).map((record) => record.error.code), ["banned", "banned"]);
});

test("what was refused while its writer was kept out goes when they try again later", async () => {
  const outbox = await tab({ up: false });
  await write(outbox, "now?");
  outbox.refuse(refusal("banned"));
  await settle();
  outbox.online(true);
  await settle();
  assert.deepEqual(server.bodies, [], "not by itself");
  await outbox.retry(outbox.refused[0]);
  await settle();
  assert.deepEqual(server.bodies, ["now?"]);
});

test("a write that has got through is not refused after all", async () => {
  server.answering = false;
  const outbox = await tab();
  await write(outbox, "just in time");
  await settle();
  server.asked[0].accept();
  outbox.refuse(refusal("banned"));
  await settle();
  assert.deepEqual([outbox.refused.length, (await store.all(1)).length], [0, 0]);
});

test("in slow mode a write waits, says so, and goes by itself", async () => {
  server.refusals.push(refusal("rate_limited", { retry_after: 30, slow_mode: 30 }));
  const outbox = await tab();
  const held = new Promise((resolve) => outbox.addEventListener("held", ({ detail }) => resolve(detail)));
  await write(outbox, "patience");
  const { room, refusal: why } = await held;
  assert.deepEqual([room, why.slow_mode, outbox.paused], ["general", 30, true]);
  await settle();
  await later(29_000);
  assert.deepEqual(server.bodies, []);
  await later(2_000);
  assert.deepEqual(server.bodies, ["patience"]);
});

test("a write that waits for slow mode goes when that was turned off", async () => {
  server.refusals.push(refusal("rate_limited", { retry_after: 3600, slow_mode: 3600 }));
  const outbox = await tab();
  await write(outbox, "at last");
  await settle();
  outbox.hurry("general");
  await later(2_000);
  assert.deepEqual(server.bodies, ["at last"]);
  outbox.hurry("general");
  outbox.hurry("elsewhere");
});

test("many writes go in order with a bounded number in flight", async () => {
  server.answering = false;
  const outbox = await tab();
  for (let i = 0; i < 100; i++) await write(outbox, `${i}`);
  await settle();
  assert.equal(server.asked.length, 32);
  server.answering = true;
  for (const ask of server.asked) ask.accept();
  await settle();
  assert.deepEqual(server.bodies, Array.from({ length: 100 }, (_, i) => `${i}`));
});

test("a client_id is a UUID also where the page is not in a secure context", () => {
  assert.match(newClientId(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
