/**
 * One WebSocket that speaks "lines": JSON packets, one a line, several to a frame.
 *
 * It opens itself again after every loss, with a jittered and growing delay, until the server
 * says not to (close codes 4500–4999). Dispatches `state`, `entries` (entries of rooms, in the
 * order of the wire), and `event` (everything without history).
 */

const FIRST_RETRY = 1_000;
const LAST_RETRY = 20_000;
const SETTLED_AFTER = 5_000; // a connection that lived this long starts the delays anew
const CONNECT_WITHIN = 10_000;
const PROBE_AFTER = 30_000; // of silence
const PROBE_WITHIN = 8_000;
const ANSWER_WITHIN = 25_000;
const FRAME_LIMIT = 60_000; // the server takes 64 KiB

/** A refusal by the server (or for want of a connection): `code`, `message`, `temporary`, … */
export class Refused extends Error {
  constructor(error) {
    super(error.message);
    Object.assign(this, { temporary: false }, error);
  }
}

/** Milliseconds before attempt number `attempt`. Jittered at its cap too: a thousand pages
 * that lost one server must not come back in step. */
export function retryDelay(attempt, random = Math.random) {
  const ceiling = Math.min(LAST_RETRY, FIRST_RETRY * 2 ** attempt);
  return ceiling * (0.25 + 0.75 * random());
}

export function mayReconnect(code) {
  return code < 4500 || code > 4999;
}

const disconnected = () =>
  new Refused({ code: "disconnected", message: "The connection was lost.", temporary: true });

export const byteLength = (text) => new TextEncoder().encode(text).length;

export class Socket extends EventTarget {
  /** "connecting" (never was online), "online", "offline" (trying again), "ended" (for good) */
  state = "connecting";
  /** What the first packet of this connection said: sid, user, limits. */
  hello = null;
  /** Why the server ended it, when it did: `{code, message}`. */
  reason = null;

  #url;
  #user;
  #probing;
  #WebSocket;
  #ws = null;
  #calls = new Map(); // id → {answer, at}
  #nextId = 1;
  #queue = [];
  #attempt = 0;
  #timers = {};

  /** `user` is the id of whom this page is for: their writes go out as nobody else's. `probe`
   * is the cheapest call of the namespace. */
  constructor(url, { user, probe = ["received", {}], WebSocket = globalThis.WebSocket } = {}) {
    super();
    this.#url = url;
    this.#user = user;
    this.#probing = probe;
    this.#WebSocket = WebSocket;
  }

  get online() {
    return this.state === "online";
  }

  open() {
    if (this.#ws) return;
    this.#clear("retry");
    const ws = (this.#ws = new this.#WebSocket(this.#url));
    ws.onmessage = ({ data }) => this.#receive(data);
    ws.onclose = ({ code }) => this.#lost(code);
    this.#expect(CONNECT_WITHIN);
  }

  /** Gives up this connection for a new one. */
  reconnect() {
    if (this.state === "ended") this.#set("offline");
    this.#attempt = 0;
    this.#lost(1006);
  }

  /** Something happened (page shown, network back): is the connection still good? */
  wake() {
    if (this.online) this.#probe();
    else if (!this.#ws && this.state !== "ended") this.open();
  }

  /** Sends an event; `answer(error, data)` is called in the order of the wire, so that what
   * follows an ack in the same frame finds the ack's effect. */
  send(event, data, answer) {
    if (!this.online) return answer(disconnected());
    const id = this.#nextId++;
    const packet = JSON.stringify({ event, data, id });
    if (byteLength(packet) > FRAME_LIMIT) {
      return answer(new Refused({ code: "too_large", message: "This is too long to send." }));
    }
    this.#calls.set(id, { answer, at: Date.now() });
    this.#post(packet);
    if (!this.#timers.deadline) this.#expect(ANSWER_WITHIN);
  }

  /** Sends an event and waits for its ack; rejects with `Refused`. */
  call(event, data = {}) {
    return new Promise((resolve, reject) => {
      this.send(event, data, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
  }

  /** Sends an event that needs no answer; nothing happens while offline. */
  emit(event, data) {
    if (this.online) this.#post(JSON.stringify({ event, data }));
  }

  // Out: the packets of one turn of the event loop share a frame.

  #post(packet) {
    if (this.#queue.push(packet) === 1) queueMicrotask(() => this.#flush());
  }

  #flush() {
    let frame = [];
    let size = 0;
    for (const packet of this.#queue.splice(0)) {
      const length = byteLength(packet) + 1;
      if (frame.length && size + length > FRAME_LIMIT) {
        this.#ws?.send(frame.join("\n"));
        frame = [];
        size = 0;
      }
      frame.push(packet);
      size += length;
    }
    if (frame.length) this.#ws?.send(frame.join("\n"));
  }

  // In

  #receive(text) {
    this.#alive();
    let entries = [];
    const deliver = () => {
      if (entries.length) this.#dispatch("entries", entries);
      entries = [];
    };
    for (const line of text.split("\n")) {
      if (!line.trim()) continue;
      const packet = JSON.parse(line);
      if ("seq" in packet && "room" in packet) {
        entries.push(packet);
        continue;
      }
      deliver();
      this.#handle(packet);
    }
    deliver();
  }

  #handle(packet) {
    if ("ack" in packet) {
      const call = this.#calls.get(packet.ack);
      this.#calls.delete(packet.ack);
      call?.answer(packet.error && new Refused(packet.error), packet.data);
    } else if (packet.event === "connect") {
      this.#connected(packet.data);
    } else if ("event" in packet) {
      this.#dispatch("event", packet);
      if ("id" in packet) this.#post(JSON.stringify({ ack: packet.id, data: null }));
    } else if (packet.error) {
      this.reason = packet.error;
    }
  }

  #connected(hello) {
    if (hello.user.id !== this.#user) {
      this.reason = { code: "other_user", message: "Somebody else has signed in." };
      return this.#lost(4509);
    }
    this.hello = hello;
    this.#start("settled", SETTLED_AFTER, () => (this.#attempt = 0));
    this.#set("online");
  }

  // Life. A browser can't see the server's pings and a dead network closes nothing, so silence
  // is answered with a question.

  #alive() {
    this.#clear("deadline");
    const oldest = this.#calls.values().next().value;
    if (oldest && Date.now() - oldest.at > ANSWER_WITHIN) return this.#lost(1006);
    if (oldest) this.#expect(ANSWER_WITHIN);
    this.#start("probe", PROBE_AFTER, () => this.#probe());
  }

  #probe() {
    this.send(...this.#probing, () => {});
    this.#expect(PROBE_WITHIN);
  }

  #expect(within) {
    this.#start("deadline", within, () => this.#lost(1006));
  }

  #lost(code) {
    const ws = this.#ws;
    this.#ws = null;
    if (ws) {
      ws.onmessage = ws.onclose = null;
      ws.close();
    }
    for (const name of Object.keys(this.#timers)) this.#clear(name);
    this.#queue = [];
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    const again = mayReconnect(code);
    if (again) {
      this.reason = null;
      this.#start("retry", retryDelay(this.#attempt++), () => this.open());
    }
    this.#set(again ? "offline" : "ended");
    for (const { answer } of calls) answer(disconnected());
  }

  #set(state) {
    if (this.state === state) return;
    this.state = state;
    this.#dispatch("state", state);
  }

  #dispatch(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #start(name, ms, act) {
    this.#clear(name);
    this.#timers[name] = setTimeout(() => {
      delete this.#timers[name];
      act();
    }, ms);
  }

  #clear(name) {
    clearTimeout(this.#timers[name]);
    delete this.#timers[name];
  }
}
