import { excerpt } from "../excerpt.js";
import { chat, socket } from "../session.js";
import { count, momentOf, say, whenOf } from "../words.js";
import { dialog, open } from "./dialog.js";
import { PagedList } from "./paged-list.js";
import { paintAvatar, plainText } from "./parts.js";

const AFTER = 250; // milliseconds without a key

const search = () => dialog("search").querySelector("message-search");

export function openSearch() {
  open("search");
  search().show(chat.open);
}

/** `go(slug, seq)` shows what was chosen. */
export function startSearch(go) {
  search().addEventListener("chosen", ({ detail: { room, seq } }) => {
    dialog("search").close();
    go(room, seq);
  });
}

/** Messages by their words, while one types. */
class MessageSearch extends PagedList {
  shown = "all";
  #typed = null;

  connectedCallback() {
    super.connectedCallback();
    this.input = this.querySelector("input");
    this.input.addEventListener("input", () => this.#soon());
    this.addEventListener("keydown", (event) => this.#key(event));
  }

  /** `room` is the one on the page, if any; without one there is nothing to choose between. */
  show(room) {
    this.querySelector(".tabs").hidden = !room;
    this.switch(room ? this.shown : "all", room);
    this.input.select();
  }

  #soon() {
    clearTimeout(this.#typed);
    this.#typed = setTimeout(() => this.switch(this.shown), AFTER);
  }

  get #query() {
    return this.input.value.trim();
  }

  get #empty() {
    return !/[\p{L}\p{N}]/u.test(this.#query);
  }

  async ask(before) {
    if (this.#empty) return { items: [], next: null };
    const place = this.shown === "room" && { room: this.room.slug };
    const page = await socket.call("search", { query: this.#query, ...place, ...(before && { before }) });
    const items = page.messages.map((message) => ({ ...message, id: `${message.room}:${message.seq}` }));
    return { items, next: page.more ? page.next : null };
  }

  template() {
    return "hit-row";
  }

  counted(n, more) {
    if (this.#empty) return "";
    if (!n) return say("hits_none");
    return count(more ? "hits_first" : "hits", n);
  }

  fill(row, { room, at, from, data }) {
    paintAvatar(row.querySelector(".avatar"), from);
    row.querySelector(".author").textContent = from.name;
    row.querySelector(".where").textContent = chat.rooms.get(room)?.info.name ?? room;
    const time = row.querySelector("time");
    time.dateTime = at;
    time.textContent = whenOf(at);
    time.title = momentOf(at);
    row.querySelector(".said").replaceChildren(...this.#excerpt(data));
  }

  #excerpt(data) {
    if (data.deleted) return [say("deleted")];
    return excerpt(plainText(data), this.#query).map(({ text, found }) => {
      if (!found) return text;
      const mark = document.createElement("mark");
      mark.textContent = text;
      return mark;
    });
  }

  act(_, hit) {
    this.dispatchEvent(new CustomEvent("chosen", { detail: hit }));
  }

  // Up and down go through the hits, from where one types and back.

  #key(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    const stops = [this.input, ...this.list.querySelectorAll("button")];
    const next = stops[stops.indexOf(event.target) + by];
    if (!stops.includes(event.target) || !next) return;
    event.preventDefault();
    next.focus();
  }
}

customElements.define("message-search", MessageSearch);
