import { chat, outbox, socket } from "../session.js";
import { count, dayOf, say } from "../words.js";
import { pickEmoji } from "./emoji-picker.js";
import { fillRow, markOf } from "./message-row.js";
import { clone, listPeople, openBeside } from "./parts.js";

const GROUP_WITHIN = 5 * 60_000;
const NEAR = 600; // pixels from an end of the window at which the next page is fetched
const AT_BOTTOM = 40;
const WHO = document.getElementById("who");
const WHO_EVERY = 2_000;

/** The messages of the open room. The list is laid out from its end (`column-reverse`), so that
 * it stays there by itself; elsewhere the row under the reader's eyes is kept in its place.
 */
class MessageList extends HTMLElement {
  room = null;
  #elements = new Map(); // key → element
  #quotes = new Map(); // seq → message asked for
  #divider = null; // messages after this seq are new to the reader
  #news = 0; // messages that came while the reader was elsewhere
  #toolbar = clone("message-actions");

  connectedCallback() {
    this.rows = this.querySelector(".rows");
    this.jump = document.querySelector('[data-act="jump"]');
    this.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.addEventListener("click", (event) => this.#click(event));
    this.addEventListener("keydown", (event) => this.#key(event));
    this.addEventListener("pointerover", ({ target }) => this.#offerActions(target));
    this.addEventListener("focusin", ({ target }) => this.#offerActions(target));
    this.addEventListener("pointerleave", () => this.#toolbar.remove());
    this.jump.addEventListener("click", () => this.#toNewest());
    chat.addEventListener("message", ({ detail }) => this.#came(detail.room));
  }

  /** Whether the newest message is in sight. */
  get following() {
    return this.room.timeline.atEnd && this.scrollTop > -AT_BOTTOM;
  }

  show(room) {
    this.room = room;
    this.#elements.clear();
    this.#quotes.clear();
    this.#toolbar.remove();
    this.#news = 0;
    this.rows.replaceChildren();
    this.markNew();
    this.render();
    this.scrollTop = 0;
  }

  /** What comes from now on is new: the reader has gone, or has just come. */
  markNew() {
    this.#divider = this.room?.unread ? this.room.read : null;
  }

  render() {
    const { room } = this;
    if (document.hidden && this.#divider === null) this.markNew();
    room.timeline.trim(-this.scrollTop <= this.#fromTop() ? "start" : "end");
    const anchor = this.following ? null : this.#anchor();
    this.#place(this.#items(chat.view(room)));
    if (anchor) this.scrollTop += anchor.element.getBoundingClientRect().top - anchor.top;
    this.#showJump();
    this.#more();
  }

  // What is shown: days, the line above what is new, messages.

  #items(view) {
    const items = [];
    let before = null;
    let divided = this.#divider === null;
    if (!this.room.timeline.older) items.push({ key: "beginning", template: "notice-row", text: this.#beginning(view) });
    let day = null;
    for (const row of view) {
      const rowDay = new Date(row.at).toDateString();
      if (rowDay !== day) {
        day = rowDay;
        items.push({ key: `day:${day}:${row.key}`, template: "day-row", text: dayOf(row.at) });
        before = null;
      }
      if (!divided && row.seq > this.#divider && row.from.id !== chat.me.id) {
        items.push({ key: "new", template: "new-row" });
        divided = true;
        before = null;
      }
      items.push({ key: row.key, template: row.kind === "notice" ? "notice-row" : "message-row", row, grouped: isGrouped(before, row) });
      before = row;
    }
    return items;
  }

  #beginning(view) {
    if (view.length) return say("beginning");
    return say(this.room.member ? "empty" : "empty_outside");
  }

  #place(items) {
    const wanted = new Set(items.map((item) => item.key));
    for (const [key, element] of this.#elements) {
      if (wanted.has(key)) continue;
      element.remove();
      this.#elements.delete(key);
    }
    let next = this.rows.firstElementChild;
    for (const item of items) {
      const element = this.#element(item);
      if (element === next) next = next.nextElementSibling;
      else this.rows.insertBefore(element, next);
    }
    if (!this.rows.querySelector('[tabindex="0"]')) this.#reach(this.#messages().at(-1));
  }

  #element({ key, template, row, grouped, text }) {
    if (!this.#elements.has(key)) this.#elements.set(key, clone(template));
    const element = this.#elements.get(key);
    if (row) fillRow(element, row, { grouped, mark: markOf(row, this.room), quoted: this.#quoted(row.reply_to) });
    else if (text && element.textContent.trim() !== text) (element.querySelector("time") ?? element).textContent = text;
    return element;
  }

  #quoted(seq) {
    if (!seq) return undefined;
    const near = this.room.timeline.find(seq);
    if (near || this.#quotes.has(seq)) return near ?? this.#quotes.get(seq);
    const { room } = this;
    this.#quotes.set(seq, undefined);
    chat.history.one(room, seq).then(
      (message) => {
        if (!message || room !== this.room) return;
        this.#quotes.set(seq, { ...message.data, from: message.from });
        this.render();
      },
      () => this.#quotes.delete(seq),
    );
    return undefined;
  }

  // Scrolling

  #fromTop() {
    return this.scrollHeight - this.clientHeight + this.scrollTop;
  }

  #anchor() {
    const top = this.getBoundingClientRect().top;
    for (const element of this.rows.children) {
      const box = element.getBoundingClientRect();
      if (box.bottom > top) return { element, top: box.top };
    }
    return null;
  }

  #scrolled() {
    if (this.following) this.#news = 0;
    this.#showJump();
    this.#more();
    this.dispatchEvent(new Event("seen"));
  }

  #more() {
    const { room } = this;
    if (room.loading || !this.checkVisibility()) return;
    const { older, atEnd, rows } = room.timeline;
    if (older && rows.length && this.#fromTop() < NEAR) chat.history.older(room).catch(() => {});
    else if (!atEnd && -this.scrollTop < NEAR) chat.history.newer(room).catch(() => {});
  }

  #came(room) {
    if (room === this.room && !this.following) this.#news += 1;
  }

  #showJump() {
    this.jump.hidden = this.following || (!this.#news && -this.scrollTop < this.clientHeight);
    this.jump.querySelector("span").textContent = this.#news ? count("new", this.#news) : say("newest");
  }

  async #toNewest() {
    if (!this.room.timeline.atEnd) await chat.history.newest(this.room).catch(() => {});
    this.scrollTop = 0;
    this.#news = 0;
    this.#showJump();
    document.querySelector("message-composer").focus();
  }

  /** Own words are always shown where they were written. */
  toEnd() {
    if (!this.room.timeline.atEnd) this.#toNewest();
    else this.scrollTop = 0;
  }

  // Acting on a message

  #messages() {
    return [...this.rows.querySelectorAll(".message")];
  }

  #rowOf(target) {
    return target.closest(".message")?.shown?.row;
  }

  #offerActions(target) {
    const element = target.closest(".message");
    const row = element?.shown?.row;
    if (!row || this.#toolbar.parentElement === element) return;
    this.#toolbar.remove();
    if (!row.seq || row.deleted || row.kind !== "message" || !this.room.member || socket.state === "ended") return;
    const mine = row.from.id === chat.me.id;
    const writes = !this.room.barrier();
    const offered = {
      pick: writes,
      reply: writes,
      who: true,
      report: !mine,
      edit: writes && mine,
      delete: writes && (mine || this.room.leads),
    };
    for (const [act, offer] of Object.entries(offered)) this.#toolbar.querySelector(`[data-act="${act}"]`).hidden = !offer;
    element.append(this.#toolbar);
  }

  #click(event) {
    const { target } = event;
    const quote = target.closest(".quote");
    if (quote) event.preventDefault();
    const row = this.#rowOf(target);
    if (quote) this.goTo(Number(quote.dataset.seq));
    else if (row) this.#act(target.closest("[data-act]"), row);
  }

  #act(button, row) {
    switch (button?.dataset.act) {
      case "pick":
        return pickEmoji(button, (emoji) => this.#react(row, emoji, true));
      case "react": {
        const { emoji } = button.dataset;
        return this.#react(row, emoji, button.ariaPressed !== "true");
      }
      case "reply":
      case "edit":
      case "delete":
      case "report":
        return this.#ask(button.dataset.act, row);
      case "who":
        return row.seq && this.#who(button, row);
      case "retry":
        return outbox.retry(row.record ?? row.refused);
      case "discard":
        return outbox.discard(row.record ?? row.refused);
    }
  }

  #ask(act, row) {
    this.dispatchEvent(new CustomEvent(act, { detail: row }));
  }

  #react({ seq, reactions }, emoji, on) {
    if (on && reactions.find((each) => each.emoji === emoji)?.mine) return;
    chat.write(this.room, "react", { target: seq, emoji, on });
  }

  /** Who has read and received it, as long as one looks. */
  async #who(button, { seq }) {
    const { room } = this;
    showWho(await chat.who(room, seq));
    openBeside(WHO, button.isConnected ? button : this);
    const timer = setInterval(() => chat.who(room, seq).then(showWho, () => {}), WHO_EVERY);
    WHO.addEventListener("beforetoggle", () => clearInterval(timer), { once: true });
  }

