import { reasonOf } from "../words.js";
import { clone, complain, focusWithin } from "./parts.js";

/** A list in a dialog, fetched page by page, with buttons for what it shows (`data-show`). A
 * subclass has `ask(next)` → `{items, next?}`, `template(item)`, `fill(row, item)`, `counted(n)`. */
export class PagedList extends HTMLElement {
  room = null;
  shown = null; // which of its lists
  #rows = new Map(); // id → li
  #next = null;
  #asked = 0;

  connectedCallback() {
    this.list = this.querySelector(".entries");
    this.more = this.querySelector(".more");
    this.tabs = [...this.querySelectorAll("[data-show]")];
    for (const tab of this.tabs) tab.addEventListener("click", () => this.switch(tab.dataset.show));
    this.more.addEventListener("click", () => this.#load(this.#next));
    this.list.addEventListener("click", ({ target }) => {
      const row = target.closest("li");
      if (row && target.closest("button")) this.act(target.closest("button"), row.item);
    });
  }

  /** Begins anew with a room, or with another of its lists. Until that has come the old one stays,
   * out of use, so that nothing jumps. */
  switch(shown, room = this.room) {
    if (room !== this.room) this.#clear();
    this.room = room;
    this.shown = shown;
    for (const tab of this.tabs) tab.ariaPressed = String(tab.dataset.show === shown);
    this.list.inert = true;
    return this.#load(null);
  }

  /** As it is now, as far down as it was shown. */
  refresh() {
    return this.checkVisibility() ? this.#load(null, this.#rows.size) : undefined;
  }

  /** Only the answer to the last question counts. */
  async #load(from, wanted = 1) {
    const asked = ++this.#asked;
    const items = from ? [...this.list.children].map((row) => row.item) : [];
    let next = from;
    let came = 0;
    try {
      do {
        const page = await this.ask(next);
        if (asked !== this.#asked) return;
        items.push(...page.items);
        came += page.items.length;
        next = page.next;
      } while (next && came < wanted);
    } catch (error) {
      return asked === this.#asked ? this.#failed(error) : undefined;
    }
    this.#next = next;
    if (this.list.inert) this.#clear();
    this.#place(items);
    this.#say(this.counted(items.length, Boolean(next)));
    this.complain(null);
  }

  #failed(error) {
    if (this.list.inert) this.#clear();
    this.complain(error);
  }

  #clear() {
    this.#place([]);
    this.#say("");
    this.list.inert = false;
  }

  complain(error) {
    complain(this.querySelector(":scope > .problem"), error ? reasonOf(error) : "");
  }

  /** Rows that stay are left where they are: moved, they would lose the focus. */
  #place(items) {
    const lost = this.list.contains(document.activeElement) && document.activeElement;
    const ids = new Set(items.map((item) => item.id));
    for (const [id, row] of this.#rows) if (!ids.has(id)) this.#drop(id, row);
    items.forEach((item, at) => {
      const row = this.#row(item);
      if (this.list.children[at] !== row) this.list.insertBefore(row, this.list.children[at] ?? null);
    });
    this.more.hidden = !this.#next || !items.length;
    if (lost && !lost.isConnected) focusWithin(this);
  }

  #drop(id, row) {
    row.remove();
    this.#rows.delete(id);
  }

  #row(item) {
    if (!this.#rows.has(item.id)) this.#rows.set(item.id, clone(this.template(item)));
    const row = this.#rows.get(item.id);
    row.item = item;
    this.fill(row, item);
    return row;
  }

  #say(words) {
    const place = this.querySelector(".count");
    if (place.textContent !== words) place.textContent = words;
  }
}
