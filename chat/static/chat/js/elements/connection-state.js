import { outbox, socket } from "../connection.js";
import { count, reasonOf, say } from "../words.js";

/** The connection in words: "online", "connecting…", "offline: 3 messages waiting". */
class ConnectionState extends HTMLElement {
  connectedCallback() {
    socket.addEventListener("state", () => this.show());
    outbox.addEventListener("change", () => this.show());
    this.querySelector('[data-act="reconnect"]').addEventListener("click", () => socket.reconnect());
    addEventListener("beforeunload", (event) => {
      if (!outbox.durable && outbox.waiting.length) event.preventDefault();
    });
    this.show();
  }

  show() {
    const { state, reason } = socket;
    this.dataset.state = state;
    const words = this.#words(state, reason);
    const place = this.querySelector(".words");
    if (place.textContent !== words) place.textContent = words;
    const signedOut = ["unauthenticated", "session_ended"].includes(reason?.code);
    this.querySelector('[data-act="sign-in"]').hidden = state !== "ended" || !signedOut;
    this.querySelector('[data-act="reconnect"]').hidden = !(state === "offline" || (state === "ended" && !signedOut));
  }

  #words(state, reason) {
    const said = state === "ended" && reason ? `${say("ended")}: ${reasonOf(reason)}` : say(state);
    const waiting = outbox.waiting.length;
    if (!waiting) return said;
    const kept = outbox.durable ? "" : ` (${say("not_kept")})`;
    if (state === "online") return say("sending") + kept;
    return `${said}${said.includes(":") ? " · " : ": "}${count("waiting", waiting)}${kept}`;
  }
}

customElements.define("connection-state", ConnectionState);
