import { clone } from "./parts.js";

/** The places one can go to (rooms, queues), found by typing. What is listed is the subclass's:
 * `places()`, `fill(item, place)`, `leave()` and `show()`, which lists them. */
export class PlaceList extends HTMLElement {
  #items = new Map(); // slug → li

  connectedCallback() {
    this.input = this.querySelector("input");
    this.input.addEventListener("input", () => this.show());
    this.input.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Those whose name or address holds what was typed, by name. */
  found() {
    const wanted = this.input.value.trim().toLowerCase();
    return this.places()
      .filter(({ slug, info }) => slug.includes(wanted) || info.name.toLowerCase().includes(wanted))
      .sort((one, other) => one.info.name.localeCompare(other.info.name));
  }

  get filtered() {
    return this.input.value !== "";
  }

  /** Items that stay in their place are left there: moved, they would lose the focus. */
  list(name, places) {
    const list = this.querySelector(`[data-list=${name}]`);
    const items = places.map((place) => this.#item(place));
    const same = items.length === list.childElementCount && items.every((item, i) => item === list.children[i]);
    if (!same) list.replaceChildren(...items);
  }

  /** Puts the focus where one types a name. */
  find() {
    if (!this.input.checkVisibility()) document.querySelector(".back").click();
    this.input.focus();
    this.input.select();
  }

  /** The address of the place `by` further down in the list. */
  neighbour(by) {
    const links = [...this.querySelectorAll("[data-list=mine] a")];
    if (!links.length) return null;
    const here = links.findIndex((link) => link.ariaCurrent === "page");
    const next = here < 0 ? (by > 0 ? 0 : links.length - 1) : (here + by + links.length) % links.length;
    return links[next].pathname;
  }

  #item(place) {
    if (!this.#items.has(place.slug)) this.#items.set(place.slug, clone("place-row"));
    const item = this.#items.get(place.slug);
    item.querySelector(".room-name").textContent = place.info.name;
    this.fill(item, place);
    return item;
  }

  #key(event) {
    if (event.key === "Enter") this.querySelector("ul a")?.click();
    if (event.key === "Enter" || event.key === "Escape") {
      this.input.value = "";
      this.show();
      this.leave();
    }
    if (event.key === "ArrowDown") this.querySelector("ul a")?.focus();
  }
}
