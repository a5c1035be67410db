import { socket } from "../connection.js";
import { complain } from "../elements/parts.js";
import { durationOf, reasonOf, say } from "../words.js";
import { board } from "./session.js";

/** One queue: its head, its lanes, what one works on, and where one writes an order. */
class QueuePage extends HTMLElement {
  queue = null;

  connectedCallback() {
    this.lanes = this.querySelector("order-lanes");
    this.composer = this.querySelector("order-composer");
    this.taking = this.querySelector('[data-act="take"]');
    this.problem = this.querySelector(".board > .problem");
    this.taking.addEventListener("click", () => this.toggleWork());
    this.lanes.addEventListener("problem", ({ detail }) => complain(this.problem, detail ? reasonOf(detail) : ""));
    board.addEventListener("orders", ({ detail }) => detail === this.queue && this.#showGate());
    board.addEventListener("queues", () => this.queue && this.#showHead());
    board.work.addEventListener("change", () => this.#showTaking());
    socket.addEventListener("state", () => this.#showTaking());
  }

  show(queue) {
    this.queue = queue;
    this.hidden = !queue;
    if (!queue) return;
    complain(this.problem, "");
    this.#showHead();
    this.#showGate();
    this.#showTaking();
    this.composer.show(queue);
    this.lanes.show(queue);
    // A touch keyboard would cover half of what one came to see.
    if (!matchMedia("(pointer: coarse)").matches) this.composer.focus();
  }

  toggleWork() {
    const { slug } = this.queue ?? {};
    if (!slug || this.taking.hidden) return;
    if (board.work.taking.has(slug)) board.work.rest(slug);
    else board.work.take(slug);
  }

  #showHead() {
    const { name, ordering, lease_seconds, max_attempts } = this.queue.info;
    this.querySelector(".room-name").textContent = name;
    const policy = { ordering: say(ordering), lease: durationOf(lease_seconds), attempts: max_attempts };
    this.querySelector(".topic").textContent = say(max_attempts === 1 ? "policy_one" : "policy", policy);
  }

  /** A queue that takes no orders says why in the place where one would write them. */
  #showGate() {
    const { info, error } = this.queue;
    const why = error ? reasonOf(error) : info.closed ? say("closed") : "";
    const gate = this.querySelector(".gate");
    gate.hidden = !why;
    gate.querySelector(".why").textContent = why;
    this.composer.hidden = Boolean(why);
    this.taking.hidden = Boolean(error);
  }

  #showTaking() {
    const taking = board.work.taking.has(this.queue?.slug);
    this.taking.classList.toggle("plain", taking);
    this.taking.firstElementChild.textContent = say(taking ? "rest" : "take");
  }
}

customElements.define("queue-page", QueuePage);
