import { Listing } from "./listing.js";
import { showAge, showPerson } from "./show.js";

/** Who did what, to whom and why. */
class Audit extends Listing {
  event = "audit:list";
  key = "acts";
  place = "before";
  template = "act-row";

  idOf({ id }) {
    return id;
  }

  wants({ by }) {
    return by !== undefined;
  }

  fill(row, { at, by, about, text }) {
    showAge(row.querySelector("time"), at);
    showPerson(row.querySelector(".who"), by);
    row.querySelector(".what").textContent = [about, text].filter(Boolean).join(": ");
  }
}

customElements.define("console-audit", Audit);
