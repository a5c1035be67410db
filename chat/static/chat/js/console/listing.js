import { clone, complain } from "../elements/parts.js";
import { reasonOf } from "../words.js";
import { desk } from "./session.js";

const TYPING = 250;
const AGAIN = 3_000; // the least time between two looks that nobody asked for
const MOST = 100;

/**
 * A part of the console that is a list, read page by page. The subclass says what is asked and how
 * an item is shown: `event`, `key` (of the answer), `place` (what its `next` is given as),
 * `template`, `idOf(item)`, `fill(row, item)`, and `wants(line)`: after which lines of the event
 * log it is read again.
 */
export class Listing extends HTMLElement {
  place = "after";
  items = [];
  #rows = new Map(); // id → li
  #next = null;
  #turn = 0;
  #soon = null;
  #looked = 0;

  connectedCallback() {
    this.list = this.querySelector(".rows");
    this.problem = this.querySelector(".problem");
    this.input = this.querySelector('input[type="search"]');
    this.choice = this.querySelector("select");
    this.querySelector('[data-act="more"]').addEventListener("click", () => this.#read(true));
    this.querySelector('[data-act="refresh"]').addEventListener("click", () => this.refresh());
    this.input?.addEventListener("input", () => this.soon(TYPING));
    this.choice?.addEventListener("change", () => this.restart());
    desk.addEventListener("connected", () => this.hidden || this.refresh());
    desk.addEventListener("acted", () => this.hidden || this.refresh());
    desk.addEventListener("line", ({ detail }) => this.wants(detail) && this.later());
  }

  // What a subclass may say otherwise

  query() {
    return {};
  }

  wants() {
    return false;
  }

  /** Of what was read, what is shown. */
  found() {
    return this.items;
  }

  // What the page asks for

  show() {
    this.refresh();
  }

  find() {
    (this.input ?? this.choice ?? this.querySelector("h1")).focus();
  }

  /** Everything that is shown, as it is now. */
  refresh() {
    return this.#read(false);
  }

  restart() {
    this.items = [];
    return this.refresh();
  }

  soon(after) {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => this.hidden || this.refresh(), after);
  }

  /** A look that nobody asked for: not at every event of a busy site. */
  later() {
    if (this.hidden) return;
    this.soon(Math.max(TYPING, this.#looked + AGAIN - Date.now()));
  }

  async #read(more) {
    if (!desk.online) return;
    const turn = ++this.#turn;
    this.#looked = Date.now();
    try {
      const { items, next } = await this.#pages(more ? this.#next : null, more ? 0 : this.items.length);
      if (turn !== this.#turn) return;
      this.items = more ? [...this.items, ...items] : items;
      this.#next = next;
      this.complain(null);
      this.draw();
    } catch (error) {
      if (turn === this.#turn && error.code !== "disconnected") this.complain(error);
    }
  }

  /** A page, or as many as hold what was shown. */
  async #pages(from, wanted) {
    const items = [];
    let next = from;
    do {
      const asked = { limit: Math.min(MOST, Math.max(50, wanted - items.length)), ...this.query() };
      const reply = await desk.ask(this.event, next === null ? asked : { ...asked, [this.place]: next });
      items.push(...reply[this.key]);
      next = reply.more ? (reply.next ?? null) : null;
    } while (next !== null && items.length < wanted);
    return { items, next };
  }

  complain(error) {
    complain(this.problem, error ? reasonOf(error) : "");
  }

  draw() {
    const found = this.found();
    const rows = found.map((item) => this.#row(item));
    const kept = new Set(found.map((item) => String(this.idOf(item))));
    for (const id of this.#rows.keys()) if (!kept.has(id)) this.#rows.delete(id);
    const same = rows.length === this.list.childElementCount && rows.every((row, i) => row === this.list.children[i]);
    if (!same) this.list.replaceChildren(...rows);
    this.querySelector(".empty").hidden = found.length > 0;
    this.querySelector('[data-act="more"]').hidden = this.#next === null;
  }

  /** Rows stay the same elements: replaced, they would lose the focus. */
  #row(item) {
    const id = String(this.idOf(item));
    if (!this.#rows.has(id)) this.#rows.set(id, clone(this.template));
    const row = this.#rows.get(id);
    row.item = item;
    this.fill(row, item);
    return row;
  }
}
