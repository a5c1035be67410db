/**
 * A person's queues in one page: their orders over one socket, new ones through the outbox.
 * Knows nothing of the page; dispatches `queues` (the list), `orders` (`detail` is the Queue
 * whose lanes changed) and `news` (`{queue, act, order}`: what became of an order).
 */

import { LANES, LIMIT, PAGE, Lanes } from "./lanes.js";
import { Work } from "./work.js";

const LONGEST_LIST = 100;
const HEAL_AFTER = 2_000;

class Queue {
  lanes = new Lanes();
  watching = false;
  loading = Promise.resolve();
  error = null; // why it can't be shown

  constructor(info) {
    this.slug = info.queue;
    this.info = info;
  }

  get counts() {
    return this.lanes.loaded ? this.lanes.counts : this.info.counts;
  }
}

export class Board extends EventTarget {
  queues = new Map();
  open = null; // the Queue on the page
  me;

  #socket;
  #outbox;
  #healing = null;
  #met = new Set(); // records whose order has come before their ack

  constructor({ me, socket, outbox, memory, queues }) {
    super();
    this.me = me;
    this.#socket = socket;
    this.#outbox = outbox;
    this.work = new Work({
      socket,
      memory,
      secondsOf: (slug) => this.queues.get(slug)?.info.lease_seconds ?? 30,
      itemOf: (slug, seq) => this.#itemOf(slug, seq),
    });
    for (const info of queues) this.#know(info);
    this.#listen();
  }

