import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { mayReconnect, retryDelay, Socket } from "../../chat/static/chat/js/socket.js";

/** The browser's class, with the network's side in the test's hands. */
class Wire {
  static opened = [];
  sent = [];
  constructor(url) {
    this.url = url;
    Wire.opened.push(this);
  }
  static get last() {
    return Wire.opened.at(-1);
  }
  send(frame) {
    this.sent.push(frame);
  }
  get packets() {
    return this.sent.flatMap((frame) => frame.split("\n")).map((line) => JSON.parse(line));
  }
  close() {
    this.closed = true;
  }
  says(...packets) {
    this.onmessage({ data: packets.map((packet) => JSON.stringify(packet)).join("\n") });
  }
  welcomes(id = 1) {
    this.says({ event: "connect", data: { sid: "s", namespace: "/chat", user: { id, name: "alice" } } });
  }
  breaks(code = 1006) {
    this.onclose({ code });
  }
}

let socket;
let states;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  Wire.opened = [];
  socket = new Socket("ws://test/ws/chat/", { user: 1, WebSocket: Wire });
  states = [];
  socket.addEventListener("state", ({ detail }) => states.push(detail));
});

afterEach(() => mock.timers.reset());

function online() {
  socket.open();
  Wire.last.welcomes();
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("a connection is online when the server has said connect", () => {
  socket.open();
  assert.equal(socket.state, "connecting");
  Wire.last.welcomes();
  assert.equal(socket.state, "online");
  assert.equal(socket.hello.user.name, "alice");
});

test("calls of one turn share a frame and each gets its own answer", async () => {
  online();
  const first = socket.call("message", { body: "1" });
  const second = socket.call("message", { body: "2" });
  await turn();
  assert.equal(Wire.last.sent.length, 1);
  const [one, two] = Wire.last.packets;
  Wire.last.says({ ack: two.id, data: "second" }, { ack: one.id, data: "first" });
  assert.deepEqual(await Promise.all([first, second]), ["first", "second"]);
});

test("a frame holds at most what the server takes", async () => {
  online();
  for (let i = 0; i < 8; i++) socket.emit("message", { body: "ü".repeat(10_000) });
  await turn();
  assert.ok(Wire.last.sent.every((frame) => Buffer.byteLength(frame) <= 64 * 1024));
  assert.equal(Wire.last.packets.length, 8);
});

test("a packet too large for a frame is refused for good before it is sent", async () => {
  online();
  await assert.rejects(socket.call("message", { body: "\u0001".repeat(16_384) }), {
    code: "too_large",
    temporary: false,
  });
});

test("a refusal rejects with its code and what else the server said", async () => {
  online();
  const call = socket.call("message", {});
  await turn();
  const error = { code: "rate_limited", message: "Too fast.", temporary: true, retry_after: 2 };
  Wire.last.says({ ack: Wire.last.packets[0].id, error });
  await assert.rejects(call, error);
});

test("entries come in the order of the wire, those that follow an ack after its effect", async () => {
  online();
  const seen = [];
  socket.addEventListener("entries", ({ detail }) => seen.push(...detail.map((entry) => entry.seq)));
  socket.send("join", { room: "general" }, () => seen.push("joined"));
  await turn();
  const entry = (seq) => ({ event: "message", room: "general", seq, data: {} });
  Wire.last.says(entry(1), { ack: Wire.last.packets[0].id, data: {} }, entry(2), entry(3));
  assert.deepEqual(seen, [1, "joined", 2, 3]);
});

test("an event for which the server wants an ack gets it", async () => {
  online();
  Wire.last.says({ event: "question", data: {}, id: 7 });
  await turn();
  assert.deepEqual(Wire.last.packets, [{ ack: 7, data: null }]);
});

test("a lost connection rejects what was not answered and is opened again", async () => {
  online();
  const call = socket.call("message", {});
  Wire.last.breaks();
  await assert.rejects(call, { code: "disconnected", temporary: true });
  assert.equal(socket.state, "offline");
  mock.timers.tick(1_000);
  assert.equal(Wire.opened.length, 2);
  Wire.last.welcomes();
  assert.deepEqual(states, ["online", "offline", "online"]);
});

test("while offline a call is refused as temporary", async () => {
  await assert.rejects(socket.call("message", {}), { code: "disconnected", temporary: true });
});

test("the state stays offline from try to try until one succeeds", () => {
  online();
  for (let i = 0; i < 5; i++) {
    Wire.last.breaks();
    mock.timers.tick(20_000);
  }
  assert.deepEqual(states, ["online", "offline"]);
});

test("delays grow to a cap and are jittered at the cap too", () => {
  assert.equal(retryDelay(0, () => 1), 1_000);
  assert.equal(retryDelay(3, () => 1), 8_000);
  assert.equal(retryDelay(50, () => 1), 20_000);
  assert.equal(retryDelay(50, () => 0), 5_000);
});

test("a server that accepts and drops is not hammered", () => {
  online();
  for (let i = 0; i < 6; i++) {
    Wire.last.breaks();
    mock.timers.tick(20_000);
    Wire.last.welcomes();
  }
  const opened = Wire.opened.length;
  Wire.last.breaks();
  mock.timers.tick(4_900);
  assert.equal(Wire.opened.length, opened);
});

test("close codes 4500 to 4999 end it, all others are opened again", () => {
  for (const code of [4500, 4501, 4503, 4509, 4999]) assert.equal(mayReconnect(code), false, code);
  for (const code of [1000, 1001, 1006, 1009, 1012, 4001, 4002, 4003, 4004, 4499, 3000]) {
    assert.equal(mayReconnect(code), true, code);
  }
});

test("an ended connection keeps the server's reason and stays closed", () => {
  online();
  Wire.last.says({ error: { code: "banned", message: "Spam." } });
  Wire.last.breaks(4503);
  mock.timers.tick(60_000);
  assert.equal(Wire.opened.length, 1);
  assert.equal(socket.state, "ended");
  assert.equal(socket.reason.message, "Spam.");
});

test("a person who was ended may come back by hand", () => {
  online();
  Wire.last.breaks(4503);
  socket.reconnect();
  mock.timers.tick(1_000);
  Wire.last.welcomes();
  assert.equal(socket.state, "online");
});

test("a page whose person signed out elsewhere speaks for nobody else", () => {
  online();
  Wire.last.breaks();
  mock.timers.tick(1_000);
  Wire.last.welcomes(2);
  mock.timers.tick(60_000);
  assert.equal(socket.state, "ended");
  assert.equal(socket.reason.code, "other_user");
  assert.equal(Wire.opened.length, 2);
});

test("a connection that never says connect is given up", () => {
  socket.open();
  mock.timers.tick(10_000);
  assert.equal(Wire.opened[0].closed, true);
  assert.equal(socket.state, "offline");
});

test("a silent connection is asked and given up when it does not answer", async () => {
  online();
  mock.timers.tick(30_000);
  await turn();
  assert.equal(Wire.last.packets[0].event, "received");
  mock.timers.tick(8_000);
  assert.equal(socket.state, "offline");
});

test("a silent connection that answers lives on", async () => {
  online();
  mock.timers.tick(30_000);
  await turn();
  Wire.last.says({ ack: Wire.last.packets[0].id, data: null });
  mock.timers.tick(20_000);
  assert.equal(socket.state, "online");
});

test("a call that is never answered ends the connection, however much else comes", async () => {
  online();
  const call = socket.call("message", {});
  for (let i = 0; i < 4; i++) {
    mock.timers.tick(9_000);
    Wire.last.says({ event: "typing", data: {} });
    if (socket.state === "offline") break;
  }
  await assert.rejects(call, { code: "disconnected" });
});

test("waking up asks a connection at once and tries a lost one at once", async () => {
  online();
  socket.wake();
  await turn();
  assert.equal(Wire.last.packets[0].event, "received");
  Wire.last.breaks();
  socket.wake();
  assert.equal(Wire.opened.length, 2);
  mock.timers.tick(2_000);
  assert.equal(Wire.opened.length, 2);
});

test("what a given-up connection still says is not heard", () => {
  online();
  const old = Wire.last;
  socket.reconnect();
  assert.equal(old.onmessage, null);
});
