import { clone, onceAFrame } from "../elements/parts.js";
import { count, say } from "../words.js";
import { PLOTS, summed } from "./figures.js";
import { desk } from "./session.js";
import { brief, countOf, inUnit, showPerson, whole } from "./show.js";

/** The figures: now, as plots, and as a table. */
class Overview extends HTMLElement {
  window = 300;

  connectedCallback() {
    this.plots = [...this.querySelectorAll("live-plot")];
    this.querySelector(".window").addEventListener("change", ({ target }) => this.#look(Number(target.value)));
    this.table = this.querySelector("details.figures");
    const draw = onceAFrame(() => !this.hidden && this.#draw());
    desk.addEventListener("figures", draw);
    this.table.addEventListener("toggle", draw);
    desk.addEventListener("stats", ({ detail }) => this.#count(detail));
  }

  show() {
    for (const plot of this.plots) plot.redraw();
  }

  refresh() {
    desk.count();
  }

  find() {
    this.querySelector("event-log input").focus();
  }

  #look(seconds) {
    this.window = seconds;
    for (const plot of this.plots) plot.window = seconds;
    if (desk.figures.last) this.#draw();
  }

  #count({ online, rooms, entries, orders, open_reports, dead_letters }) {
    const open = orders.queued + orders.leased;
    for (const [name, n] of Object.entries({ online, rooms, entries, orders: open, open_reports, dead_letters })) {
      const place = this.querySelector(`[data-count="${name}"]`);
      place.textContent = whole(n);
      place.classList.toggle("some", n > 0);
    }
  }

  #draw() {
    const { processes, of } = desk.figures.last ?? {};
    if (!processes) return;
    const words = processes < of ? say("of_some", { n: processes, of }) : count("of_all", processes);
    const place = this.querySelector(".of");
    if (place.textContent !== words) place.textContent = words;
    if (this.table.open) this.#tabulate();
  }

  #tabulate() {
    this.table.querySelector("tbody").replaceChildren(...this.plots.flatMap((plot) => this.#rows(plot.dataset)));
  }

  /** A row for each line of a plot: now, mean, most. */
  #rows({ plot, name }) {
    const { lines, unit } = PLOTS[plot];
    return lines.map((read, i) => {
      const row = clone("figure-row");
      const { mean, most } = summed(desk.figures.points(read, this.window * 1000));
      const cells = [read(desk.figures.last), mean, most].map((value) => inUnit(unit, value));
      row.firstElementChild.textContent = lines.length > 1 ? `${name}, ${i ? "p99" : "p50"}` : name;
      cells.forEach((words, j) => (row.children[j + 1].textContent = words));
      return row;
    });
  }
}

/** The connected members who have acknowledged least, and what else waits. */
class SlowestNow extends HTMLElement {
  connectedCallback() {
    this.list = this.querySelector(".rows");
    const draw = onceAFrame(() => this.checkVisibility() && this.draw());
    desk.addEventListener("figures", draw);
  }

  draw() {
    const { slowest, sockets, outbox, redelivered } = desk.figures.last;
    this.querySelector(".empty").hidden = slowest.length > 0;
    // As many rows as there are; each keeps its place, and with it the focus.
    while (this.list.childElementCount > slowest.length) this.list.lastElementChild.remove();
    slowest.forEach((place, i) => this.#fill(this.list.children[i] ?? this.#add(), place));
    this.#count(sockets);
    const waiting = outbox ? say("outbox", { n: brief(Math.ceil(outbox / 1024)) }) : say("outbox_empty");
    this.querySelector(".waiting").textContent = redelivered ? `${waiting} ${say("redelivered", { n: brief(redelivered) })}` : waiting;
  }

  #add() {
    const row = clone("behind-row");
    this.list.append(row);
    return row;
  }

  #fill(row, { user, room, namespace, sid, lag }) {
    row.subject = { user, room, namespace, sid };
    showPerson(row.querySelector(".who"), user);
    row.querySelector(".where").textContent = namespace === "chat" ? room : `/${namespace} ${room}`;
    row.querySelector(".behind").textContent = countOf("behind", lag);
  }

  #count(sockets) {
    const names = [...Object.keys(sockets).filter((name) => sockets[name])].sort();
    const parts = names.flatMap((name) => {
      const [term, number] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, number.textContent] = [`/${name}`, whole(sockets[name])];
      return [term, number];
    });
    this.querySelector(".namespaces").replaceChildren(...parts);
  }
}

customElements.define("console-overview", Overview);
customElements.define("slowest-now", SlowestNow);
