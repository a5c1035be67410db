import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Received } from "../../chat/static/chat/js/received.js";

let told;
let received;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  told = [];
  received = new Received((data) => told.push(data));
});

afterEach(() => mock.timers.reset());

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("the first entry after a quiet time is told at once", async () => {
  received.upto("general", 1);
  await turn();
  assert.deepEqual(told, [{ general: 1 }]);
});

test("then at most once a second, with the highest seq of each room", async () => {
  received.upto("general", 1);
  await turn();
  for (const seq of [2, 3, 4]) received.upto("general", seq);
  received.upto("random", 9);
  await turn();
  assert.equal(told.length, 1);
  mock.timers.tick(1_000);
  assert.deepEqual(told[1], { general: 4, random: 9 });
});

test("every 64 entries are told without waiting", async () => {
  received.upto("general", 1);
  await turn();
  for (let seq = 2; seq <= 65; seq++) received.upto("general", seq);
  assert.deepEqual(told[1], { general: 65 });
});

test("entries of one frame are told together", async () => {
  for (let seq = 1; seq <= 20; seq++) received.upto("general", seq);
  await turn();
  assert.deepEqual(told, [{ general: 20 }]);
});

test("an unordered room's entries are told one by one, as a list", async () => {
  for (const seq of [3, 1, 3]) received.each("bag", seq);
  await turn();
  assert.deepEqual(told, [{ bag: [3, 1] }]);
});

test("an older seq never replaces a newer one", async () => {
  received.upto("general", 5);
  received.upto("general", 3);
  await turn();
  assert.deepEqual(told, [{ general: 5 }]);
});

test("what belonged to a lost connection is forgotten", async () => {
  received.upto("general", 1);
  received.clear();
  await turn();
  assert.deepEqual(told, []);
});
