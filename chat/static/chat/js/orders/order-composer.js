import { Composer } from "../elements/composer.js";
import { byteLength } from "../socket.js";
import { say } from "../words.js";
import { LONGEST, itemOf, kindOf } from "./items.js";
import { board } from "./session.js";

/** Writes orders, of text or JSON. */
class OrderComposer extends Composer {
  longest = LONGEST;
  queue = null;

  connectedCallback() {
    super.connectedCallback();
    this.kind = this.querySelector(".kind");
  }

  show(queue) {
    this.queue = queue;
    this.text.placeholder = this.text.ariaLabel = say("write_to", { name: queue.info.name });
    this.enter(queue.slug);
  }

  size(text) {
    return byteLength(JSON.stringify(itemOf(text)));
  }

  check() {
    super.check();
    const kind = kindOf(this.text.value);
    const words = this.text.value.trim() && kind !== "text" ? say(`kind_${kind}`) : "";
    if (this.kind.textContent !== words) this.kind.textContent = words;
    this.kind.dataset.kind = kind;
  }

  async write() {
    const written = this.text.value;
    this.fill("");
    this.keep();
    this.focus();
    try {
      await board.order(this.queue, itemOf(written));
    } catch {
      this.fill(written);
      this.complain(say("not_stored"));
    }
  }
}

customElements.define("order-composer", OrderComposer);
