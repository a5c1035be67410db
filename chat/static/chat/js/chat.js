/**
 * A person's chat in one page: their rooms over one socket, what they write through the outbox.
 * Knows nothing of the page; dispatches `rooms` (the list), `room` (`detail` is the Room),
 * `people` (who is here, who types, of the Room in `detail`), `members` (who belongs to it, and
 * as what) and `reports` (of its messages).
 */

import { History } from "./history.js";
import { Received } from "./received.js";
import { Room } from "./room.js";

const RESUME_AT_MOST = 1_000; // entries; a device further behind reads on from the person's cursor
const READ_EVERY = 1_000;
const REMOVALS = { quit: "quit", kick: "kicked", ban: "banned" }; // notices that end a membership

export class Chat extends EventTarget {
  rooms = new Map();
  open = null; // the Room on the page

  #me;
  #socket;
  #outbox;
  #memory;
  #channel;
  #received;
  #reads = new Map();

  constructor({ me, socket, outbox, memory, channel, rooms }) {
    super();
    this.#me = me;
    this.#socket = socket;
    this.#outbox = outbox;
    this.#memory = memory;
    this.#channel = channel;
    this.#received = new Received((data) => this.#tellReceived(data));
    this.history = new History(
      (event, data) => socket.call(event, data),
      (room) => this.#changed(room),
    );
    for (const info of rooms) this.#know(info);
    this.#listen();
  }

  get me() {
    return this.#me;
  }

