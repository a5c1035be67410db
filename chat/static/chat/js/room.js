/** One room as a person sees it: what the list says of it, its messages, and who is there. */

import { Timeline } from "./timeline.js";

const TYPING_LAPSES = 6_000;

export class Room {
  here = []; // the first hundred who are here
  hereCount = 0;
  typing = new Map(); // id → {name, timer}
  receivedByAll = 0;
  readByAll = 0;
  joined = false;
  loading = null; // the page of history under way
  error = null; // why it could not be joined
  unread = 0;
  mentions = 0;
  read = 0;
  #counted = 0; // entries up to here are in `unread` already

  constructor(info, me) {
    this.slug = info.room;
    this.info = info;
    this.me = me;
    this.timeline = new Timeline({ me, ordered: info.ordering !== "unordered" });
    this.refresh(info);
  }

  get member() {
    return this.info.member;
  }

  /** Takes the server's numbers, unless this page is ahead of them. */
  refresh(info) {
    this.info = { ...this.info, ...info };
    if (info.head < this.#counted || (this.read && this.read >= info.head)) return;
    this.#counted = info.head;
    this.unread = info.unread;
    this.mentions = info.mentions;
    this.read = Math.max(this.read, info.read ?? 0);
  }

  /** → whether the message is news to this person; `mentioned` whether it names them. */
  count({ seq, from, data }) {
    if (seq <= this.#counted) return { news: false };
    this.#counted = seq;
    if (from.id === this.me.id) return { news: false };
    const mentioned = data.mentions?.some((user) => user.id === this.me.id) ?? false;
    this.unread += 1;
    if (mentioned) this.mentions += 1;
    return { news: true, mentioned };
  }

  wasRead(seq) {
    if (seq < this.read) return;
    this.read = seq;
    this.#counted = Math.max(this.#counted, seq);
    this.unread = this.mentions = 0;
  }

  /** A notice that changed the room itself. */
  note({ act, name, topic }) {
    if (act === "update") this.info = { ...this.info, ...(name && { name }), ...(topic !== undefined && { topic }) };
    if (act === "close") this.info = { ...this.info, closed: true };
  }

  receipts({ received_by_all = this.receivedByAll, read_by_all = this.readByAll }) {
    this.receivedByAll = received_by_all;
    this.readByAll = read_by_all;
  }

  /** `lapsed` is called when nothing more was heard of it. */
  types(user, lapsed) {
    this.untype(user.id);
    const lapse = () => this.untype(user.id) && lapsed();
    this.typing.set(user.id, { name: user.name, timer: setTimeout(lapse, TYPING_LAPSES) });
  }

  untype(id) {
    clearTimeout(this.typing.get(id)?.timer);
    return this.typing.delete(id);
  }

  presence(changes) {
    for (const { user, state } of changes) {
      const others = this.here.filter((each) => each.id !== user.id);
      const was = others.length < this.here.length;
      const is = state === "online";
      const counted = was || this.hereCount > this.here.length; // perhaps one of those not named
      if (is && !was) this.hereCount += 1;
      if (!is && counted) this.hereCount -= 1;
      this.here = is ? [...others, user] : others;
    }
  }
}
