import { chat, socket } from "../session.js";
import { count, say, whenOf } from "../words.js";
import { plainText } from "./parts.js";
import { PagedList } from "./paged-list.js";

/** What was reported of a room. To settle a report, or delete its message, is asked for by an event. */
class RoomReports extends PagedList {
  connectedCallback() {
    super.connectedCallback();
    chat.addEventListener("reports", ({ detail }) => detail === this.room && this.refresh());
  }

  show(room) {
    return this.switch("unsettled", room);
  }

  async ask(before) {
    const { slug } = this.room;
    const page = await socket.call("room:reports", { room: slug, state: this.shown, ...(before && { before }) });
    return { items: page.reports, next: page.more ? page.next : null };
  }

  template() {
    return "report-row";
  }

  counted(n, more) {
    if (!n) return say(`no_reports_${this.shown}`);
    return count(more ? "reports_first" : "reports_all", n);
  }

  fill(row, report) {
    const { reporter, reason, at, message, state } = report;
    const part = (name) => row.querySelector(name);
    part(".why").textContent = reason;
    part(".said + .about").textContent = say("reported", { name: reporter.name, at: whenOf(at) });
    const quote = part("blockquote");
    quote.textContent = this.#quoted(message);
    quote.classList.toggle("gone", !message || Boolean(message.deleted));
    part(".state").textContent = stateOf(report);
    part(".state").hidden = state === "open";
    const acts = actsOn(report);
    for (const button of row.querySelectorAll("[data-do]")) button.hidden = !acts.includes(button.dataset.do);
  }

  #quoted(message) {
    if (!message) return say("report_gone");
    const words = message.deleted ? say("deleted") : plainText(message);
    return `${message.from.name}: ${words}`;
  }

  async act(button, report) {
    const act = button.dataset.do;
    if (act !== "claim") return this.dispatchEvent(new CustomEvent(act, { detail: report }));
    try {
      await socket.call("report:claim", { report: report.id });
      this.refresh();
    } catch (error) {
      this.complain(error);
    }
  }
}

function actsOn({ state, message, handled_by }) {
  const there = message && !message.deleted;
  const settled = ["resolved", "dismissed"].includes(state);
  const others = state === "claimed" && handled_by?.id !== chat.me.id && !chat.me.staff;
  return [
    ...(there ? ["go"] : []),
    ...(settled || others ? [] : [...(there ? ["delete"] : []), "dismiss", "resolve"]),
    ...(state === "open" ? ["claim"] : []),
  ];
}

function stateOf({ state, handled_by, handled_at, outcome }) {
  if (state === "open") return "";
  const words = say(`report_${state}`, { name: handled_by?.name ?? say("somebody"), at: whenOf(handled_at) });
  return outcome ? `${words} ${say("outcome", { outcome })}` : words;
}

customElements.define("room-reports", RoomReports);
