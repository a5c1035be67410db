import { chat, socket } from "../session.js";
import { reasonOf, say } from "../words.js";
import { listPeople, showKind } from "./parts.js";

/** One room: its head, its messages, and where one writes, or how one gets in. */
class RoomPage extends HTMLElement {
  room = null;

  connectedCallback() {
    this.list = this.querySelector("message-list");
    this.composer = this.querySelector("message-composer");
    chat.addEventListener("room", ({ detail }) => detail === this.room && this.render());
    chat.addEventListener("people", ({ detail }) => detail === this.room && this.#showPeople());
    socket.addEventListener("state", () => this.room && this.#showPeople());
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
    this.#showPeople();
    // A touch keyboard would cover half of what one came to read.
    if (!matchMedia("(pointer: coarse)").matches) this.composer.focus();
  }

  render() {
    this.#showHead();
    this.#showGate();
    this.list.render();
    this.#read();
  }

  #showHead() {
    const { info, member } = this.room;
    this.querySelector(".room-name").textContent = info.name;
    this.querySelector(".topic").textContent = info.topic;
    const kind = this.querySelector(".room-kind");
    showKind(kind, info);
    for (const element of this.querySelectorAll("[data-member]")) element.hidden = !member;
    const leads = ["owner", "moderator"].includes(info.role);
    this.querySelector('#room-menu [data-act="invite"]').hidden = !leads || info.closed;
  }

  /** Without membership there is a way in instead of a composer. */
  #showGate() {
    const { info, member, error } = this.room;
    const gate = this.querySelector(".gate");
    gate.hidden = member && !info.closed;
    this.composer.hidden = !gate.hidden;
    if (gate.hidden) return;
    gate.querySelector(".why").textContent = this.#why(info, member, error);
    gate.querySelector("button").hidden = member || info.private || error?.code === "banned";
  }

  #why(info, member, error) {
    if (member) return say("closed");
    if (error) return reasonOf(error);
    return say(info.private ? "no_longer" : "preview", { name: info.name });
  }

  #showPeople() {
    const { room } = this;
    const typing = [...room.typing.values()].map((user) => user.name);
    this.querySelector(".typing").textContent = this.#whoTypes(typing);
    const button = this.querySelector(".people-button");
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
