/**
 * The messages of one room: a window of rows over the room's log.
 *
 * Entries are applied once each, in the order in which they come; pages of history show
 * messages as they stood at the page's `head`, so an entry up to there changes them no more.
 * Rows are kept in order of `seq`. Past `LIMIT` they are dropped at the far end and fetched
 * again by history when someone scrolls there.
 */

export const LIMIT = 300;

export class Timeline {
  rows = [];
  /** The last entry applied: `{seq, client_id}`; a join resumes after it. */
  position = null;
  epoch = null;
  ordered = true;
  /** There is more to fetch above the first row. */
  older = true;
  /** The last row is the newest message there is: new ones are appended. */
  atEnd = true;
  /** Own messages that were acknowledged and whose entry has not come yet. */
  sent = [];

  #me;
  #floor = 0; // unordered: all up to here was seen, …
  #seen = new Set(); // … and these above it
  #late = null; // entries that came while a page was under way

  constructor({ me, ordered = true }) {
    this.#me = me;
    this.ordered = ordered;
  }

  /** Where the server starts to send: everything up to `seq` counts as seen. */
  start(position, epoch) {
    this.position = position;
    this.epoch = epoch;
    this.#floor = position.seq;
    this.#seen.clear();
  }

  /** The log is another one than we knew (or was trimmed past us): nothing kept is worth anything. */
  reset() {
    this.rows = [];
    this.sent = [];
    this.older = true;
    this.atEnd = true;
    this.position = null;
  }

  /** → "new", "known", or "gap": an ordered room skips nothing, so the room must be joined again. */
  apply(entry) {
    if (this.#knows(entry.seq)) return "known";
    if (this.ordered && entry.seq > this.position.seq + 1) return "gap";
    this.#remember(entry);
    this.#late?.push(entry);
    this.#act(entry);
    return "new";
  }

  #knows(seq) {
    return this.ordered ? seq <= this.position.seq : seq <= this.#floor || this.#seen.has(seq);
  }

  #remember({ seq, data }) {
    if (seq > this.position.seq) this.position = { seq, client_id: data?.client_id };
    if (this.ordered) return;
    this.#seen.add(seq);
    while (this.#seen.delete(this.#floor + 1)) this.#floor += 1;
  }

