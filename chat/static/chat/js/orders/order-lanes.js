import { outbox } from "../connection.js";
import { clone, onceAFrame } from "../elements/parts.js";
import { say } from "../words.js";
import { LANES, LIMIT } from "./lanes.js";
import { fillOrder, showAge, toggleItem } from "./order-card.js";
import { board } from "./session.js";

const AGES_EVERY = 15_000;

/** The orders of a queue, lane by lane. A card keeps its element and the focus where it goes. */
class OrderLanes extends HTMLElement {
  queue = null;
  #cards = new Map(); // key → li

  connectedCallback() {
    this.addEventListener("click", (event) => this.#click(event));
    this.addEventListener("keydown", (event) => this.#key(event));
    this.addEventListener("focusin", ({ target }) => this.#reach(target.closest(".order")));
    const draw = onceAFrame(() => this.#render());
    board.addEventListener("orders", ({ detail }) => detail === this.queue && draw());
    setInterval(() => document.hidden || this.#visible().forEach(showAge), AGES_EVERY);
  }

  show(queue) {
    this.queue = queue;
    for (const item of this.#cards.values()) item.remove();
    this.#cards.clear();
    this.#render();
  }

  #render() {
    if (!this.queue) return;
    const focused = this.contains(document.activeElement) ? document.activeElement : null;
    const near = focused && this.#beside(focused.closest(".order"));
    const views = LANES.map((state) => [state, this.#view(state)]);
    const wanted = new Set(views.flatMap(([, view]) => view.map(keyOf)));
    for (const [key, item] of this.#cards) if (!wanted.has(key)) this.#remove(key, item);
    for (const [state, view] of views) this.#fill(state, view);
    this.#keepFocus(focused, near);
  }

  #view(state) {
    const { orders } = this.queue.lanes.of(state);
    if (state !== "queued") return orders;
    const unsent = board.unsent(this.queue).map((record) => ({
      item: record.data.item,
      state,
      attempts: 0,
      at: record.at,
      unsent: record,
    }));
    return [...unsent.reverse(), ...orders];
  }

  #remove(key, item) {
    item.remove();
    this.#cards.delete(key);
  }

  #fill(state, view) {
    const lane = this.#lane(state);
    const list = lane.querySelector("ul");
    let next = list.firstElementChild;
    for (const order of view) {
      const item = this.#item(order);
      if (item === next) next = next.nextElementSibling;
      else list.insertBefore(item, next);
    }
    if (view.length && !list.querySelector('[tabindex="0"]')) list.querySelector(".order").tabIndex = 0;
    this.#showCounts(state, lane, view);
  }

  #showCounts(state, lane, view) {
    const { more, orders } = this.queue.lanes.of(state);
    const shown = this.queue.counts[state];
    for (const place of this.querySelectorAll(`[data-show=${state}] .count, #lane-${state} .count`)) {
      if (place.textContent !== String(shown)) place.textContent = shown;
    }
    const empty = lane.querySelector(".empty");
    empty.hidden = view.length > 0 || !this.queue.lanes.loaded || shown > 0;
    empty.textContent = say(`empty_${state}`);
    lane.querySelector(".more").hidden = !more || orders.length >= LIMIT;
    const end = lane.querySelector(".end");
    end.hidden = !more || orders.length < LIMIT;
    end.textContent = say("newest_only", { n: LIMIT });
  }

  #item(order) {
    const key = keyOf(order);
    if (!this.#cards.has(key)) this.#cards.set(key, clone("order"));
    const item = this.#cards.get(key);
    const { info } = this.queue;
    fillOrder(item.firstElementChild, order, { info, moderated: board.moderates(this.queue) });
    return item;
  }

  #lane(state) {
    return this.querySelector(`.lane[data-state=${state}]`);
  }

  // The focus goes with its card; where that is gone, or out of sight, to the one beside it.

  #beside(card) {
    const item = card?.parentElement;
    const other = item?.nextElementSibling ?? item?.previousElementSibling;
    return [other?.firstElementChild, card?.closest(".lane")?.querySelector("h2")];
  }

  #keepFocus(focused, near) {
    if (!focused || document.activeElement === focused) return;
    const places = [focused, focused.closest(".order"), ...(near ?? []), this.querySelector('.lane-tabs [aria-pressed="true"]')];
    places.find((place) => place?.isConnected && place.checkVisibility())?.focus({ preventScroll: true });
  }

  #reach(card) {
    if (!card || card.tabIndex === 0) return;
    card.closest("ul").querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    card.tabIndex = 0;
  }

