import { socket } from "../connection.js";
import { clone, complain } from "../elements/parts.js";
import { durationOf, reasonOf, say } from "../words.js";
import { itemOf } from "./items.js";
import { showItem, toggleItem } from "./order-card.js";
import { board } from "./session.js";

const TICK = 500;
const SAID_FOR = 30_000;

/** The orders that this page has, each with the time left of its lease. */
class MyWork extends HTMLElement {
  #cards = new Map(); // lease → li
  #ticking;
  #saying = null;

  connectedCallback() {
    this.list = this.querySelector(".leases");
    this.about = this.querySelector(".about");
    this.problem = this.querySelector(".problem");
    this.most = this.querySelector("select");
    this.most.addEventListener("change", () => board.work.take(board.open.slug, Number(this.most.value)));
    this.addEventListener("click", (event) => this.#click(event));
    this.addEventListener("submit", (event) => this.#done(event));
    board.work.addEventListener("change", () => this.show());
    board.work.addEventListener("lost", ({ detail }) => this.#say(say("lost", detail.lease)));
    board.work.addEventListener("refused", ({ detail }) => this.#say(reasonOf(detail.error)));
    board.addEventListener("queues", () => this.show());
    socket.addEventListener("state", () => this.show());
    this.show();
  }

  show() {
    const { work } = board;
    const leases = [...work.leases.values()];
    const taking = work.taking.get(board.open?.slug);
    this.hidden = !leases.length && !taking && this.problem.hidden;
    this.most.closest("label").hidden = !taking;
    if (taking) this.most.value = String(taking);
    this.#showAbout(leases, taking);
    this.#place(leases);
    if (!leases.length) this.#ticking = clearInterval(this.#ticking);
    else this.#ticking ??= setInterval(() => this.#tick(), TICK);
  }

  #showAbout(leases, taking) {
    let words = "";
    if (!socket.online) words = say("work_offline");
    else if (!leases.length && taking) words = say("work_waiting");
    else if (leases.length && !board.work.taking.size) words = say("work_resting");
    if (this.about.textContent !== words) this.about.textContent = words;
  }

  #say(words) {
    complain(this.problem, words);
    clearTimeout(this.#saying);
    if (words) this.#saying = setTimeout(() => this.#say(""), SAID_FOR);
    this.show();
  }

  #place(leases) {
    const gone = [...this.#cards].filter(([lease]) => !leases.includes(lease));
    const hadFocus = gone.some(([, item]) => item.contains(document.activeElement));
    for (const [lease, item] of gone) {
      item.remove();
      this.#cards.delete(lease);
    }
    for (const lease of leases) {
      if (!this.#cards.has(lease)) this.#add(lease);
      this.#fill(this.#cards.get(lease).firstElementChild, lease);
    }
    if (hadFocus) this.#focus();
  }

  /** Who finishes one order by keyboard goes on with the next, now or when it comes. */
  #focus() {
    const next = this.list.querySelector("input") ?? document.querySelector('[data-act="take"]');
    next.focus({ preventScroll: true });
    this.dataset.waits = String(next.matches("button"));
  }

  #add(lease) {
    const item = clone("lease");
    this.#cards.set(lease, item);
    this.list.append(item);
    const isWaiting = this.dataset.waits === "true" && document.activeElement?.dataset.act === "take";
    if (isWaiting) item.querySelector("input").focus();
    delete this.dataset.waits;
  }

  #fill(card, lease) {
    const { queue, seq, attempts, settling, error } = lease;
    const { info } = board.queues.get(queue) ?? { info: { name: queue } };
    card.lease = lease;
    card.ariaLabel = say("order", { seq });
    card.querySelector(".seq").textContent = say("order", { seq });
    card.querySelector(".attempts").textContent =
      attempts > 1 && info.max_attempts ? say("attempt", { n: attempts, most: info.max_attempts }) : "";
    const link = card.querySelector(".queue");
    link.hidden = board.open?.slug === queue;
    link.href = `/orders/${queue}/`;
    link.textContent = info.name;
    showItem(card, lease.item);
    // Not disabled, or who works by keyboard would lose their place.
    for (const control of card.querySelectorAll(".settle > *")) control.ariaDisabled = settling ? "true" : null;
    complain(card.querySelector(".problem"), error ? reasonOf(error) : "");
    this.#showTime(card);
  }

  #tick() {
    for (const item of this.#cards.values()) this.#showTime(item.firstElementChild);
  }

  #showTime(card) {
    const { until, total, settling } = card.lease;
    const left = Math.max(0, until - Date.now());
    const bar = card.querySelector("progress");
    bar.value = left / total;
    bar.classList.toggle("low", left < total / 4);
    const place = card.querySelector(".left .words");
    const time = durationOf(Math.ceil(left / 1000));
    const words = settling ? say(settling.event === "order:done" ? "settling_done" : "settling_fail") : say("seconds_left", { time });
    if (place.textContent !== words) place.textContent = words;
  }

  #click({ target }) {
    const act = target.closest("[data-act]")?.dataset.act;
    const card = target.closest(".lease");
    if (act === "expand") toggleItem(card);
    else if (act === "fail" && !card.lease.settling) this.dispatchEvent(new CustomEvent("fail", { detail: card.lease }));
  }

  #done(event) {
    event.preventDefault();
    const { lease } = event.target.closest(".lease");
    if (lease.settling) return;
    const result = event.target.elements.result.value.trim();
    this.#say("");
    board.work.done(lease, result ? itemOf(result) : undefined);
  }
}

customElements.define("my-work", MyWork);
