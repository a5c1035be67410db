import assert from "node:assert/strict";
import { test } from "node:test";

import { History } from "../../chat/static/chat/js/history.js";
import { Timeline } from "../../chat/static/chat/js/timeline.js";

const me = { id: 1, name: "alice" };
const message = (seq) => ({
  event: "message",
  room: "room",
  seq,
  at: "2026-01-01T00:00:00.000Z",
  from: me,
  data: { client_id: `c${seq}`, body: `body ${seq}` },
});

/** A server whose log has so many messages. */
function server(head) {
  const asked = [];
  const call = async (event, { before = head + 1, after = null, limit }) => {
    asked.push(event);
    const all = Array.from({ length: head }, (_, at) => at + 1).filter((seq) => seq < before && seq > (after ?? 0));
    const some = after === null ? all.slice(-limit) : all.slice(0, limit);
    return { messages: some.map(message), first: 1, head, more: some.length < all.length };
  };
  return { call, asked };
}

function roomAt(head) {
  const room = { slug: "room", member: true, loading: null, timeline: new Timeline({ me }) };
  room.timeline.start({ seq: head, client_id: `c${head}` }, "e");
  return room;
}

const seqs = (room) => room.timeline.rows.map((row) => row.seq);

test("around a message far back are the ones before and behind it, and nothing else", async () => {
  const history = new History(server(1000).call, () => {});
  const room = roomAt(1000);
  await history.fill(room);
  await history.older(room);
  await history.around(room, 300);
  assert.deepEqual([seqs(room)[0], seqs(room).at(-1)], [251, 350]);
  assert.ok(room.timeline.find(300));
  assert.deepEqual([room.timeline.older, room.timeline.atEnd], [true, false]);
});

test("from there one reads on to the newest, and what came meanwhile is there", async () => {
  const log = server(160);
  const history = new History(log.call, () => {});
  const room = roomAt(150);
  await history.around(room, 60);
  for (let seq = 151; seq <= 160; seq += 1) room.timeline.apply(message(seq));
  assert.equal(seqs(room).at(-1), 110, "new ones are not put behind a gap");
  await history.newer(room);
  assert.equal(room.timeline.atEnd, true);
  assert.deepEqual(seqs(room), Array.from({ length: 150 }, (_, at) => at + 11));
});

test("around what is the newest is the end", async () => {
  const history = new History(server(20).call, () => {});
  const room = roomAt(20);
  await history.around(room, 20);
  assert.deepEqual([seqs(room).length, room.timeline.atEnd, room.timeline.older], [20, true, false]);
});

test("around a message that is no longer kept one reads on behind it", async () => {
  const history = new History(server(0).call, () => {});
  const room = roomAt(0);
  await history.around(room, 5);
  assert.deepEqual(seqs(room), []);
});

test("a room that is just being opened is left for the message, too", async () => {
  const history = new History(server(1000).call, () => {});
  for (const begin of [(room) => history.fill(room), (room) => history.older(room)]) {
    const room = roomAt(1000);
    begin(room);
    await history.around(room, 300);
    assert.ok(room.timeline.find(300));
  }
});