  /** Brings a message of this room before one's eyes, however far back it lies. */
  async goTo(seq) {
    const { room } = this;
    if (!room.timeline.find(seq)) await chat.history.around(room, seq).catch(() => {});
    if (room === this.room) this.#reveal(seq);
  }

  #reveal(seq) {
    const element = this.#messages().find((each) => each.shown.row.seq === seq);
    if (!element) return;
    this.querySelector(".message.found")?.classList.remove("found");
    element.classList.add("found");
    element.scrollIntoView({ block: "center" });
    // Rows that were never in sight have only now got their true height.
    requestAnimationFrame(() => element.scrollIntoView({ block: "center" }));
    this.#reach(element);
    element.focus({ preventScroll: true });
  }

  // Keys: one message is reached by Tab, the others from it with the arrows.

  #reach(element) {
    if (!element) return;
    this.rows.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    element.tabIndex = 0;
  }

  #key(event) {
    const element = event.target;
    if (!element.matches(".message") || event.altKey || event.ctrlKey || event.metaKey) return;
    const act = this.#actOf(event.key, element);
    if (!act) return;
    event.preventDefault();
    act();
  }

  #actOf(key, element) {
    const { row } = element.shown;
    const changes = row.seq && !row.deleted && !this.room.barrier();
    const mine = row.from.id === chat.me.id;
    switch (key) {
      case "ArrowUp":
        return () => this.#step(element, -1);
      case "ArrowDown":
        return () => this.#step(element, 1);
      case "Home":
        return () => this.#focus(this.#messages()[0]);
      case "End":
        return () => this.#focus(this.#messages().at(-1));
      case "r":
        return changes && (() => this.#ask("reply", row));
      case "e":
        return changes && mine && (() => this.#ask("edit", row));
      case "Delete":
        return changes && (mine || this.room.leads) && (() => this.#ask("delete", row));
    }
  }

  #step(element, by) {
    const messages = this.#messages();
    const next = messages[messages.indexOf(element) + by];
    if (next) this.#focus(next);
    else if (by > 0) document.querySelector("message-composer").focus();
  }

  #focus(element) {
    this.#reach(element);
    element?.focus();
  }
}

function showWho({ received, read, pending }) {
  const readers = new Set(read.map((user) => user.id));
  const lists = { read, received: received.filter((user) => !readers.has(user.id)) };
  for (const [name, people] of Object.entries(lists)) {
    const list = WHO.querySelector(`[data-people=${name}]`);
    list.previousElementSibling.hidden = list.hidden = !people.length;
    listPeople(list, people);
  }
  WHO.querySelector(".pending").textContent = pending ? count("pending", pending) : say("pending_none");
}

function isGrouped(before, row) {
  return Boolean(
    before &&
      before.kind === "message" &&
      row.kind === "message" &&
      before.from.id === row.from.id &&
      !row.reply_to &&
      new Date(row.at) - new Date(before.at) < GROUP_WITHIN,
  );
}

customElements.define("message-list", MessageList);
