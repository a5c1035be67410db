import { chat, socket } from "../session.js";
import { count, has, reasonOf, say, sayUntil } from "../words.js";
import { listPeople, showKind } from "./parts.js";

const LONGEST_TIMER = 2 ** 31 - 1;

/** One room: its head, its messages, and where one writes, or why one can't and how one gets in. */
class RoomPage extends HTMLElement {
  room = null;
  #waking = null;

  connectedCallback() {
    this.list = this.querySelector("message-list");
    this.composer = this.querySelector("message-composer");
    chat.addEventListener("room", ({ detail }) => detail === this.room && this.render());
    chat.addEventListener("people", ({ detail }) => detail === this.room && this.#showPeople());
    socket.addEventListener("state", () => this.room && this.render());
    this.list.addEventListener("reply", ({ detail }) => this.composer.reply(detail));
    this.list.addEventListener("edit", ({ detail }) => this.composer.edit(detail));
    this.list.addEventListener("seen", () => this.#read());
    this.composer.addEventListener("wrote", () => this.list.toEnd());
    this.querySelector('[data-act="join"]').addEventListener("click", () => chat.join(this.room));
    document.addEventListener("visibilitychange", () => this.#visible());
  }

  show(room) {
    this.room = room;
    this.hidden = !room;
    if (!room) return;
    this.composer.show(room);
    this.list.show(room);
    this.render();
    // A touch keyboard would cover half of what one came to read.
    if (!matchMedia("(pointer: coarse)").matches) this.composer.focus();
  }

  render() {
    this.#showHead();
    this.#showReports();
    this.#showGate();
    this.#showPeople();
    this.list.render();
    this.#read();
  }

  #showHead() {
    const { info, member } = this.room;
    this.querySelector(".room-name").textContent = info.name;
    this.querySelector(".topic").textContent = info.topic;
    const kind = this.querySelector(".room-kind");
    showKind(kind, info);
    const { leads } = this.room;
    this.querySelector('[popovertarget="room-menu"]').hidden = !member && !leads;
    for (const element of this.querySelectorAll("[data-member]")) element.hidden = !member;
    for (const element of this.querySelectorAll("[data-lead]")) element.hidden = !leads;
    this.querySelector('#room-menu [data-act="invite"]').hidden = !member || !leads || info.closed;
    this.querySelector('#room-menu [data-act="settings"]').hidden = !leads || info.closed;
  }

  /** Who leads the room sees that something was reported. */
  #showReports() {
    const open = this.room.leads ? this.room.info.open_reports : 0;
    const words = count("open_reports", open);
    const button = this.querySelector(".reports-button");
    button.hidden = !open;
    button.querySelector(".count").textContent = open;
    button.ariaLabel = button.title = words;
    const badge = this.querySelector("#room-menu .badge");
    badge.hidden = !open;
    badge.textContent = open;
  }

  /** Where nothing may be written it says why, and there may be a way in instead of a composer. */
  #showGate() {
    const barrier = this.room.barrier();
    const over = socket.state === "ended"; // the page says why
    const gate = this.querySelector(".gate");
    const wrote = this.composer.contains(document.activeElement);
    gate.hidden = !barrier || over;
    this.composer.hidden = Boolean(barrier) || over;
    if (wrote && !gate.hidden) gate.focus();
    if (barrier) this.#showBarrier(gate, barrier);
    else this.composer.showPace();
  }

  #showBarrier(gate, barrier) {
    const { info, member } = this.room;
    const why = this.#why(barrier);
    if (gate.firstElementChild.textContent !== why) gate.firstElementChild.textContent = why;
    gate.querySelector("button").hidden = member || info.private || info.closed || barrier.code === "banned";
    clearTimeout(this.#waking);
    const ends = new Date(barrier.until ?? NaN) - Date.now();
    if (ends < LONGEST_TIMER) this.#waking = setTimeout(() => this.room && this.render(), Math.max(ends, 0) + 100);
  }

  #why(barrier) {
    const key = `barred_${barrier.code}`;
    if (!has(key)) return reasonOf(barrier);
    const words = sayUntil(key, barrier.until, { name: this.room.info.name });
    return barrier.reason ? `${words} ${say("reason", barrier)}` : words;
  }

  #showPeople() {
    const { room } = this;
    const typing = [...room.typing.values()].map((user) => user.name);
    this.querySelector(".typing").textContent = this.#whoTypes(typing);
    const button = this.querySelector('[popovertarget="here"]');
    button.hidden = !room.member || !room.joined || !socket.online;
    button.querySelector(".count").textContent = room.hereCount;
    button.title = say("here", { n: room.hereCount });
    listPeople(this.querySelector("#here .people"), room.here);
    const more = this.querySelector("#here .more");
    more.hidden = room.hereCount <= room.here.length;
    more.textContent = say("here_more", { n: room.hereCount - room.here.length });
  }

  #whoTypes([name, other, ...more]) {
    if (!name) return "";
    if (!other) return say("typing_one", { name });
    return more.length ? say("typing_many") : say("typing_two", { name, other });
  }

  /** What is in sight has been read. */
  #read() {
    if (this.room && !document.hidden && this.list.following) chat.markRead(this.room);
  }

  #visible() {
    if (!this.room) return;
    if (document.hidden) return this.list.markNew();
    this.list.render();
    this.#read();
  }
}

customElements.define("room-page", RoomPage);
