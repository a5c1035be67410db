/** Fetches a room's history, page by page, into its timeline. */

const PAGE = 50;

export class History {
  #call;
  #changed;

  /** `call(event, data)` is the socket's; `changed(room)` is told when a page has come. */
  constructor(call, changed) {
    this.#call = call;
    this.#changed = changed;
  }

  /** A first page, where there is none. Of one's own room it lies below where the join begins. */
  async fill(room) {
    await room.loading?.catch(() => {}); // asked for before the join, it may be of no use
    const { older, rows, position } = room.timeline;
    if (older && rows.length < PAGE && (position || !room.member)) this.older(room).catch(() => {});
  }

  older(room) {
    const { rows, position } = room.timeline;
    return this.#load(room, { before: rows[0]?.seq ?? (position ? position.seq + 1 : undefined) });
  }

  newer(room) {
    return this.#load(room, { after: room.timeline.rows.at(-1)?.seq ?? 0 });
  }

  /** Leaves the past behind: the newest page alone. */
  async newest(room) {
    await room.loading?.catch(() => {});
    await this.#load(room, {});
  }

  /** Leaves where one was: a page that ends with this message, and the one behind it. */
  async around(room, seq) {
    while (room.loading) await room.loading.catch(() => {}); // and not a moment longer: others wait, too
    await this.#load(room, { before: seq + 1 }, { anew: true });
    await this.newer(room);
  }

  /** One message as it stands. */
  async one(room, seq) {
    const page = await this.#call("history", { room: room.slug, after: seq - 1, before: seq + 1, limit: 1 });
    return page.messages[0];
  }

  #load(room, bounds, how) {
    room.loading ??= this.#page(room, bounds, how).finally(() => (room.loading = null));
    return room.loading;
  }

  async #page(room, bounds, how) {
    const { timeline } = room;
    const { epoch } = timeline;
    timeline.expect();
    try {
      const page = await this.#call("history", { room: room.slug, limit: PAGE, ...bounds });
      if (timeline.epoch === epoch) timeline.merge(page, { ...bounds, ...how });
    } finally {
      timeline.forget();
    }
    this.#changed(room);
  }
}
