import { chat, memory } from "../session.js";
import { say } from "../words.js";
import { pickEmoji } from "./parts.js";

const LONGEST = 16 * 1024; // bytes of a body
const TYPING_EVERY = 3_000;
const KEEP_AFTER = 300;

const bytes = (text) => new TextEncoder().encode(text).length;

// Without a keyboard there is no Shift+Enter: Enter breaks the line, the button sends.
const byTouch = matchMedia("(pointer: coarse)");

/** Where one writes: works offline too, and keeps what was begun, room by room. */
class MessageComposer extends HTMLElement {
  room = null;
  #editing = null; // the row being edited
  #replying = null; // the row being answered
  #typed = 0;
  #keeping = null;

  connectedCallback() {
    this.text = this.querySelector("textarea");
    this.send = this.querySelector(".send");
    this.problem = this.querySelector(".problem");
    this.querySelector("form").addEventListener("submit", (event) => this.#submit(event));
    this.text.addEventListener("input", () => this.#input());
    this.text.addEventListener("keydown", (event) => this.#key(event));
    this.querySelector('[data-act="cancel"]').addEventListener("click", () => this.cancel());
    this.querySelector('[data-act="emoji"]').addEventListener("click", ({ currentTarget }) => {
      pickEmoji(currentTarget, (emoji) => this.#insert(emoji));
    });
    addEventListener("pagehide", () => this.#keep());
  }

  show(room) {
    this.#keep();
    this.room = room;
    this.#editing = this.#replying = null;
    const label = say("write_to", { name: room.info.name });
    this.text.placeholder = this.text.ariaLabel = label;
    this.#fill(memory.get(`draft:${room.slug}`) ?? "");
  }

  focus() {
    if (!this.hidden) this.text.focus();
  }

  reply(row) {
    this.cancel();
    this.#replying = row;
    this.#showContext(say("replying", { name: row.from.name }));
  }

  edit(row) {
    this.#keep();
    this.#replying = null;
    this.#editing = row;
    this.#fill(row.body);
    this.#showContext(say("editing"));
  }

  /** Leaves an edit or a reply; the draft that was there before an edit comes back. */
  cancel() {
    const wasEditing = this.#editing;
    this.#editing = this.#replying = null;
    if (wasEditing) this.#fill(memory.get(`draft:${this.room.slug}`) ?? "");
    else this.#showContext();
    this.focus();
  }

  #fill(text) {
    this.text.value = text;
    this.#showContext();
    this.#check();
  }

  #showContext(what = "") {
    const context = this.querySelector(".context");
    context.hidden = !what;
    context.querySelector(".what").textContent = what;
    if (what) this.focus();
  }

  #check() {
    const over = bytes(this.text.value) - LONGEST;
    this.send.disabled = !this.text.value.trim() || over > 0;
    this.#complain(over > 0 ? say("too_long", { n: over }) : "");
    // Where CSS can't size it by its content yet.
    if (!CSS.supports("field-sizing", "content")) this.text.rows = Math.min(8, this.text.value.split("\n").length);
  }

  #complain(words) {
    this.problem.hidden = !words;
    this.problem.textContent = words;
  }

  #input() {
    this.#check();
    this.#keeping ??= setTimeout(() => this.#keep(), KEEP_AFTER);
    if (this.text.value && !this.#editing && Date.now() - this.#typed > TYPING_EVERY) {
      this.#typed = Date.now();
      chat.type(this.room);
    }
  }

  #keep() {
    clearTimeout(this.#keeping);
    this.#keeping = null;
    if (this.room && !this.#editing) memory.set(`draft:${this.room.slug}`, this.text.value);
  }

  #key(event) {
    const { key, shiftKey, isComposing } = event;
    if (isComposing) return;
    const empty = !this.text.value;
    if (key === "Enter" && !shiftKey && !byTouch.matches) this.#submit(event);
    else if (key === "Escape" && (this.#editing || this.#replying)) this.cancel();
    else if (key === "ArrowUp" && empty && !event.altKey) this.#editLast(event);
    else return;
    event.preventDefault();
  }

  #editLast() {
    const isMine = (row) => row.kind === "message" && row.from.id === chat.me.id && row.seq && !row.deleted;
    const last = chat.view(this.room).findLast(isMine);
    if (last) this.edit(last);
  }

  #insert(emoji) {
    this.text.setRangeText(emoji, this.text.selectionStart, this.text.selectionEnd, "end");
    this.text.focus();
    this.#input();
  }

  async #submit(event) {
    event.preventDefault();
    if (this.send.disabled) return;
    const { room } = this;
    const body = this.text.value;
    const [editing, replying] = [this.#editing, this.#replying];
    this.#editing = this.#replying = null;
    if (editing) this.#fill(memory.get(`draft:${room.slug}`) ?? "");
    else this.#fill("");
    this.#keep();
    this.#typed = 0;
    this.focus();
    try {
      if (!editing) await chat.write(room, "message", { body, ...(replying && { reply_to: replying.seq }) });
      else if (body !== editing.body) await chat.write(room, "edit", { target: editing.seq, body });
      this.dispatchEvent(new Event("wrote"));
    } catch {
      this.#fill(body);
      this.#complain(say("not_stored"));
    }
  }
}

customElements.define("message-composer", MessageComposer);
