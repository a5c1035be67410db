import { announce, complain, plainText } from "../elements/parts.js";
import { ageOf, say } from "../words.js";
import { Listing } from "./listing.js";
import { desk } from "./session.js";
import { showPerson } from "./show.js";

const SETTLED = ["resolved", "dismissed"];

/** The queue of reports: claimed, settled, and what they are about deleted. */
class Reports extends Listing {
  event = "report:list";
  key = "reports";
  place = "before";
  row = "report-row";

  connectedCallback() {
    super.connectedCallback();
    desk.addEventListener("report", ({ detail }) => this.#hear(detail));
  }

  query() {
    return { state: this.choice.value };
  }

  wants({ text }) {
    return /report|a message was deleted/.test(text);
  }

  #hear(report) {
    if (report.state === "open") announce(say("said_report", report));
    if (!this.hidden) this.refresh();
  }

  act({ dataset: { act } }, report) {
    if (act === "claim") this.#claim(report);
    else if (["resolve", "dismiss", "delete"].includes(act)) {
      this.dispatchEvent(new CustomEvent("settle", { detail: { act, report, words: wordsOf(report) } }));
    }
  }

  #claim({ id }) {
    return desk.act("report:claim", { report: id }).catch((error) => this.complain(error));
  }

  fill(row, report) {
    const { room, namespace, seq, reporter, reason, state, handled_by, outcome, at, message } = report;
    const author = message?.from ?? null;
    row.subject = { user: author, room, namespace };
    showPerson(row.querySelector(".who"), author);
    const link = row.querySelector("a.room");
    link.textContent = `${room} #${seq}`;
    link.href = `/rooms/${room}/`;
    const tag = row.querySelector(".state");
    tag.textContent = say(`report_${state}`, { name: handled_by?.name ?? say("somebody") });
    tag.dataset.state = state;
    row.querySelector(".what").textContent = wordsOf(report);
    row.querySelector(".why").textContent = reason;
    row.querySelector(".by").textContent = say("report_by", { name: reporter?.name ?? say("somebody"), time: ageOf(at) });
    complain(row.querySelector(".outcome"), outcome ? say("report_outcome", { outcome }) : "");
    row.querySelector(".acts").hidden = SETTLED.includes(state);
    row.querySelector('[data-act="claim"]').hidden = state !== "open";
    row.querySelector('[data-act="delete"]').hidden = !message || Boolean(message.deleted);
    row.querySelector('[data-act="person"]').hidden = !author;
  }
}

/** What was reported, as it stands now. */
function wordsOf({ message }) {
  if (!message) return say("message_gone");
  return message.deleted ? say("message_deleted", { name: message.deleted.by.name }) : plainText(message);
}

customElements.define("console-reports", Reports);
