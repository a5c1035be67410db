/**
 * Gathers what has been received: told at once when it has been quiet, then at most once a
 * second or every 64 entries. Ordered rooms: everything up to a seq; unordered ones: a list.
 */

const EVERY = 1_000;
const ENTRIES = 64;

export class Received {
  #tell;
  #rooms = new Map();
  #count = 0;
  #timer = null;

  /** `tell({ROOM: SEQ | [SEQ, …]})` */
  constructor(tell) {
    this.#tell = tell;
  }

  upto(room, seq) {
    this.#rooms.set(room, Math.max(seq, this.#rooms.get(room) ?? 0));
    this.#note();
  }

  each(room, seq) {
    if (!this.#rooms.has(room)) this.#rooms.set(room, new Set());
    this.#rooms.get(room).add(seq);
    this.#note();
  }

  /** Another connection: what was sent on the last one can't be acknowledged on it. */
  clear() {
    this.#rooms.clear();
    this.#count = 0;
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Once per turn of the event loop at the earliest, so that a frame's entries go together. */
  #note() {
    this.#count += 1;
    if (this.#count === 1 && !this.#timer) queueMicrotask(() => this.#timer || this.#flush());
    else if (this.#count >= ENTRIES) this.#flush();
  }

  #flush() {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#rooms.size) return;
    const data = {};
    for (const [room, upto] of this.#rooms) data[room] = upto instanceof Set ? [...upto] : upto;
    this.#rooms.clear();
    this.#count = 0;
    this.#timer = setTimeout(() => this.#flush(), EVERY);
    this.#tell(data);
  }
}