  // Acting

  #click({ target }) {
    const button = target.closest("button");
    if (!button) return;
    if (button.dataset.show) this.#showLane(button.dataset.show);
    else if (button.dataset.act === "more") this.#more(button);
    else this.#act(button.dataset.act, button.closest(".order"));
  }

  /** Where there is room for one lane alone. */
  #showLane(state) {
    this.dataset.lane = state;
    for (const tab of this.querySelectorAll("[data-show]")) tab.ariaPressed = String(tab.dataset.show === state);
  }

  async #more(button) {
    const lane = button.closest(".lane");
    const last = lane.querySelector("li:last-child .order");
    button.disabled = true;
    await board.more(this.queue, lane.dataset.state).catch((error) => this.#complain(error));
    button.disabled = false;
    this.#render();
    if (document.activeElement === document.body || button.hidden) last?.focus();
  }

  #act(act, card) {
    const order = card?.shown.order;
    if (act === "expand") toggleItem(card);
    else if (act === "retry") outbox.retry(order.unsent);
    else if (act === "discard") outbox.discard(order.unsent);
    else if (act === "revive") this.#revive(order);
    else if (act === "bury") this.dispatchEvent(new CustomEvent("bury", { detail: order }));
  }

  async #revive(order) {
    this.#complain(null);
    await board.revive(this.queue, order).catch((error) => this.#complain(error));
  }

  #complain(error) {
    this.dispatchEvent(new CustomEvent("problem", { detail: error }));
  }

  // Keys: one order of a lane is reached by Tab, the others from it with the arrows.

  #key(event) {
    const card = event.target;
    if (!card.matches(".order") || event.altKey || event.ctrlKey || event.metaKey) return;
    const act = this.#actOf(event.key, card);
    if (!act) return;
    event.preventDefault();
    act();
  }

  #actOf(key, card) {
    const cards = [...card.closest("ul").querySelectorAll(".order")];
    const mayAct = !card.querySelector(".buttons").hidden;
    switch (key) {
      case "ArrowUp":
        return () => cards[cards.indexOf(card) - 1]?.focus();
      case "ArrowDown":
        return () => cards[cards.indexOf(card) + 1]?.focus();
      case "Home":
        return () => cards[0].focus();
      case "End":
        return () => cards.at(-1).focus();
      case "ArrowLeft":
        return () => this.#aside(card, -1);
      case "ArrowRight":
        return () => this.#aside(card, 1);
      case "Enter":
        return () => toggleItem(card);
      case "r":
        return mayAct && (() => this.#act("revive", card));
      case "Delete":
        return mayAct && (() => this.#act("bury", card));
    }
  }

  /** To the next lane on that side in which there is an order in sight. */
  #aside(card, by) {
    const reachable = [...this.querySelectorAll(".lane ul")].map((list) => list.querySelector('[tabindex="0"]'));
    const here = LANES.indexOf(card.closest(".lane").dataset.state);
    const places = by > 0 ? reachable.slice(here + 1) : reachable.slice(0, here).reverse();
    places.find((place) => place?.checkVisibility())?.focus();
  }

  #visible() {
    return [...this.querySelectorAll(".order")];
  }
}

const keyOf = ({ seq, unsent }) => (unsent ? `unsent:${unsent.n}` : seq);

customElements.define("order-lanes", OrderLanes);