  #act(entry) {
    if (entry.event === "message" || entry.event === "notice") this.#insert(rowOf(entry, entry.seq));
    else this.#change(entry);
  }

  #insert(row) {
    this.sent = this.sent.filter((sent) => !isSame(sent, row));
    const at = indexOf(this.rows, row.seq);
    if (this.rows[at]?.seq === row.seq) {
      if (row.asOf > this.rows[at].asOf) this.rows[at] = { ...row, version: this.rows[at].version + 1 };
      return;
    }
    if (at === this.rows.length && !this.atEnd) return; // comes by history, when one scrolls there
    this.rows.splice(at, 0, row);
  }

  #change(entry) {
    const row = this.find(entry.data.target);
    if (!row || entry.seq <= row.asOf) return;
    row.asOf = entry.seq;
    row.version += 1;
    CHANGES[entry.event]?.(row, entry, this.#me);
  }

  find(seq) {
    const row = this.rows[indexOf(this.rows, seq)];
    return row?.seq === seq ? row : undefined;
  }

  // History

  /** Call before asking for a page, `merge` with the answer (or `forget` without one). */
  expect() {
    this.#late ??= [];
  }

  forget() {
    this.#late = null;
  }

  /** Takes a page asked for with `before` (the first row's seq), `after` (the last row's), or
   * neither; `anew` leaves behind what was there. */
  merge(page, { before, after, anew = false } = {}) {
    const newest = before === undefined && after === undefined;
    if (newest || anew) this.rows = [];
    if (anew) this.atEnd = false;
    if (newest || (after !== undefined && !page.more)) this.atEnd = true;
    const atEnd = this.atEnd;
    this.atEnd = true; // a page's rows belong where they stand
    for (const message of page.messages) this.#insert(rowOf(message, page.head));
    this.atEnd = atEnd;
    if (after === undefined) this.older = page.more ?? page.messages[0]?.seq > page.first;
    for (const entry of this.#late ?? []) if (entry.seq > page.head) this.#act(entry);
    this.#late = null;
  }

  /** Keeps the window: `end` says which end may go ("start" when the newest are being read). */
  trim(end) {
    const extra = this.rows.length - LIMIT;
    if (extra <= 0) return;
    if (end === "start") {
      this.rows.splice(0, extra);
      this.older = true;
    } else {
      this.rows.splice(LIMIT);
      this.atEnd = false;
    }
  }

  // Own writes

  /** The outbox has its ack. The entry may have come already, or come later. */
  acknowledged(record, { seq }) {
    if (record.event !== "message") return;
    if (this.rows.some((row) => isSame(row, mine(record, this.#me)))) return;
    if (this.position && this.#knows(seq)) return;
    this.sent.push({ ...mine(record, this.#me), seq, state: "stored" });
  }

  /** What is shown: the rows, changed by what is still on its way, and own messages below them. */
  view(records = []) {
    const shown = this.rows.map((row) => row);
    const changes = records.filter((record) => record.event !== "message");
    for (const record of changes) {
      const at = indexOf(this.rows, record.data.target);
      if (this.rows[at]?.seq === record.data.target) shown[at] = expected(shown[at], record, this.#me);
    }
    const known = new Set(this.rows.map((row) => row.key));
    const own = records
      .filter((record) => record.event === "message")
      .map((record) => mine(record, this.#me))
      .filter((row) => !known.has(row.key));
    return [...shown, ...(this.atEnd ? this.sent : []), ...own];
  }
}

// Rows

function rowOf(entry, asOf) {
  const { data, ...rest } = entry;
  return {
    ...data,
    seq: rest.seq,
    kind: rest.event,
    at: rest.at,
    from: rest.from,
    reactions: data.reactions ?? [],
    key: keyOf(rest.from.id, data.client_id ?? rest.seq),
    state: "stored",
    asOf,
    version: 0,
  };
}

function mine(record, me) {
  return {
    ...record.data,
    kind: "message",
    at: record.at,
    from: me,
    reactions: [],
    key: keyOf(me.id, record.client_id),
    state: record.error ? "refused" : "waiting",
    error: record.error,
    record,
    version: 0,
  };
}

const keyOf = (sender, clientId) => `${sender}:${clientId}`;
const isSame = (one, other) => one.key === other.key;

/** The place of `seq` among rows in order: of its row, or where it would stand. */
function indexOf(rows, seq) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].seq < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

const CHANGES = {
  edit(row, { at, data }) {
    if (row.deleted || data.deleted) return;
    row.body = data.body;
    row.html = data.html;
    row.mentions = data.mentions ?? row.mentions;
    row.edited_at = at;
  },
  delete(row, { at, from, data }) {
    row.deleted = { by: from, at, reason: data.reason };
    row.body = row.html = undefined;
    row.reactions = [];
  },
  react(row, { from, data: { emoji, on } }, me) {
    if (!row.deleted) row.reactions = reacted(row.reactions, from, emoji, on, me);
  },
};

function reacted(reactions, person, emoji, on, me) {
  const known = reactions.find((each) => each.emoji === emoji) ?? { emoji, count: 0, users: [], mine: false };
  const isMe = person.id === me.id;
  const had = isMe ? known.mine : known.users.some((user) => user.id === person.id);
  if (had === on) return reactions;
  const changed = {
    emoji,
    count: known.count + (on ? 1 : -1),
    users: on ? [...known.users, person] : known.users.filter((user) => user.id !== person.id),
    mine: isMe ? on : known.mine,
  };
  if (!reactions.includes(known)) return [...reactions, changed];
  return reactions.map((each) => (each === known ? changed : each)).filter((each) => each.count > 0);
}

/** A row as it will be once `record` has been acknowledged. */
function expected(row, record, me) {
  const after = { ...row, changing: record.error ? row.changing : "waiting" };
  if (record.error) return { ...after, refused: record };
  const entry = { at: record.at, from: me, data: record.data };
  CHANGES[record.event](after, entry, me);
  return after;
}
