import { chat } from "../session.js";
import { say } from "../words.js";
import { clone, showKind } from "./parts.js";

/** The rooms, mine and open ones, with what is unread; found by typing. */
class RoomList extends HTMLElement {
  #items = new Map(); // slug → li

  connectedCallback() {
    this.input = this.querySelector("input");
    this.input.addEventListener("input", () => this.show());
    this.input.addEventListener("keydown", (event) => this.#key(event));
    chat.addEventListener("rooms", () => this.show());
    this.show();
  }

  show() {
    const found = [...chat.rooms.values()].filter((room) => this.#matches(room)).sort(byName);
    const mine = found.filter((room) => room.member);
    const others = found.filter((room) => !room.member && !room.info.closed);
    this.#fill("mine", mine);
    this.#fill("others", others);
    const filtered = this.input.value !== "";
    this.querySelector('[data-heading="others"]').hidden = !others.length;
    this.querySelector('[data-empty="mine"]').hidden = filtered || mine.length > 0;
    this.querySelector('[data-empty="filter"]').hidden = !filtered || found.length > 0;
  }

  /** Puts the focus where one types the name of a room. */
  find() {
    if (!this.input.checkVisibility()) document.querySelector(".back").click();
    this.input.focus();
    this.input.select();
  }

  /** The address of the room `by` places away in the list. */
  neighbour(by) {
    const links = [...this.querySelectorAll("[data-list=mine] a")];
    if (!links.length) return null;
    const here = links.findIndex((link) => link.ariaCurrent === "page");
    const next = here < 0 ? (by > 0 ? 0 : links.length - 1) : (here + by + links.length) % links.length;
    return links[next].pathname;
  }

  #matches({ slug, info }) {
    const wanted = this.input.value.trim().toLowerCase();
    return slug.includes(wanted) || info.name.toLowerCase().includes(wanted);
  }

  /** Items that stay in their place are left there: moved, they would lose the focus. */
  #fill(list, rooms) {
    const place = this.querySelector(`[data-list=${list}]`);
    const items = rooms.map((room) => this.#item(room));
    const same = items.length === place.childElementCount && items.every((item, i) => item === place.children[i]);
    if (!same) place.replaceChildren(...items);
  }

  #item(room) {
    if (!this.#items.has(room.slug)) this.#items.set(room.slug, clone("room-row"));
    const item = this.#items.get(room.slug);
    const link = item.firstElementChild;
    const unread = room.member && room.unread > 0;
    link.href = `/rooms/${room.slug}/`;
    link.ariaCurrent = room === chat.open ? "page" : null;
    link.classList.toggle("unread", unread);
    item.querySelector(".room-name").textContent = room.info.name;
    showKind(item.querySelector(".room-kind"), room.info);
    const badge = item.querySelector(".badge");
    badge.hidden = !unread;
    badge.classList.toggle("mentioned", room.mentions > 0);
    badge.textContent = `${room.mentions ? "@ " : ""}${room.unread > 99 ? "99+" : room.unread}`;
    badge.ariaLabel = say(room.mentions ? "mentioned" : "unread", { n: room.unread });
    return item;
  }

  #key(event) {
    if (event.key === "Enter") this.querySelector("ul a")?.click();
    if (event.key === "Enter" || event.key === "Escape") {
      this.input.value = "";
      this.show();
      document.querySelector("message-composer").focus();
    }
    if (event.key === "ArrowDown") this.querySelector("ul a")?.focus();
  }
}

const byName = (one, other) => one.info.name.localeCompare(other.info.name);

customElements.define("room-list", RoomList);
