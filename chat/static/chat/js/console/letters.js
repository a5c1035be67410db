import { complain } from "../elements/parts.js";
import { textOf } from "../orders/items.js";
import { count, reasonOf, say } from "../words.js";
import { Listing } from "./listing.js";
import { desk } from "./session.js";
import { showAge } from "./show.js";

/** Orders that nobody got done, and entries that a member never got. */
class Letters extends Listing {
  event = "deadletter:list";
  key = "dead_letters";
  place = "before";
  template = "letter-row";

  connectedCallback() {
    super.connectedCallback();
    this.list.addEventListener("click", ({ target }) => this.#clicked(target));
  }

  idOf({ id }) {
    return id;
  }

  wants({ text }) {
    return /dead letter|an order (died|was)/.test(text);
  }

  #clicked(target) {
    const act = target.closest?.("[data-act]")?.dataset.act;
    const row = target.closest?.(".row");
    if (act === "revive") this.#revive(row);
    if (act === "bury") this.dispatchEvent(new CustomEvent("bury", { detail: { letter: row.item, what: titleOf(row.item) } }));
  }

  async #revive(row) {
    const problem = row.querySelector(".problem");
    try {
      await desk.act("deadletter:revive", { letter: row.item.id });
    } catch (error) {
      complain(problem, reasonOf(error));
    }
  }

  fill(row, letter) {
    const { place, attempts, reason, why, item, user, at } = letter;
    row.querySelector(".title").textContent = titleOf(letter);
    row.querySelector(".slug").textContent = place;
    showAge(row.querySelector("time"), at);
    const words = [say(`reason_${reason}`), why, attempts && count("attempts", attempts)];
    row.querySelector(".why").textContent = words.filter(Boolean).join(" · ");
    const shown = row.querySelector(".item");
    shown.hidden = item === undefined;
    shown.textContent = item === undefined ? "" : textOf(item);
    row.querySelector('[data-act="revive"]').hidden = user !== null;
  }
}

function titleOf({ first, last, user }) {
  if (user === null) return say("letter_order", { seq: first });
  return first === last ? say("letter_entry", { seq: first, name: user }) : say("letter_entries", { first, last, name: user });
}

customElements.define("console-letters", Letters);
