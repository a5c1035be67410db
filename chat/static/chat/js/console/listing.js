import { PagedList } from "../elements/paged-list.js";
import { complain } from "../elements/parts.js";
import { reasonOf } from "../words.js";
import { desk } from "./session.js";

const TYPING = 250;
const AGAIN = 3_000; // the least time between two looks that nobody asked for
const PAGE = 100;

/**
 * A part of the console that is a list. The subclass says what is asked and how an item is shown:
 * `event`, `key` (of the answer), `place` (what its `next` is given as), `row` (a template),
 * `idOf(item)`, `fill(row, item)`, and `wants(line)`: after which lines of the event log it is
 * read again.
 */
export class Listing extends PagedList {
  place = "after";
  #soon = null;
  #looked = 0;

  connectedCallback() {
    super.connectedCallback();
    this.problem = this.querySelector(".problem");
    this.input = this.querySelector('input[type="search"]');
    this.choice = this.querySelector("select");
    this.querySelector('[data-act="refresh"]').addEventListener("click", () => this.refresh());
    this.input?.addEventListener("input", () => this.#look(TYPING));
    this.choice?.addEventListener("change", () => this.show());
    desk.addEventListener("connected", () => this.refresh());
    desk.addEventListener("acted", () => this.refresh());
    desk.addEventListener("line", ({ detail }) => this.wants(detail) && this.later());
  }

  // What a subclass may say otherwise

  query() {
    return {};
  }

  idOf({ id }) {
    return id;
  }

  wants() {
    return false;
  }

  /** What of a page is shown. */
  pick(items) {
    return items;
  }

  act() {}

  // What the page asks for

  show() {
    if (desk.online) this.refresh();
  }

  find() {
    (this.input ?? this.choice ?? this.querySelector("h1")).focus();
  }

  /** A look that nobody asked for: not at every event of a busy site. */
  later() {
    this.#look(Math.max(TYPING, this.#looked + AGAIN - Date.now()));
  }

  #look(after) {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => this.refresh(), after);
  }

  // What the list asks for

  async ask(next) {
    this.#looked = Date.now();
    const reply = await desk.ask(this.event, { limit: PAGE, ...this.query(), ...(next && { [this.place]: next }) });
    const items = this.pick(reply[this.key]).map((item) => ({ ...item, id: this.idOf(item) }));
    return { items, next: reply.more ? reply.next : null };
  }

  template() {
    return this.row;
  }

  /** Says that there is nothing; how many there are is seen. */
  counted(n) {
    return n ? "" : this.dataset.empty;
  }

  complain(error) {
    if (error?.code === "disconnected") return;
    complain(this.problem, error ? reasonOf(error) : "");
  }
}
