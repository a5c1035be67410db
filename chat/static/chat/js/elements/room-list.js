import { chat } from "../session.js";
import { count, say } from "../words.js";
import { showKind } from "./parts.js";
import { PlaceList } from "./place-list.js";

/** The rooms, mine and open ones, with what is unread. */
class RoomList extends PlaceList {
  connectedCallback() {
    super.connectedCallback();
    chat.addEventListener("rooms", () => this.show());
    this.show();
  }

  places() {
    return [...chat.rooms.values()];
  }

  show() {
    const found = this.found();
    const mine = found.filter((room) => room.member);
    const others = found.filter((room) => !room.member && !room.info.closed);
    this.list("mine", mine);
    this.list("others", others);
    this.querySelector('[data-heading="others"]').hidden = !others.length;
    this.querySelector('[data-empty="mine"]').hidden = this.filtered || mine.length > 0;
    this.querySelector('[data-empty="filter"]').hidden = !this.filtered || found.length > 0;
  }

  leave() {
    document.querySelector("message-composer").focus();
  }

  fill(item, room) {
    const link = item.firstElementChild;
    const unread = room.member && room.unread > 0;
    link.href = `/rooms/${room.slug}/`;
    link.ariaCurrent = room === chat.open ? "page" : null;
    link.classList.toggle("unread", unread);
    showKind(item.querySelector(".room-kind"), room.info);
    const reports = room.leads ? room.info.open_reports : 0;
    const flag = item.querySelector(".flagged");
    flag.hidden = !reports;
    flag.ariaLabel = flag.title = count("open_reports", reports);
    const badge = item.querySelector(".badge");
    badge.hidden = !unread;
    badge.classList.toggle("mentioned", room.mentions > 0);
    badge.textContent = `${room.mentions ? "@ " : ""}${room.unread > 99 ? "99+" : room.unread}`;
    badge.ariaLabel = say(room.mentions ? "mentioned" : "unread", { n: room.unread });
  }
}

customElements.define("room-list", RoomList);
