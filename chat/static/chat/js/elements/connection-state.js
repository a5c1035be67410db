import { outbox, socket } from "../connection.js";
import { count, say } from "../words.js";

/** The connection in words: "online", "connecting…", "offline: 3 messages waiting". Why it ended,
 * when it did, is told by `connection-ended`. */
class ConnectionState extends HTMLElement {
  connectedCallback() {
    socket.addEventListener("state", () => this.show());
    for (const news of ["change", "held"]) outbox.addEventListener(news, () => this.show());
    this.querySelector('[data-act="reconnect"]').addEventListener("click", () => socket.reconnect());
    addEventListener("beforeunload", (event) => {
      if (!outbox.durable && outbox.waiting.length) event.preventDefault();
    });
    this.show();
  }

  show() {
    const { state } = socket;
    this.dataset.state = state;
    const words = this.#words(state);
    const place = this.querySelector(".words");
    if (place.textContent !== words) place.textContent = words;
    this.querySelector('[data-act="reconnect"]').hidden = state !== "offline";
  }

  #words(state) {
    const waiting = outbox.waiting.length;
    if (!waiting) return say(state);
    const kept = outbox.durable ? "" : ` (${say("not_kept")})`;
    if (state === "online" && !outbox.paused) return say("sending") + kept;
    return `${say(state)}: ${count("waiting", waiting)}${kept}`;
  }
}

customElements.define("connection-state", ConnectionState);
