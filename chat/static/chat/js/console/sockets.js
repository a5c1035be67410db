import { say } from "../words.js";
import { Listing } from "./listing.js";
import { countOf, showAge, showPerson, showTags } from "./show.js";

const NAMED = 6; // rooms of a socket
const MUCH = 10; // entries: clients acknowledge once a second, so that some are always open

/** Who is connected, where, and how far behind they are there. */
class Sockets extends Listing {
  event = "sockets:list";
  key = "sockets";
  row = "socket-row";

  idOf({ sid }) {
    return sid;
  }

  wants({ text }) {
    return /^a user (connected|disconnected|joined a room|left a room)$/.test(text);
  }

  pick(items) {
    const wanted = this.input.value.trim().toLowerCase();
    const has = ({ user, namespace, rooms }) =>
      [user?.name ?? "", `/${namespace}`, ...rooms].some((word) => word.toLowerCase().includes(wanted));
    return items.filter(has).sort((one, other) => nameOf(one).localeCompare(nameOf(other)));
  }

  fill(row, { sid, user, namespace, rooms, lag, connected_at, process }) {
    row.subject = { user, sid, namespace, room: namespace === "chat" && rooms.length === 1 ? rooms[0] : undefined };
    showPerson(row.querySelector(".who"), user);
    showTags(row.querySelector(".tags"), [[`/${namespace}`]]);
    const places = rooms.slice(0, NAMED).map((room) => tagOf(room, lag[room] ?? 0));
    if (rooms.length > NAMED) places.push([say("and_more", { n: rooms.length - NAMED }), "plain"]);
    showTags(row.querySelector(".where"), places);
    const when = row.querySelector(".when");
    showAge(when, connected_at);
    when.title += ` · ${say("process", { id: process.slice(0, 8) })} · ${sid}`;
  }
}

const tagOf = (room, lag) => [lag ? `${room} · ${countOf("behind", lag)}` : room, lag >= MUCH ? "warn" : "plain"];

const nameOf = ({ user }) => user?.name ?? "";

customElements.define("console-sockets", Sockets);
