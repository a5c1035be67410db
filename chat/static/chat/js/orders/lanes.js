/**
 * The orders of one queue in their lanes: the newest of each, and how many there are.
 *
 * Lists show how things stood when the server read them; events tell what changed since, at
 * most once each and now and then out of order. An event older than what is known is dropped,
 * and events that came while a list was under way are applied on top of it.
 */

export const LANES = ["queued", "leased", "done", "dead"];
export const PAGE = 20;
export const LIMIT = 300;

/** Within an attempt: leased, then perhaps queued again, then done or dead (or buried). */
const RANK = { leased: 0, queued: 1, done: 2, dead: 2, buried: 3 };
/** Where an order comes from that this page did not show. */
const BEFORE = { queued: "leased", leased: "queued", done: "leased", dead: "leased", buried: "dead" };

class Lane {
  orders = []; // the newest first
  limit = PAGE;
  more = false; // there are older ones than the last

  put(order) {
    const at = this.#place(order.seq);
    if (at === this.orders.length && this.more) return;
    this.orders.splice(at, 0, order);
    if (this.orders.length <= this.limit) return;
    this.orders.splice(this.limit);
    this.more = true;
  }

  drop({ seq }) {
    this.orders = this.orders.filter((order) => order.seq !== seq);
  }

  #place(seq) {
    const at = this.orders.findIndex((order) => order.seq < seq);
    return at < 0 ? this.orders.length : at;
  }
}

export class Lanes {
  counts = Object.fromEntries(LANES.map((state) => [state, 0]));
  /** Whether the counts are the server's, or may be off by what this page could not see. */
  exact = false;
  loaded = false;

  #lanes = new Map(LANES.map((state) => [state, new Lane()]));
  #late = null; // orders whose news came while a list was under way
  #listed = 0; // the newest that was queued by the last list: up to here all new orders are counted

  of(state) {
    return this.#lanes.get(state);
  }

  find(seq) {
    for (const { orders } of this.#lanes.values()) {
      const found = orders.find((order) => order.seq === seq);
      if (found) return found;
    }
    return undefined;
  }

  /** An order as it stands now. → whether that is news: it was not known, nor is anything newer. */
  apply(order) {
    this.#late?.push(order);
    const known = this.find(order.seq);
    if (known && !isNewer(known, order)) return false;
    const isFirst = !known && !order.attempts;
    if (isFirst && order.seq <= this.#listed) return false;
    const from = isFirst ? undefined : (known?.state ?? BEFORE[order.state]);
    if (known) this.of(known.state).drop(known);
    else if (!isFirst) this.exact = false;
    this.of(order.state)?.put(order);
    this.#count(from, -1);
    this.#count(order.state, 1);
    return true;
  }

  #count(state, by) {
    if (state in this.counts) this.counts[state] = Math.max(0, this.counts[state] + by);
  }

  // Lists

  /** Call before asking for lists, and `take` with the answers (or `forget` without). */
  expect() {
    this.#late = [];
  }

  forget() {
    this.#late = null;
  }

  /** `{STATE: {orders, more}}` of all lanes, and how many there are by the answer for those that are queued. */
  take(lists, counts) {
    const newest = new Map();
    for (const order of LANES.flatMap((state) => lists[state].orders)) {
      const other = newest.get(order.seq); // it moved between one answer and the next
      if (!other || isNewer(other, order)) newest.set(order.seq, order);
    }
    for (const state of LANES) {
      const lane = this.of(state);
      lane.orders = lists[state].orders.filter((order) => newest.get(order.seq) === order);
      lane.more = lists[state].more;
    }
    this.#listed = lists.queued.orders[0]?.seq ?? 0;
    this.loaded = true;
    this.count(counts);
    this.#applyLate();
  }

  /** One more page of a lane, asked for with `before` the last. */
  add(state, { orders, more, counts }) {
    const lane = this.of(state);
    lane.limit = Math.min(LIMIT, lane.orders.length + orders.length);
    lane.more = false;
    for (const order of orders) if (!this.find(order.seq)) lane.put(order);
    lane.more = more;
    this.count(counts);
    this.#applyLate();
  }

  count(counts) {
    for (const state of LANES) this.counts[state] = counts[state] ?? 0;
    this.exact = true;
  }

  #applyLate() {
    const late = this.#late ?? [];
    this.#late = null;
    for (const order of late) this.apply(order);
    if (late.length) this.exact = false;
  }

  /** Fewer are shown than could be: others have left this lane, and older ones are due. */
  get thin() {
    return LANES.some((state) => this.of(state).more && this.of(state).orders.length < this.of(state).limit / 2);
  }
}

/** Whether `next` comes after `known` in the life of the same order. */
function isNewer(known, next) {
  if (known.state === "dead" && next.state === "queued" && !next.attempts) return true; // revived
  if (known.attempts !== next.attempts) return next.attempts > known.attempts;
  return RANK[next.state] > RANK[known.state];
}
