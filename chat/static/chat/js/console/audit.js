import { Listing } from "./listing.js";
import { showAge, showPerson } from "./show.js";

/** Who did what, to whom and why. */
class Audit extends Listing {
  event = "audit:list";
  key = "acts";
  place = "before";
  row = "act-row";

  wants({ by }) {
    return by !== undefined;
  }

  fill(row, { at, by, about, text }) {
    showAge(row.querySelector("time"), at);
    showPerson(row.querySelector(".who"), by);
    const [, what, fields] = text.match(/^(.*?)((?: \w+=.*)?)$/s);
    row.querySelector("strong").textContent = what;
    row.querySelector(".about").textContent = `${about}${fields}`;
  }
}

customElements.define("console-audit", Audit);
