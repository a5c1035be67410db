import { onceAFrame } from "../elements/parts.js";
import { PlaceList } from "../elements/place-list.js";
import { say } from "../words.js";
import { board } from "./session.js";

/** The queues, with how many orders wait in each. */
class QueueList extends PlaceList {
  connectedCallback() {
    super.connectedCallback();
    const draw = onceAFrame(() => this.show());
    board.addEventListener("queues", draw);
    board.addEventListener("orders", draw);
    this.show();
  }

  places() {
    return [...board.queues.values()];
  }

  show() {
    const found = this.found();
    this.list("mine", found);
    this.querySelector('[data-empty="mine"]').hidden = board.queues.size > 0;
    this.querySelector('[data-empty="filter"]').hidden = !this.filtered || found.length > 0;
  }

  leave() {
    document.querySelector("order-composer").focus();
  }

  fill(item, queue) {
    const link = item.firstElementChild;
    const { queued } = queue.counts;
    link.href = `/orders/${queue.slug}/`;
    link.ariaCurrent = queue === board.open ? "page" : null;
    link.classList.toggle("closed", queue.info.closed);
    const badge = item.querySelector(".badge");
    badge.hidden = !queued;
    badge.textContent = queued > 999 ? "999+" : queued;
    badge.ariaLabel = say("queued_count", { n: queued });
  }
}

customElements.define("queue-list", QueueList);
