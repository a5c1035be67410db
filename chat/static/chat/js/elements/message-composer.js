import { chat } from "../session.js";
import { durationOf, say } from "../words.js";
import { Composer } from "./composer.js";
import { pickEmoji } from "./emoji-picker.js";

const TYPING_EVERY = 3_000;

/** Writes messages, edits and replies. */
class MessageComposer extends Composer {
  room = null;
  #editing = null; // the row being edited
  #replying = null; // the row being answered
  #typed = 0;
  #pacing = null;

  connectedCallback() {
    super.connectedCallback();
    this.querySelector('[data-act="cancel"]').addEventListener("click", () => this.cancel());
    this.querySelector('[data-act="emoji"]').addEventListener("click", ({ currentTarget }) => {
      pickEmoji(currentTarget, (emoji) => this.#insert(emoji));
    });
  }

  get drafting() {
    return super.drafting && !this.#editing;
  }

  show(room) {
    this.keep();
    this.room = room;
    this.#editing = this.#replying = null;
    const label = say("write_to", { name: room.info.name });
    this.text.placeholder = this.text.ariaLabel = label;
    this.enter(room.slug);
  }

  /** The room's slow mode, and how long the next message waits. */
  showPace() {
    clearTimeout(this.#pacing);
    const { slow_mode } = this.room.info;
    const place = this.querySelector(".pace");
    place.hidden = !slow_mode || this.room.leads;
    if (place.hidden) return;
    const seconds = Math.ceil(this.room.pause() / 1000);
    const words = say("slow_mode", { time: durationOf(slow_mode) });
    place.textContent = seconds ? `${words} ${say("next_in", { time: clockOf(seconds) })}` : words;
    if (seconds) this.#pacing = setTimeout(() => this.showPace(), 1000);
  }

  reply(row) {
    this.cancel();
    this.#replying = row;
    this.#showContext(say("replying", { name: row.from.name }));
  }

  edit(row) {
    this.keep();
    this.#replying = null;
    this.#editing = row;
    this.fill(row.body);
    this.#showContext(say("editing"));
  }

  /** Leaves an edit or a reply; the draft that was there before an edit comes back. */
  cancel() {
    const wasEditing = this.#editing;
    this.#editing = this.#replying = null;
    if (wasEditing) this.fill(this.draft);
    else this.#showContext();
    this.focus();
  }

  fill(text) {
    super.fill(text);
    this.#showContext();
  }

  #showContext(what = "") {
    const context = this.querySelector(".context");
    context.hidden = !what;
    context.querySelector(".what").textContent = what;
    if (what) this.focus();
  }

  typed() {
    super.typed();
    if (this.text.value && !this.#editing && Date.now() - this.#typed > TYPING_EVERY) {
      this.#typed = Date.now();
      chat.type(this.room);
    }
  }

  pressed({ key, altKey }) {
    if (key === "Escape" && (this.#editing || this.#replying)) this.cancel();
    else if (key === "ArrowUp" && !this.text.value && !altKey) this.#editLast();
    else return false;
    return true;
  }

  #editLast() {
    const isMine = (row) => row.kind === "message" && row.from.id === chat.me.id && row.seq && !row.deleted;
    const last = chat.view(this.room).findLast(isMine);
    if (last) this.edit(last);
  }

  #insert(emoji) {
    this.text.setRangeText(emoji, this.text.selectionStart, this.text.selectionEnd, "end");
    this.text.focus();
    this.typed();
  }

  async write() {
    const { room } = this;
    const body = this.text.value;
    const [editing, replying] = [this.#editing, this.#replying];
    this.#editing = this.#replying = null;
    if (editing) this.fill(this.draft);
    else this.fill("");
    this.keep();
    this.#typed = 0;
    this.focus();
    try {
      if (!editing) await chat.write(room, "message", { body, ...(replying && { reply_to: replying.seq }) });
      else if (body !== editing.body) await chat.write(room, "edit", { target: editing.seq, body });
      this.dispatchEvent(new Event("wrote"));
    } catch {
      this.fill(body);
      this.complain(say("not_stored"));
    }
  }
}

/** "0:09", "12:30" */
const clockOf = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;

customElements.define("message-composer", MessageComposer);
