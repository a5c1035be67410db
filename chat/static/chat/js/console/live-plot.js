import { onceAFrame } from "../elements/parts.js";
import { durationOf, say } from "../words.js";
import { PLOTS, areaOf, lineOf, niceCeiling, summed } from "./figures.js";
import { desk } from "./session.js";
import { exactTimeOf, inUnit, onAxis, pairOf } from "./show.js";

const WIDTH = 300;
const HEIGHT = 72;

/** One figure of the last minutes. Under the pointer it says what it was at that moment. */
class LivePlot extends HTMLElement {
  #plot;
  #window = 300_000;
  #pointed = null; // part of the width

  connectedCallback() {
    this.#plot = PLOTS[this.dataset.plot];
    this.svg = this.querySelector("svg");
    const draw = onceAFrame(() => this.checkVisibility() && this.draw());
    desk.addEventListener("figures", draw);
    this.svg.addEventListener("pointermove", ({ offsetX }) => this.#point(offsetX / this.svg.clientWidth, draw));
    this.svg.addEventListener("pointerleave", () => this.#point(null, draw));
    this.redraw = draw;
    this.draw();
  }

  /** How far back it goes, in seconds. */
  set window(seconds) {
    this.#window = seconds * 1000;
    this.redraw();
  }

  #point(part, draw) {
    this.#pointed = part;
    draw();
  }

  draw() {
    const { lines, least } = this.#plot;
    const to = desk.figures.last?.at ?? Date.now();
    const each = lines.map((read) => desk.figures.points(read, this.#window, to));
    const most = Math.max(0, ...each.map((points) => summed(points).most ?? 0));
    const box = { from: to - this.#window, to, top: niceCeiling(most, least), width: WIDTH, height: HEIGHT };
    const [line, second] = [this.svg.querySelector(".line:not(.second)"), this.svg.querySelector(".second")];
    line.setAttribute("d", lineOf(each[0], box));
    this.svg.querySelector(".area").setAttribute("d", areaOf(each[0], box));
    second?.setAttribute("d", lineOf(each[1], box));
    this.#showAxes(box);
    this.#showValue(most, to);
  }

  #showAxes({ top }) {
    this.#write(".top", onAxis(this.#plot.unit, top));
    this.#write(".half", onAxis(this.#plot.unit, top / 2));
    this.#write(".from", say("ago", { time: durationOf(this.#window / 1000) }));
  }

  #showValue(most, to) {
    const pointed = this.#pointed === null ? null : desk.figures.nearest(to - this.#window * (1 - this.#pointed));
    const sample = pointed ?? desk.figures.last;
    const words = sample ? this.#said(sample) : say("no_figure");
    this.#write(".now", words);
    this.#write(".at", pointed ? exactTimeOf(pointed.at) : say("axis_now"));
    this.svg.querySelector(".cursor").setAttribute("d", pointed ? `M${this.#pointed * WIDTH} 0V${HEIGHT}` : "");
    const { name } = this.dataset;
    const window = durationOf(this.#window / 1000);
    this.svg.ariaLabel = say("plotted", { name, now: words, most: inUnit(this.#plot.unit, most), window });
  }

  #said(sample) {
    const { lines, unit } = this.#plot;
    const [one, other] = lines.map((read) => read(sample));
    return other === undefined || one === null ? inUnit(unit, one) : pairOf(unit, one, other);
  }

  #write(selector, words) {
    const place = this.querySelector(selector);
    if (place.textContent !== words) place.textContent = words;
  }
}

customElements.define("live-plot", LivePlot);
