/** One room as a person sees it: what the list says of it, its messages, and who is there. */

import { Timeline } from "./timeline.js";

const TYPING_LAPSES = 6_000;
const LEADERS = ["owner", "moderator"];
const FOR_GOOD = "9999-12-31T23:59:59.000Z";

const given = (fields) => Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** What notices say of the room, by their act. */
const CHANGES = {
  update: ({ name, topic }) => given({ name: name || undefined, topic }),
  rules: ({ slow_mode }) => given({ slow_mode }),
  close: () => ({ closed: true }),
  reopen: () => ({ closed: false }),
};

export class Room {
  here = []; // the first hundred who are here
  hereCount = 0;
  typing = new Map(); // id → {name, timer}
  receivedByAll = 0;
  readByAll = 0;
  joined = false;
  loading = null; // the page of history under way
  error = null; // why it could not be joined, or is no longer
  unread = 0;
  mentions = 0;
  read = 0;
  #counted = 0; // entries up to here are in `unread` already
  #wrote = { seq: 0, at: 0 }; // the last own message that was stored, by this browser's clock
  #heldUntil = 0;

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

  /** Whether this person may moderate here. */
  get leads() {
    return Boolean(this.me.staff) || LEADERS.includes(this.info.role);
  }

  get owns() {
    return Boolean(this.me.staff) || this.info.role === "owner";
  }

  /** Why this person can't write here, `{code, until?, reason?}`; null where they can. */
  barrier(now = Date.now()) {
    const { member, private: isPrivate, closed, muted_until: until } = this.info;
    if (!member) return this.error ?? { code: isPrivate ? "no_longer" : "preview" };
    if (closed) return { code: "closed", reason: this.#told(({ act }) => act === "close") };
    if (!until || new Date(until) <= now) return null;
    return { code: "muted", until, reason: this.#told(({ act, user }) => act === "mute" && user.id === this.me.id) };
  }

  /** The reason that the last such notice gave, as far as it is at hand. */
  #told(isIt) {
    return this.timeline.rows.findLast((row) => row.kind === "notice" && isIt(row))?.reason;
  }

  /** Milliseconds until the next message of a plain member is taken, in a room in slow mode. */
  pause(now = Date.now()) {
    const { slow_mode } = this.info;
    if (!slow_mode || this.leads) return 0;
    const last = this.timeline.rows.findLast((row) => row.kind === "message" && row.from.id === this.me.id);
    if (last && last.seq !== this.#wrote.seq) this.#wrote = { seq: last.seq, at: Math.min(Date.parse(last.at), now) };
    return Math.max(0, this.#wrote.at + slow_mode * 1000 - now, this.#heldUntil - now);
  }

  /** What became of a write tells whether its writer is muted, also where no notice did. */
  answered(error) {
    if (error?.code === "muted") this.info = { ...this.info, muted_until: error.until ?? FOR_GOOD };
    if (!error && this.info.muted_until) this.info = { ...this.info, muted_until: null };
  }

  /** A message was refused for a while: the server's clock knows better than this browser's. */
  held({ slow_mode, retry_after }) {
    if (!slow_mode) return;
    this.info = { ...this.info, slow_mode };
    this.#heldUntil = Date.now() + retry_after * 1000;
  }

  /** Takes the server's numbers, unless this page is ahead of them. */
  refresh(info) {
    this.info = { ...this.info, muted_until: null, open_reports: 0, ...info };
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

  /** A notice that changed the room itself, or what this person may do in it. */
  note(notice) {
    this.info = { ...this.info, ...CHANGES[notice.act]?.(notice), ...this.#mine(notice) };
    if (notice.act === "rules") this.#heldUntil = 0;
  }

  #mine({ act, user, owner, role, until }) {
    if (owner?.id === this.me.id) return { role: "owner" };
    if (user?.id !== this.me.id) return {};
    if (act === "role") return { role };
    if (act === "mute") return { muted_until: until ?? FOR_GOOD };
    return act === "unmute" ? { muted_until: null } : {};
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
