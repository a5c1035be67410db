import assert from "node:assert/strict";
import { test } from "node:test";

import { Desk, MOST_LINES } from "../../chat/static/chat/js/console/desk.js";
import { Figures, KEPT, PLOTS, areaOf, lineOf, niceCeiling, runs, summed } from "../../chat/static/chat/js/console/figures.js";

const sample = (more = {}) => ({
  stored: 1,
  delivered: 2,
  push: { p50: 1.5, p99: 4 },
  ack: null,
  sockets: { chat: 2, admin: 1 },
  lag: 0,
  ...more,
});

const points = (...values) => values.map((value, i) => ({ at: i * 1000, value }));
const box = { from: 0, to: 4000, top: 10, width: 100, height: 41 };

// Figures

test("figures are kept for a quarter of an hour", () => {
  const figures = new Figures();
  for (let at = 0; at <= KEPT + 5000; at += 1000) figures.add(sample(), at);
  assert.equal(figures.samples.length, KEPT / 1000);
  assert.equal(figures.samples[0].at, 6000);
  assert.equal(figures.last.at, KEPT + 5000);
});

test("a plot has the points of its window alone", () => {
  const figures = new Figures();
  for (let n = 0; n < 10; n += 1) figures.add(sample({ stored: n }), n * 1000);
  const found = figures.points(PLOTS.stored.lines[0], 3000, 9000);
  assert.deepEqual(found.map(({ value }) => value), [7, 8, 9]);
});

test("each plot reads its figures, and nothing where nothing was measured", () => {
  const read = (name) => PLOTS[name].lines.map((line) => line(sample()));
  assert.deepEqual(read("sockets"), [3]);
  assert.deepEqual(read("push"), [1.5, 4]);
  assert.deepEqual(read("ack"), [null, null]);
});

test("the sample nearest to a moment is found", () => {
  const figures = new Figures();
  for (let n = 0; n < 5; n += 1) figures.add(sample({ stored: n }), n * 1000);
  assert.equal(figures.nearest(2400).stored, 2);
  assert.equal(figures.nearest(-100).stored, 0);
  assert.equal(new Figures().nearest(0), undefined);
});

test("mean and most leave out what was not measured", () => {
  assert.deepEqual(summed(points(1, null, 5)), { mean: 3, most: 5 });
  assert.deepEqual(summed(points(null)), { mean: null, most: null });
});

test("an axis ends at a round number", () => {
  const ends = [0, 4, 5, 6, 12, 21, 99, 100, 101, 2500].map((value) => niceCeiling(value, 5));
  assert.deepEqual(ends, [5, 5, 5, 10, 20, 50, 100, 100, 200, 5000]);
  assert.equal(niceCeiling(0.3, 0.1), 0.5);
});

test("a line is interrupted where nothing was measured and where samples are missing", () => {
  assert.deepEqual(runs(points(1, 2, null, 3)).map((run) => run.length), [2, 1]);
  const away = [{ at: 0, value: 1 }, { at: 1000, value: 1 }, { at: 60_000, value: 1 }];
  assert.deepEqual(runs(away).map((run) => run.length), [2, 1]);
});

test("points become a path from the left to the right, with zero at the bottom", () => {
  assert.equal(lineOf(points(0, 5, 10), box), "M0 41L25 21L50 1");
  assert.equal(lineOf(points(null, 5, null), box), "M25 21h.01", "one alone is a dot");
  assert.equal(areaOf(points(0, 10), box), "M0 41L0 41L25 1L25 41Z");
  assert.equal(lineOf([], box), "");
});

// The desk

class Socket extends EventTarget {
  online = false;
  asked = [];
  answers = { stats: { open_reports: 1 } };

  call(event, data) {
    this.asked.push([event, data]);
    return Promise.resolve(this.answers[event] ?? null);
  }

  opens() {
    this.online = true;
    this.dispatchEvent(new CustomEvent("state", { detail: "online" }));
  }

  hears(event, data) {
    this.dispatchEvent(new CustomEvent("event", { detail: { event, data } }));
  }
}

function opened() {
  const socket = new Socket();
  const desk = new Desk({ socket });
  socket.opens();
  return { socket, desk };
}

const heard = (desk, type) => {
  const found = [];
  desk.addEventListener(type, ({ detail }) => found.push(detail));
  return found;
};

test("a connection, and each one after it, asks for all that is live", () => {
  const { socket } = opened();
  const events = ["log:watch", "metrics:watch", "join", "stats"];
  assert.deepEqual(socket.asked.map(([event]) => event), events);
  socket.opens();
  assert.deepEqual(socket.asked.slice(4).map(([event]) => event), events);
});

test("figures that come are kept and told", () => {
  const { socket, desk } = opened();
  const told = heard(desk, "figures");
  socket.hears("metrics", sample({ stored: 7 }));
  assert.equal(told[0].stored, 7);
  assert.equal(desk.figures.last.stored, 7);
});

test("lines of the log are kept up to a bound, and those that say that somebody looks are not", () => {
  const { socket, desk } = opened();
  const told = heard(desk, "line");
  socket.hears("log", { text: "an event", event: "sockets:list", outcome: "ok" });
  socket.hears("log", { text: "an event", event: "lag", outcome: "ok" });
  assert.deepEqual(told, []);
  socket.hears("log", { text: "an event", event: "sockets:list", outcome: "forbidden" });
  socket.hears("log", { text: "an event", event: "user:ban", outcome: "ok" });
  assert.deepEqual(told.map(({ event }) => event), ["sockets:list", "user:ban"]);
  for (let n = 0; n < MOST_LINES; n += 1) socket.hears("log", { text: "a user connected", n });
  assert.equal(desk.lines.length, MOST_LINES);
  assert.equal(desk.lines.at(-1).n, MOST_LINES - 1);
});

test("what is done from here is told once it is done, and what is refused is not", async () => {
  const { socket, desk } = opened();
  const told = heard(desk, "acted");
  await desk.act("user:ban", { user: 3, reason: "spam" });
  assert.deepEqual(told, [{ event: "user:ban", data: { user: 3, reason: "spam" } }]);
  socket.call = () => Promise.reject(new Error("no"));
  await assert.rejects(desk.act("user:ban", {}));
  assert.equal(told.length, 1);
});

test("a report is told as it comes", () => {
  const { socket, desk } = opened();
  const told = heard(desk, "report");
  socket.hears("report", { id: 1, state: "open" });
  assert.deepEqual(told, [{ id: 1, state: "open" }]);
});
