/**
 * What this person wrote and the server has not yet acknowledged, over all tabs of a browser.
 *
 * A write is in the store before it is first sent and leaves it at its ack. One tab sends (it
 * holds the lock, and only while it is online); the others hand over through the store and the
 * channel. In a room writes are sent in order. When one is refused for a while, all answers
 * under way are awaited and everything is sent again from the first unanswered one; a write
 * refused for good stays, marked, until its writer tries again or discards it.
 *
 * Dispatches `change` (`{room}`), `sent` (`{record, receipt}`), `refused` (a record), `held`
 * (`{room, refusal}`: for a while) and `stuck`.
 */

import { retryDelay } from "./socket.js";

const IN_FLIGHT = 32; // a room and tab; the server works on 64 of a socket at a time
const LOOK_AGAIN = 10_000;

/** `crypto.randomUUID` exists in secure contexts alone; a server on a home network is none. */
export function newClientId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Without Web Locks (plain http) every tab sends. The client_id makes that harmless. */
const NO_LOCKS = { request: (_name, _options, hold) => hold() };

export class Outbox extends EventTarget {
  #user;
  #store;
  #channel;
  #locks;
  #call;
  #place;
  #records = [];
  #online = false;
  #refusal = null; // of everything, until there is a connection again
  #release = null; // ends this tab's turn at sending
  #waiting = null; // the AbortController of a tab that asked for the lock
  #lanes = new Map();
  #movedAt = Date.now();
  #timer = null;

