import { outbox, socket } from "../connection.js";
import { count, has, reasonOf, say, sayUntil } from "../words.js";

/** When the server ended the connection for good: why, and what became of what was not sent. */
class ConnectionEnded extends HTMLElement {
  connectedCallback() {
    socket.addEventListener("state", () => this.show());
    outbox.addEventListener("change", () => this.show());
    this.querySelector('[data-act="reconnect"]').addEventListener("click", () => socket.reconnect());
  }

  show() {
    const { state, reason } = socket;
    const over = state === "ended" && reason?.code !== "other_user";
    document.body.classList.toggle("over", over);
    this.hidden = !over;
    if (!over) return;
    const signedOut = ["unauthenticated", "session_ended"].includes(reason?.code);
    this.#write(".what", this.#what(reason));
    this.#write(".why", reason?.reason ? say("reason", reason) : "");
    this.#write(".unsent", this.#unsent(signedOut));
    this.querySelector('[data-act="reconnect"]').hidden = signedOut;
    const signIn = this.querySelector('[data-act="sign-in"]');
    signIn.hidden = !signedOut;
    signIn.search = new URLSearchParams({ next: location.pathname });
  }

  #what(reason) {
    if (!reason) return say("ended_otherwise");
    const key = `ended_${reason.code}`;
    return has(key) ? sayUntil(key, reason.until) : reasonOf(reason);
  }

  /** What was refused stays to be seen in its room; what waits goes once its writer is back. */
  #unsent(signedOut) {
    const waiting = outbox.waiting.length;
    if (waiting) return count(signedOut ? "unsent_signed_out" : "unsent_waiting", waiting);
    const refused = outbox.refused.length;
    return refused ? count("unsent_refused", refused) : "";
  }

  /** An alert is read out as often as its words change. */
  #write(place, words) {
    const element = this.querySelector(place);
    element.hidden = !words;
    if (element.textContent !== words) element.textContent = words;
  }
}

customElements.define("connection-ended", ConnectionEnded);
