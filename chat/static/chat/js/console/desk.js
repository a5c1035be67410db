/**
 * What the console knows of the site, over one socket of /admin. Knows nothing of the page;
 * dispatches `connected`, `figures` (`detail` is a sample), `line` (of the event log), `report`
 * (one that is new or was seen to), `stats`, and `acted` after something was done from here.
 */

import { Figures } from "./figures.js";

export const MOST_LINES = 500;
const STATS_EVERY = 15_000;
const SOON = 1_000;

/** Events that only look: not worth a line in the log that shows who looks. */
const LOOKS = /:list$|^(stats|lag|join|log:watch|metrics:watch)$/;

/** Lines after which the counts are others. */
const COUNTED = /dead letter|an order|report|a room was|a user (connected|disconnected)/;

export class Desk extends EventTarget {
  figures = new Figures();
  lines = [];
  stats = null;

  #socket;
  #soon = null;

  constructor({ socket }) {
    super();
    this.#socket = socket;
    socket.addEventListener("state", () => socket.online && this.#connected());
    socket.addEventListener("event", ({ detail }) => this.#hear(detail.event, detail.data ?? {}));
  }

  get online() {
    return this.#socket.online;
  }

  /** Asks for something; rejects with `Refused`. */
  ask(event, data = {}) {
    return this.#socket.call(event, data);
  }

  /** Does something: lists that show it are read again. */
  async act(event, data) {
    const answer = await this.#socket.call(event, data);
    this.#say("acted", { event, data });
    this.#countSoon();
    return answer;
  }

  #connected() {
    const quietly = () => {}; // lost again: the next connection asks again
    this.ask("log:watch").catch(quietly);
    this.ask("metrics:watch").catch(quietly);
    this.ask("join", { room: "reports" }).catch(quietly);
    this.count();
    this.#say("connected");
  }

  #hear(event, data) {
    if (event === "metrics") this.#measure(data);
    else if (event === "log") this.#note(data);
    else if (event === "report") {
      this.#say("report", data);
      this.#countSoon();
    }
  }

  #measure(sample) {
    this.figures.add(sample);
    this.#say("figures", sample);
  }

  #note(line) {
    if (line.text === "an event" && line.outcome === "ok" && LOOKS.test(line.event)) return;
    this.lines.push(line);
    if (this.lines.length > MOST_LINES) this.lines.shift();
    if (COUNTED.test(line.text)) this.#countSoon();
    this.#say("line", line);
  }

  /** How much there is of everything. */
  async count() {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => this.#socket.online && this.count(), STATS_EVERY);
    this.#soon.unref?.(); // under Node it would keep the tests waiting
    try {
      this.stats = await this.ask("stats");
      this.#say("stats", this.stats);
    } catch {
      // as above
    }
  }

  #countSoon() {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => this.#socket.online && this.count(), SOON);
    this.#soon.unref?.();
  }

  #say(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
