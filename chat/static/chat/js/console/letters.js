import { textOf } from "../orders/items.js";
import { count, say } from "../words.js";
import { Listing } from "./listing.js";
import { desk } from "./session.js";
import { showAge } from "./show.js";

/** Orders that nobody got done, and entries that a member never got. */
class Letters extends Listing {
  event = "deadletter:list";
  key = "dead_letters";
  place = "before";
  row = "letter-row";

  wants({ text }) {
    return /dead letter|an order (died|was)/.test(text);
  }

  act({ dataset: { act } }, letter) {
    if (act === "revive") this.#revive(letter);
    if (act === "bury") this.dispatchEvent(new CustomEvent("bury", { detail: { letter, what: titleOf(letter) } }));
  }

  #revive({ id }) {
    return desk.act("deadletter:revive", { letter: id }).catch((error) => this.complain(error));
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
