import { memory } from "../connection.js";
import { byteLength } from "../socket.js";
import { say } from "../words.js";
import { complain } from "./parts.js";

const KEEP_AFTER = 300;

// Without a keyboard there is no Shift+Enter: Enter breaks the line, the button sends.
const byTouch = matchMedia("(pointer: coarse)");

/** Where one writes: works offline too, and keeps what was begun, place by place. A subclass
 * has `write()`, and may have `size(text)` and `pressed(event)`, which tells whether it took a key. */
export class Composer extends HTMLElement {
  longest = 16 * 1024; // bytes
  #place = null; // where the draft is kept
  #keeping = null;

  connectedCallback() {
    this.text = this.querySelector("textarea");
    this.send = this.querySelector(".send");
    this.problem = this.querySelector(".problem");
    this.querySelector("form").addEventListener("submit", (event) => this.#submit(event));
    this.text.addEventListener("input", () => this.typed());
    this.text.addEventListener("keydown", (event) => this.#key(event));
    addEventListener("pagehide", () => this.keep());
  }

  focus() {
    if (!this.hidden) this.text.focus();
  }

  /** Goes to another place, with what was begun there. */
  enter(place) {
    this.keep();
    this.#place = place;
    this.fill(this.draft);
  }

  get draft() {
    return memory.get(`draft:${this.#place}`) ?? "";
  }

  /** Whether what stands here is a draft to be kept. */
  get drafting() {
    return this.#place !== null;
  }

  fill(text) {
    this.text.value = text;
    this.check();
  }

  size(text) {
    return byteLength(text);
  }

  check() {
    const over = this.size(this.text.value) - this.longest;
    this.send.disabled = !this.text.value.trim() || over > 0;
    this.complain(over > 0 ? say("too_long", { n: over }) : "");
    // Where CSS can't size it by its content yet.
    if (!CSS.supports("field-sizing", "content")) this.text.rows = Math.min(8, this.text.value.split("\n").length);
  }

  complain(words) {
    complain(this.problem, words);
  }

  typed() {
    this.check();
    this.#keeping ??= setTimeout(() => this.keep(), KEEP_AFTER);
  }

  keep() {
    clearTimeout(this.#keeping);
    this.#keeping = null;
    if (this.drafting) memory.set(`draft:${this.#place}`, this.text.value);
  }

  pressed() {
    return false;
  }

  #key(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey && !byTouch.matches) this.#submit(event);
    else if (this.pressed(event)) event.preventDefault();
  }

  #submit(event) {
    event.preventDefault();
    if (!this.send.disabled) this.write();
  }
}
