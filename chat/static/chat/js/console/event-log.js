import { clone, complain } from "../elements/parts.js";
import { count, momentOf, say } from "../words.js";
import { MOST_LINES } from "./desk.js";
import { desk } from "./session.js";
import { exactTimeOf } from "./show.js";

const NEAR = 40; // pixels from the end, within which the log follows

/** What happens in every process, as it happens. */
class EventLog extends HTMLElement {
  #paused = false;
  #missed = 0;

  connectedCallback() {
    this.list = this.querySelector(".lines");
    this.input = this.querySelector("input");
    this.button = this.querySelector('[data-act="pause"]');
    this.input.addEventListener("input", () => this.#redraw());
    this.button.addEventListener("click", () => this.pause());
    desk.addEventListener("line", ({ detail }) => this.#hear(detail));
    this.#redraw();
  }

  /** Stands still while one reads; what comes meanwhile is kept. */
  pause() {
    this.#paused = !this.#paused;
    this.#missed = 0;
    if (!this.#paused) this.#redraw();
    this.#showState();
  }

  #hear(line) {
    if (this.#paused) this.#missed += 1;
    else if (this.#wants(line)) this.#add(line);
    this.#showState();
  }

  #wants(line) {
    const words = this.input.value.trim().toLowerCase().split(/\s+/);
    const said = `${line.text} ${fieldsOf(line)}`.toLowerCase();
    return words.every((word) => said.includes(word));
  }

  #add(line) {
    const { scrollHeight, scrollTop, clientHeight } = this.list;
    const follows = scrollHeight - scrollTop - clientHeight < NEAR;
    this.list.append(rowOf(line));
    while (this.list.childElementCount > MOST_LINES) this.list.firstElementChild.remove();
    if (follows) this.list.scrollTop = this.list.scrollHeight;
  }

  #redraw() {
    this.list.replaceChildren(...desk.lines.filter((line) => this.#wants(line)).map(rowOf));
    this.list.scrollTop = this.list.scrollHeight;
    this.#showState();
  }

  #showState() {
    const empty = this.list.childElementCount ? "" : say(desk.lines.length ? "log_filtered" : "log_empty");
    complain(this.querySelector(".empty"), empty);
    this.button.ariaPressed = String(this.#paused);
    const goOn = this.#missed ? count("log_paused", this.#missed) : say("log_go_on");
    const words = this.#paused ? goOn : say("log_pause");
    if (this.button.textContent !== words) this.button.textContent = words;
  }
}

function rowOf(line) {
  const row = clone("log-row");
  const time = row.querySelector("time");
  time.textContent = exactTimeOf(line.at);
  time.dateTime = line.at;
  time.title = momentOf(line.at);
  row.querySelector(".text").textContent = line.text;
  row.querySelector(".fields").textContent = fieldsOf(line);
  row.classList.toggle("act", "by" in line);
  row.classList.toggle("bad", /dead letter|died|refused/.test(line.text) || !["ok", undefined].includes(line.outcome));
  return row;
}

/** `user=alice room=general`: what a line is about, but for numbers that only programs want. */
function fieldsOf({ at, text, id, sid, ...fields }) {
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

customElements.define("event-log", EventLog);