  /** `call(event, data)` is the socket's; `channel` a BroadcastChannel of this person's tabs;
   * `place` is what the wire calls a room. */
  constructor({ user, store, call, channel, place = "room", locks = NO_LOCKS }) {
    super();
    this.#user = user;
    this.#store = store;
    this.#call = call;
    this.#place = place;
    this.#channel = channel;
    this.#locks = locks;
    channel.addEventListener("message", ({ data }) => this.#hear(data));
  }

  get durable() {
    return this.#store.durable;
  }

  get sending() {
    return this.#release !== null;
  }

  /** Not yet acknowledged and not refused. */
  get waiting() {
    return this.#records.filter((record) => !record.error);
  }

  /** Refused for good: its writer tries again or discards it. */
  get refused() {
    return this.#records.filter((record) => record.error);
  }

  /** All that waits is held back for a while, as in a room in slow mode. */
  get paused() {
    return this.waiting.every(({ room }) => this.#lanes.get(room)?.held);
  }

  of(room) {
    return this.#records.filter((record) => record.room === room);
  }

  async open() {
    await this.refresh();
    this.#timer = setInterval(() => this.#look(), LOOK_AGAIN);
  }

  close() {
    clearInterval(this.#timer);
    this.online(false);
  }

  /** Takes what another tab stored and could no longer tell about. */
  async refresh() {
    const stored = await this.#store.all(this.#user);
    const known = new Set(this.#records.map((record) => record.n));
    for (const record of stored) if (!known.has(record.n)) this.#take(record);
    const kept = new Set(stored.map((record) => record.n));
    for (const record of [...this.#records]) if (!kept.has(record.n)) this.#drop(record);
    this.#pump();
  }

  /** Resolves when the write is kept; it is sent now, or whenever it can be. */
  async add(room, event, data) {
    const client_id = newClientId();
    const record = await this.#store.add({
      user: this.#user,
      room,
      event,
      client_id,
      data: { [this.#place]: room, client_id, ...data },
      at: new Date().toISOString(),
    });
    this.#tell({ took: record });
    return record;
  }

  /** Sends a refused write once more, behind everything written since. */
  async retry(record) {
    await this.#store.remove(record);
    this.#tell({ dropped: record });
    const { n: _n, error: _error, ...again } = record;
    this.#tell({ took: await this.#store.add(again) });
  }

  async discard(record) {
    await this.#store.remove(record);
    this.#tell({ dropped: record });
  }

  /** The socket is up (or gone). Only a tab that is online asks for the lock. */
  online(up) {
    if (up === this.#online) return;
    this.#online = up;
    if (up) this.#refusal = null;
    if (up) this.#compete();
    else this.#stop();
  }

  /** What made a room wait may be over. */
  hurry(room) {
    const lane = this.#lanes.get(room);
    if (!lane?.held) return;
    lane.wait = lane.attempt = 0;
    if (!lane.flying.size) this.#resume(lane);
  }

  /** The server takes nothing more of this person: what waits is refused, and shown so. */
  refuse(refusal) {
    this.#refusal = refusal;
    this.#pump();
  }

  // Tabs

  #tell(news) {
    this.#channel.postMessage(news);
    this.#hear(news);
  }

  #hear({ took, dropped, receipt, refused }) {
    if (took) this.#take(took);
    if (refused) this.#mark(refused);
    if (dropped) this.#drop(dropped, receipt);
    if (took) this.#pump();
  }

  #take(record) {
    if (this.#records.some((known) => known.n === record.n)) return;
    this.#records.push(record);
    this.#records.sort((a, b) => a.n - b.n);
    this.#changed(record);
  }

  #mark(record) {
    const known = this.#records.find((each) => each.n === record.n);
    if (known) known.error = record.error;
    this.dispatchEvent(new CustomEvent("refused", { detail: record }));
    this.#changed(record);
  }

  #drop(record, receipt) {
    this.#records = this.#records.filter((known) => known.n !== record.n);
    if (receipt) this.dispatchEvent(new CustomEvent("sent", { detail: { record, receipt } }));
    this.#changed(record);
  }

  #changed({ room }) {
    this.#movedAt = Date.now();
    this.dispatchEvent(new CustomEvent("change", { detail: { room } }));
  }

  #compete(options = {}) {
    const asked = (this.#waiting = new AbortController());
    if (!options.steal) options = { ...options, signal: asked.signal };
    const hold = () =>
      new Promise((release) => {
        if (asked !== this.#waiting) return release();
        this.#release = release;
        this.#lanes = new Map();
        this.refresh();
      });
    Promise.resolve(this.#locks.request(`chatsite-outbox-${this.#user}`, options, hold)).catch(() => {
      // Given up by this tab, or stolen from it by one that saw nothing move.
      if (asked !== this.#waiting) return;
      this.#stop();
      if (this.#online) this.#compete();
    });
  }

  #stop() {
    this.#waiting?.abort();
    this.#waiting = null;
    this.#release?.();
    this.#release = null;
    for (const lane of this.#lanes.values()) clearTimeout(lane.timer);
    this.#lanes = new Map();
  }

  /** Heals what tabs can do to each other: news that was never told, and a tab that went to
   * sleep with the lock in its hand. */
  async #look() {
    await this.refresh();
    const stale = Date.now() - this.#movedAt >= LOOK_AGAIN;
    if (this.#online && !this.sending && stale && this.waiting.length) {
      this.#movedAt = Date.now();
      this.#waiting?.abort();
      this.#compete({ steal: true });
    }
  }

  // Sending

  #pump() {
    if (this.#refusal) for (const record of this.waiting) this.#refuse(record, this.#refusal);
    if (!this.sending) return;
    for (const record of this.waiting) {
      const lane = this.#lane(record.room);
      if (lane.held || lane.flying.size >= IN_FLIGHT || lane.flying.has(record.n)) continue;
      lane.flying.add(record.n);
      this.#send(record, lane);
    }
  }

  #lane(room) {
    if (!this.#lanes.has(room)) this.#lanes.set(room, { flying: new Set(), held: false, attempt: 0, wait: 0 });
    return this.#lanes.get(room);
  }

  async #send(record, lane) {
    const { receipt, refusal } = await this.#call(record.event, record.data).then(
      (receipt) => ({ receipt }),
      (refusal) => ({ refusal }),
    );
    if (receipt) await this.#accept(record, receipt, lane);
    else if (!refusal.temporary) await this.#refuse(record, refusal);
    lane.flying.delete(record.n);
    if (lane !== this.#lanes.get(record.room)) return; // another connection's
    if (refusal?.temporary) this.#hold(lane, refusal, record.room);
    if (lane.held && !lane.flying.size) this.#resume(lane);
    this.#pump();
  }

  async #accept(record, receipt, lane) {
    lane.attempt = 0;
    await this.#store.remove(record).catch(() => {}); // sent again by a later page, and known there
    this.#tell({ dropped: record, receipt });
  }

  async #refuse(record, refusal) {
    if (!this.#records.some(({ n }) => n === record.n)) return; // it has got through after all
    const refused = { ...record, error: { ...refusal, message: refusal.message } };
    await this.#store.put(refused).catch(() => {}); // tried, and refused, again by a later page
    this.#tell({ refused });
  }

  #hold(lane, refusal, room) {
    lane.held = true;
    lane.wait = Math.max(lane.wait, (refusal.retry_after ?? 0) * 1000);
    this.dispatchEvent(new CustomEvent("held", { detail: { room, refusal } }));
    const { behind } = refusal;
    if (behind && !this.#records.some((record) => record.client_id === behind && record.room === room)) {
      // Another tab got that one through: on this connection it will never come again.
      this.dispatchEvent(new Event("stuck"));
    }
  }

  #resume(lane) {
    const wait = Math.max(lane.wait, retryDelay(lane.attempt++));
    lane.wait = 0;
    clearTimeout(lane.timer);
    lane.timer = setTimeout(() => {
      lane.held = false;
      this.#pump();
    }, wait);
  }
}