  #listen() {
    this.#socket.addEventListener("state", () => this.#connected(this.#socket.online));
    this.#socket.addEventListener("entries", ({ detail }) => this.#take(detail));
    this.#socket.addEventListener("event", ({ detail }) => this.#hear(detail.event, detail.data ?? {}));
    this.#outbox.addEventListener("stuck", () => this.#socket.reconnect());
    this.#outbox.addEventListener("sent", ({ detail: { record, receipt } }) => {
      const room = this.rooms.get(record.room);
      room?.answered();
      room?.timeline.acknowledged(record, receipt);
    });
    this.#outbox.addEventListener("refused", ({ detail }) => this.rooms.get(detail.room)?.answered(detail.error));
    this.#outbox.addEventListener("held", ({ detail: { room: slug, refusal } }) => {
      const room = this.rooms.get(slug);
      room?.held(refusal);
      this.#changed(room);
    });
    this.#outbox.addEventListener("change", ({ detail }) => this.#changed(this.rooms.get(detail.room)));
    this.#channel.addEventListener("message", ({ data }) => {
      if (data.read) this.#wasRead(this.rooms.get(data.read.room), data.read.seq);
    });
  }

  #say(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #changed(room) {
    if (room) this.#say("room", room);
  }

  // The list of rooms

  #know(info) {
    const known = this.rooms.get(info.room);
    if (known) known.refresh(info);
    else this.rooms.set(info.room, new Room(info, this.#me));
    return this.rooms.get(info.room);
  }

  async refresh() {
    const gone = new Set(this.rooms.values()); // but not what is made meanwhile
    let after;
    do {
      const reply = await this.#socket.call("rooms", after ? { after, limit: 100 } : { limit: 100 });
      for (const info of reply.rooms) {
        const room = this.#know(info);
        gone.delete(room);
        if (room.member && !room.joined) this.#join(room);
      }
      after = reply.more ? reply.next : null;
    } while (after);
    for (const room of gone) this.#gone(room);
    this.#say("rooms");
  }

  #gone(room, why = room.error) {
    room.error = why;
    room.info = { ...room.info, member: false, role: null };
    room.joined = false;
    if (room !== this.open) this.rooms.delete(room.slug);
    this.#changed(room);
  }

  #removed(room, { code, reason, until }) {
    this.#gone(room, code === "quit" ? null : { code, reason, until });
  }

  // Joining. What a page has shown it never asks for again; a new page goes on where this
  // device was, or where the person is, whichever is further back.

  #connected(up) {
    this.#outbox.online(up);
    this.#received.clear();
    for (const timer of this.#reads.values()) clearTimeout(timer);
    this.#reads.clear();
    for (const room of this.rooms.values()) room.joined = false;
    if (!up) return;
    if (this.open?.member) this.#join(this.open);
    else if (this.open) this.history.fill(this.open);
    for (const room of this.rooms.values()) if (room.member && room !== this.open) this.#join(room);
    this.refresh().catch(() => {}); // lost again: the next connection asks again
  }

  #join(room) {
    const { timeline } = room;
    const kept = timeline.position ? { ...timeline.position, epoch: timeline.epoch } : this.#kept(room);
    const after = kept && { after: kept.seq, epoch: kept.epoch, after_client_id: kept.client_id };
    room.joined = true;
    this.#socket.send("join", { room: room.slug, ...after }, (error, ack) => {
      if (error) this.#refused(room, error);
      else this.#joined(room, kept, ack);
    });
  }

  #kept(room) {
    const kept = this.#memory.get(`position:${room.slug}`);
    const behind = kept && room.info.cursor - kept.seq;
    return behind > 0 && behind <= RESUME_AT_MOST ? kept : null;
  }

  #joined(room, kept, ack) {
    const { timeline } = room;
    room.error = null;
    if (!kept || ack.reset) {
      timeline.reset();
      timeline.start({ seq: Math.max(ack.cursor, ack.first - 1) }, ack.epoch);
    } else {
      if (!timeline.position) timeline.start({ seq: kept.seq, client_id: kept.client_id }, ack.epoch);
      if (timeline.ordered) this.#received.upto(room.slug, timeline.position.seq);
    }
    room.here = ack.here;
    room.hereCount = ack.here_count;
    room.receipts(ack);
    if (!room.member) room.refresh({ ...room.info, member: true, head: ack.head, unread: 0, mentions: 0 });
    if (room === this.open) this.history.fill(room);
    if (room.read > (room.info.read ?? 0)) this.#tellRead(room);
    this.#say("rooms");
    this.#say("people", room);
    this.#changed(room);
  }

  #refused(room, error) {
    room.joined = false;
    if (error.code === "disconnected") return;
    room.error = error;
    if (["not_found", "banned", "forbidden"].includes(error.code)) this.#gone(room);
    if (error.temporary) setTimeout(() => room.joined || this.#join(room), (error.retry_after ?? 2) * 1000);
    this.#say("rooms");
    this.#changed(room);
  }

  // Entries

  #take(entries) {
    const touched = new Set();
    let counted = false;
    for (const entry of entries) {
      const room = this.rooms.get(entry.room);
      if (!room?.timeline.position) continue;
      touched.add(room);
      const outcome = room.timeline.apply(entry);
      if (outcome === "gap") {
        this.#join(room);
        continue;
      }
      if (outcome === "new") counted = this.#note(room, entry) || counted;
      if (room.timeline.ordered) this.#received.upto(room.slug, room.timeline.position.seq);
      else this.#received.each(room.slug, entry.seq);
    }
    for (const room of touched) this.#changed(room);
    if (counted) this.#say("rooms");
  }

  /** → whether the list of rooms looks different now. */
  #note(room, entry) {
    if (entry.event === "notice") return this.#notice(room, entry.data);
    if (entry.event !== "message") return false;
    if (room.untype(entry.from.id)) this.#say("people", room);
    const { news, mentioned } = room.count(entry);
    if (news) this.#say("message", { room, entry, mentioned });
    return news;
  }

  #notice(room, data) {
    room.note(data);
    const code = data.user?.id === this.#me.id && REMOVALS[data.act];
    if (code) this.#removed(room, { code, ...data });
    if (data.user) this.#say("members", room);
    if (["rules", "role"].includes(data.act)) this.#outbox.hurry(room.slug);
    return true;
  }

  #tellReceived(data) {
    this.#socket.emit("received", data);
    for (const slug of Object.keys(data)) {
      const { position, epoch } = this.rooms.get(slug)?.timeline ?? {};
      if (position) this.#memory.set(`position:${slug}`, { ...position, epoch });
    }
  }

  // Events without history

  #hear(event, data) {
    const room = this.rooms.get(data.room);
    if (event === "typing" && room) this.#types(room, data.user);
    else if (event === "receipts" && room) this.#receipts(room, data);
    else if (event === "presence" && room) this.#presence(room, data.changes);
    else if (event === "room:reports") this.#reports(room, data.open);
    else if (event.startsWith("room:")) this.#roomsChanged(event, room, data);
  }

  #roomsChanged(event, room, data) {
    if (event === "room:removed" && room) this.#removed(room, data);
    this.refresh().catch(() => {});
  }

  #reports(room, open) {
    if (!room) return;
    room.info = { ...room.info, open_reports: open };
    this.#say("reports", room);
    this.#say("rooms");
    this.#changed(room);
  }

  #receipts(room, data) {
    room.receipts(data);
    this.#changed(room);
  }

  #types(room, user) {
    if (user.id === this.#me.id) return;
    room.types(user, () => this.#say("people", room));
    this.#say("people", room);
  }

  #presence(room, changes) {
    room.presence(changes);
    this.#say("people", room);
  }

  // What the page asks for

  /** Shows a room (or none); `page` is a first page of history that came with the page. */
  show(slug, page) {
    const room = (this.open = this.rooms.get(slug) ?? null);
    if (!room) return null;
    if (page && room.member && !room.timeline.position) {
      const kept = this.#kept(room);
      const { seq, client_id } = kept?.epoch === page.epoch ? kept : { seq: page.cursor };
      room.timeline.start({ seq, client_id }, page.epoch);
      room.timeline.merge(page, { before: page.cursor + 1 });
    }
    this.history.fill(room);
    return room;
  }

  join(room) {
    this.#join(room);
  }

  async create(data) {
    const info = await this.#socket.call("room:create", data);
    const room = this.#know({ unread: 0, mentions: 0, member: true, ...info });
    if (!room.joined) this.#join(room);
    this.#say("rooms");
    return room;
  }

  invite(room, user) {
    return this.#socket.call("room:invite", { room: room.slug, user });
  }

  async quit(room) {
    await this.#socket.call("room:quit", { room: room.slug });
    this.#gone(room, null);
    this.#say("rooms");
  }

  who(room, seq) {
    return this.#socket.call("who", { room: room.slug, seq });
  }

  type(room) {
    this.#socket.emit("typing", { room: room.slug });
  }

  write(room, event, data) {
    return this.#outbox.add(room.slug, event, data);
  }

  view(room) {
    return room.timeline.view(this.#outbox.of(room.slug));
  }

  /** Everything that is on the page of this room has been seen. */
  markRead(room) {
    const seq = room.timeline.position?.seq ?? 0;
    if (!room.member || (seq <= room.read && !room.unread)) return;
    this.#wasRead(room, seq);
    this.#channel.postMessage({ read: { room: room.slug, seq } });
    this.#tellRead(room);
  }

  #wasRead(room, seq) {
    room?.wasRead(seq);
    this.#say("rooms");
  }

  /** At once, then at most once a second. */
  #tellRead(room) {
    if (this.#reads.has(room)) return;
    const told = room.read;
    this.#socket.emit("read", { room: room.slug, seq: told });
    const timer = setTimeout(() => {
      this.#reads.delete(room);
      if (room.read > told) this.#tellRead(room);
    }, READ_EVERY);
    this.#reads.set(room, timer);
  }

  get unread() {
    let count = 0;
    for (const room of this.rooms.values()) if (room.member) count += room.unread;
    return count;
  }
}
