/**
 * What this page works on: orders that were leased to it, kept by extending their leases.
 *
 * What was done or failed is told until the server has answered, over lost connections too; a
 * token counts as long as nobody else was given the order. Dispatches `change`, `given`, `lost`
 * (`{lease}`) where an order has gone back to its queue, and `refused` (`{queue, error}`).
 */

const EXTENDS = 3; // in the time of a lease
const AGAIN = 2_000;

export class Work extends EventTarget {
  taking = new Map(); // queue → how many at a time
  leases = new Map(); // "queue:seq" → {queue, seq, token, attempts, item, until, total, settling, error}

  #socket;
  #memory;
  #secondsOf;
  #itemOf;
  #timers = new Map();

  /** `memory` keeps what this tab takes over a reload; `secondsOf(queue)` is how long its leases
   * are; `itemOf(queue, seq)` resolves to what was ordered. */
  constructor({ socket, memory, secondsOf, itemOf }) {
    super();
    this.#socket = socket;
    this.#memory = memory;
    this.#secondsOf = secondsOf;
    this.#itemOf = itemOf;
    this.taking = new Map(memory.get("taking") ?? []);
  }

  take(queue, most = 1) {
    this.#takes(queue, most);
    this.#ask(queue);
  }

  /** Finishes what is leased, takes no more. */
  rest(queue) {
    this.#takes(queue, 0);
    this.#socket.emit("order:rest", { queue });
  }

  done(lease, result) {
    this.#settle(lease, "order:done", result === undefined ? {} : { result });
  }

  fail(lease, reason, delay) {
    this.#settle(lease, "order:fail", { reason, ...(delay && { delay }) });
  }

  // The connection

  connected(up) {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    if (!up) return;
    for (const lease of this.leases.values()) if (lease.settling) this.#tell(lease);
    for (const queue of this.taking.keys()) this.#ask(queue);
    for (const lease of this.leases.values()) if (!this.taking.has(lease.queue)) this.#extend(lease);
  }

  /** An order that the server gave out. */
  given({ queue, seq, token, attempts, item }) {
    const total = this.#secondsOf(queue) * 1000;
    this.#hold({ queue, seq, token, attempts, item, total, until: Date.now() + total });
    this.dispatchEvent(new CustomEvent("given", { detail: { queue, seq, item } }));
  }

  #takes(queue, most) {
    if (most) this.taking.set(queue, most);
    else this.taking.delete(queue);
    this.#memory.set("taking", this.taking.size ? [...this.taking] : null);
    this.#changed();
  }

  /** Leases of this person that are still running are answered; more work comes as `order`. */
  #ask(queue) {
    const max_in_flight = this.taking.get(queue);
    this.#socket.send("order:work", { queue, max_in_flight }, (error, answer) => {
      if (!error) return this.#resume(queue, answer.leased);
      if (error.temporary) return this.#later(queue, error, () => this.taking.has(queue) && this.#ask(queue));
      this.#takes(queue, 0);
      this.dispatchEvent(new CustomEvent("refused", { detail: { queue, error } }));
    });
  }

  #resume(queue, running) {
    const tokens = new Set(running.map(({ token }) => token));
    for (const lease of this.#of(queue)) if (!tokens.has(lease.token) && !lease.settling) this.#lose(lease);
    for (const lease of running) {
      const known = this.leases.get(keyOf({ queue, ...lease }));
      if (known?.token !== lease.token) this.#adopt({ queue, ...lease });
      else if (!known.settling) this.#extend(known);
    }
  }

  /** One of this person's that another page or connection was given. */
  async #adopt(lease) {
    const { queue, seq } = lease;
    try {
      const item = "item" in lease ? lease.item : await this.#itemOf(queue, seq);
      if (this.leases.get(keyOf(lease))?.token === lease.token) return;
      this.given({ ...lease, item });
      this.#extend(this.leases.get(keyOf(lease)));
    } catch {
      // Lost again: the next connection asks again.
    }
  }

  #of(queue) {
    return [...this.leases.values()].filter((lease) => lease.queue === queue);
  }

  // One lease

  #hold(lease) {
    this.leases.set(keyOf(lease), { settling: null, error: null, ...lease });
    this.#extendLater(this.leases.get(keyOf(lease)));
    this.#changed();
  }

  #drop(lease) {
    if (this.leases.get(keyOf(lease)) !== lease) return;
    this.leases.delete(keyOf(lease));
    clearTimeout(this.#timers.get(keyOf(lease)));
    this.#changed();
  }

  #lose(lease) {
    this.#drop(lease);
    this.dispatchEvent(new CustomEvent("lost", { detail: { lease } }));
  }

  #extendLater(lease, wait = lease.total / EXTENDS) {
    this.#start(keyOf(lease), wait, () => this.#extend(lease));
  }

  #extend(lease) {
    const { queue, seq, token, total } = lease;
    const asked = Date.now();
    this.#socket.send("order:extend", { queue, seq, token }, (error) => {
      if (this.leases.get(keyOf(lease)) !== lease || lease.settling) return;
      if (error && !error.temporary) return this.#lose(lease);
      if (error) return this.#socket.online && this.#extendLater(lease, Math.min(AGAIN, total / EXTENDS));
      lease.until = asked + total;
      this.#extendLater(lease);
      this.#changed();
    });
  }

  #settle(lease, event, data) {
    const { queue, seq, token } = lease;
    lease.settling = { event, data: { queue, seq, token, ...data } };
    lease.error = null;
    clearTimeout(this.#timers.get(keyOf(lease)));
    this.#changed();
    this.#tell(lease);
  }

  #tell(lease) {
    const { event, data } = lease.settling;
    this.#socket.send(event, data, (error) => {
      if (!error) return this.#drop(lease);
      if (error.code === "stale_lease") return this.#lose(lease);
      if (error.temporary) return this.#later(keyOf(lease), error, () => this.#tell(lease));
      Object.assign(lease, { settling: null, error });
      this.#extend(lease);
      this.#changed();
    });
  }

  /** Refused for a while. Where the connection was lost, the next one asks again. */
  #later(key, { code, retry_after }, act) {
    if (code !== "disconnected") this.#start(key, retry_after === undefined ? AGAIN : retry_after * 1000, act);
  }

  #start(key, wait, act) {
    clearTimeout(this.#timers.get(key));
    this.#timers.set(key, setTimeout(act, wait));
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

const keyOf = ({ queue, seq }) => `${queue}:${seq}`;