  #listen() {
    this.#socket.addEventListener("state", () => this.#connected(this.#socket.online));
    this.#socket.addEventListener("event", ({ detail }) => this.#hear(detail.event, detail.data ?? {}));
    this.#outbox.addEventListener("stuck", () => this.#socket.reconnect());
    this.#outbox.addEventListener("sent", ({ detail }) => this.#stored(detail.record, detail.receipt));
    this.#outbox.addEventListener("change", ({ detail }) => this.#changed(this.queues.get(detail.room)));
  }

  #say(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #changed(queue) {
    if (queue) this.#say("orders", queue);
  }

  #know(info) {
    const known = this.queues.get(info.queue);
    if (known) known.info = { ...known.info, ...info };
    else this.queues.set(info.queue, new Queue(info));
    return this.queues.get(info.queue);
  }

  // Reading

  #connected(up) {
    this.#outbox.online(up);
    this.#met.clear();
    this.work.connected(up);
    for (const queue of this.queues.values()) queue.watching = false;
    if (up) this.refresh();
  }

  /** Everything as the server has it: events come at most once. */
  refresh() {
    if (!this.#socket.online) return;
    this.#refreshQueues().catch(() => {}); // lost again: the next connection asks again
    if (this.open) this.#read(this.open);
  }

  async #refreshQueues() {
    const gone = new Set(this.queues.values()); // but not what is made meanwhile
    let after;
    do {
      const reply = await this.#socket.call("queues", { limit: LONGEST_LIST, ...(after && { after }) });
      for (const info of reply.queues) gone.delete(this.#know(info));
      after = reply.more ? reply.next : null;
    } while (after);
    for (const queue of gone) if (queue !== this.open) this.queues.delete(queue.slug);
    this.#say("queues");
  }

  #read(queue) {
    if (!queue.watching) this.#watch(queue);
    return this.#load(queue).catch((error) => this.#failed(queue, error));
  }

  #watch(queue) {
    queue.watching = true;
    this.#socket.send("order:watch", { queue: queue.slug }, (error) => {
      if (error) queue.watching = false;
    });
  }

  #failed(queue, error) {
    if (error.code === "disconnected") return;
    if (error.temporary) return this.#heal();
    queue.error = error;
    this.#changed(queue);
  }

  /** One list at a time, so that what comes meanwhile is laid on top of the right one. */
  #load(queue) {
    return this.#turn(queue, async () => {
      const pages = await Promise.all(LANES.map((state) => this.#lane(queue, state)));
      const lists = Object.fromEntries(LANES.map((state, i) => [state, pages[i]]));
      queue.error = null;
      queue.lanes.take(lists, lists.queued.counts);
    });
  }

  /** The older ones of a lane. */
  more(queue, state) {
    return this.#turn(queue, async () => {
      const lane = queue.lanes.of(state);
      const before = lane.orders.at(-1)?.seq;
      const limit = Math.min(PAGE, LIMIT - lane.orders.length);
      if (limit > 0) queue.lanes.add(state, await this.#list(queue, { state, limit, ...(before && { before }) }));
    });
  }

  #turn(queue, act) {
    const turn = queue.loading.then(async () => {
      queue.lanes.expect();
      try {
        await act();
      } finally {
        queue.lanes.forget();
      }
      if (!queue.lanes.exact) this.#heal();
      this.#changed(queue);
      this.#say("queues");
    });
    queue.loading = turn.catch(() => {});
    return turn;
  }

  async #lane(queue, state) {
    const { limit } = queue.lanes.of(state);
    const orders = [];
    let page;
    do {
      const before = orders.at(-1)?.seq;
      const most = Math.min(LONGEST_LIST, limit - orders.length);
      page = await this.#list(queue, { state, limit: most, ...(before && { before }) });
      orders.push(...page.orders);
    } while (page.more && page.orders.length && orders.length < limit);
    return { ...page, orders };
  }

  #list(queue, more) {
    return this.#socket.call("order:list", { queue: queue.slug, ...more });
  }

  async #itemOf(slug, seq) {
    const known = this.queues.get(slug)?.lanes.find(seq);
    if (known) return known.item;
    const { orders } = await this.#socket.call("order:list", { queue: slug, before: seq + 1, limit: 1 });
    return orders.find((order) => order.seq === seq)?.item;
  }

  // News

  #hear(event, data) {
    if (event === "order") this.work.given(data);
    else if (event.startsWith("order:") && data.seq) this.#take(event.slice("order:".length), data);
  }

  #take(act, order) {
    const queue = this.queues.get(order.queue);
    if (!queue?.lanes.apply(order)) return;
    if (act === "created") this.#meet(queue, order);
    this.#say("news", { queue, act, order });
    this.#changed(queue);
    if (queue === this.open && (!queue.lanes.exact || queue.lanes.thin)) this.#heal();
  }

  /** Perhaps one's own. Another's of the same words hides it as long as its ack takes. */
  #meet(queue, { item }) {
    const words = JSON.stringify(item);
    const record = this.unsent(queue).find(({ data }) => JSON.stringify(data.item) === words);
    if (record) this.#met.add(record.n);
  }

  #heal() {
    this.#healing ??= setTimeout(() => {
      this.#healing = null;
      if (this.open && this.#socket.online) this.#read(this.open);
    }, HEAL_AFTER);
  }

  /** The outbox has its ack; the event comes, too, where it isn't missed. */
  #stored({ data, at }, { queue, seq }) {
    this.#take("created", { queue, seq, item: data.item, state: "queued", attempts: 0, worker: null, at });
  }

  // What the page asks for

  show(slug) {
    const before = this.open;
    const queue = (this.open = this.queues.get(slug) ?? null);
    if (before && before !== queue && before.watching) {
      before.watching = false;
      this.#socket.emit("leave", { queue: before.slug });
    }
    if (queue && this.#socket.online) this.#read(queue);
    return queue;
  }

  async create(data) {
    const queue = this.#know({ role: "owner", ...(await this.#socket.call("queue:create", data)) });
    this.#say("queues");
    return queue;
  }

  order(queue, item) {
    return this.#outbox.add(queue.slug, "order:create", { item });
  }

  /** What this person ordered and the server has not acknowledged. */
  unsent(queue) {
    return this.#outbox.of(queue.slug).filter(({ n, error }) => error || !this.#met.has(n));
  }

  async revive(queue, { seq }) {
    this.#take("revived", await this.#socket.call("order:revive", { queue: queue.slug, seq }));
  }

  async bury(queue, { seq }) {
    this.#take("buried", await this.#socket.call("order:bury", { queue: queue.slug, seq }));
  }

  moderates({ info }) {
    return this.me.staff || ["owner", "moderator"].includes(info.role);
  }
}
