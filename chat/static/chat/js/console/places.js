import { clone, complain } from "../elements/parts.js";
import { durationOf, reasonOf, say } from "../words.js";
import { Listing } from "./listing.js";
import { desk } from "./session.js";
import { countOf, showPerson, showTags } from "./show.js";

/** All rooms of a namespace. */
class Rooms extends Listing {
  event = "room:list";
  key = "rooms";
  row = "room-row";

  query() {
    return { namespace: this.choice.value };
  }

  idOf({ room }) {
    return `${this.choice.value}/${room}`;
  }

  wants({ text }) {
    return /^a room|^room|rules|slow mode/.test(text);
  }

  fill(row, { room, name, kind, ordering, private: isPrivate, closed, members, head, first, slow_mode }) {
    row.subject = { room, name, kind, closed, namespace: this.choice.value };
    row.querySelector(".room-name").textContent = name;
    row.querySelector(".slug").textContent = name === room ? "" : room;
    const tags = [
      kind === "queue" && [say("queue")],
      ordering === "unordered" && [say("unordered")],
      isPrivate && [say("private")],
      slow_mode && [say("slow", { time: durationOf(slow_mode) }), "warn"],
      closed && [say("closed"), "danger"],
    ];
    showTags(row.querySelector(".tags"), tags.filter(Boolean));
    const kept = head - first + 1;
    row.querySelector(".figures").textContent = `${countOf("members", members)} · ${countOf("entries", kept)}`;
  }
}

/** Rooms by how far somebody is behind there, each with its members. */
class Lag extends Listing {
  event = "lag";
  key = "rooms";
  row = "lag-row";

  connectedCallback() {
    super.connectedCallback();
    desk.addEventListener("figures", ({ detail }) => (detail.stored || detail.ack) && this.later());
  }

  idOf({ namespace, room }) {
    return `${namespace}/${room}`;
  }

  fill(row, item) {
    const { room, name, lag, slowest } = item;
    row.querySelector(".room-name").textContent = name;
    row.querySelector(".slug").textContent = name === room ? "" : room;
    row.querySelector(".behind").textContent = countOf("behind", lag);
    const state = slowest && say(slowest.online ? "person_online" : "person_offline");
    row.querySelector(".slowest").textContent = slowest ? `${slowest.name} (${state})` : "";
    const details = row.firstElementChild;
    details.ontoggle = () => details.open && this.#look(row);
    if (details.open) this.#look(row);
  }

  async #look(row) {
    const { room, namespace } = row.item;
    try {
      const { members } = await desk.ask("lag", { room, namespace });
      row.querySelector(".members").replaceChildren(...members.map((member) => memberRow(member, room, namespace)));
      complain(row.querySelector(".problem"), "");
    } catch (error) {
      complain(row.querySelector(".problem"), reasonOf(error));
    }
  }
}

function memberRow({ user, lag }, room, namespace) {
  const row = clone("behind-row");
  row.subject = { user, room, namespace };
  showPerson(row.querySelector(".who"), user);
  row.querySelector(".where").textContent = say(user.online ? "person_online" : "person_offline");
  const behind = row.querySelector(".behind");
  behind.textContent = lag ? countOf("behind", lag) : say("up_to_date");
  behind.classList.toggle("none", !lag);
  return row;
}

customElements.define("console-rooms", Rooms);
customElements.define("console-lag", Lag);
