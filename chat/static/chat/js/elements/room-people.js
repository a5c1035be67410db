import { chat, socket } from "../session.js";
import { count, say, sayUntil } from "../words.js";
import { openBeside, paintAvatar } from "./parts.js";
import { PagedList } from "./paged-list.js";

const TYPED = 200; // milliseconds of quiet

/** The members of a room and, for who leads it, the banned. What to do to one is asked for by an
 * event of the act's name, or done at once. */
class RoomPeople extends PagedList {
  #typing = null;
  #chosen = null; // whose menu is open

  connectedCallback() {
    super.connectedCallback();
    this.input = this.querySelector("input");
    this.menu = this.querySelector("[popover]");
    this.input.addEventListener("input", () => this.#typed());
    this.menu.addEventListener("click", ({ target }) => this.#picked(target.closest("[data-do]")));
    chat.addEventListener("members", ({ detail }) => detail === this.room && this.refresh());
  }

  show(room) {
    this.input.value = "";
    this.querySelector("[data-lead]").hidden = !room.leads;
    return this.switch("members", room);
  }

  switch(shown, room) {
    this.querySelector(".search").hidden = shown === "bans";
    return super.switch(shown, room);
  }

  #typed() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.switch("members"), TYPED);
  }

  async ask(after) {
    const query = this.shown === "members" ? this.input.value.trim() : "";
    const page = await socket.call(`room:${this.shown}`, {
      room: this.room.slug,
      ...(after && { after }),
      ...(query && { query }),
    });
    const items = page[this.shown].map((item) => ({ ...item, ...item.user }));
    return { items, next: page.more ? page.next : null };
  }

  template() {
    return this.shown === "bans" ? "ban-row" : "member-row";
  }

  counted(n, more) {
    if (!n) return say(this.shown === "bans" ? "no_bans" : "no_members");
    return count(`${this.shown}_${more ? "first" : "all"}`, n);
  }

  fill(row, item) {
    paintAvatar(row.querySelector(".avatar"), item);
    row.querySelector(".name").textContent = item.name;
    const button = row.querySelector(".act");
    if (this.shown === "bans") this.#fillBan(row, item);
    else this.#fillMember(row, item, button);
    button.ariaLabel = say(this.shown === "bans" ? "unban" : "act_on", item);
  }

  #fillBan(row, { reason, until, by }) {
    const words = [sayUntil("ban_for_good", until), reason && say("reason", { reason }), by && say("by", by)];
    row.querySelector(".about").textContent = words.filter(Boolean).join(" · ");
  }

  #fillMember(row, member, button) {
    const role = row.querySelector(".role");
    role.hidden = member.role === "member";
    role.textContent = say(`role_${member.role}`);
    row.querySelector(".staff").hidden = !member.staff;
    row.classList.toggle("online", member.online);
    const muted = member.muted_until && sayUntil("is_muted", member.muted_until);
    row.querySelector(".about").textContent = [say(member.online ? "is_online" : "is_offline"), muted].filter(Boolean).join(" · ");
    button.hidden = !actsOn(this.room, member).length;
  }

  act(button, item) {
    if (this.shown === "bans") return this.#do("unban", item);
    this.#chosen = item;
    const acts = actsOn(this.room, item);
    for (const each of this.menu.querySelectorAll("[data-do]")) each.hidden = !acts.includes(each.dataset.do);
    openBeside(this.menu, button);
    this.menu.querySelector("[data-do]:not([hidden])").focus();
  }

  #picked(button) {
    if (!button) return;
    this.menu.hidePopover();
    const act = button.dataset.do;
    if (["mute", "kick", "ban"].includes(act)) this.dispatchEvent(new CustomEvent(act, { detail: this.#chosen }));
    else this.#do(act, this.#chosen);
  }

  async #do(act, { id: user }) {
    const room = this.room.slug;
    try {
      if (act === "unban") await socket.call("room:unban", { room, user });
      else if (act === "unmute") await socket.call("room:mute", { room, user, seconds: 0 });
      else await socket.call("room:role", { room, user, role: act });
      this.refresh();
    } catch (error) {
      this.complain(error);
    }
  }
}

/** What this person may do to a member; the server asks again. Room roles do nothing to the staff,
 * and only they to an owner. */
function actsOn(room, { id, role, staff, muted_until }) {
  const { me } = room;
  const above = me.staff || (!staff && (role === "member" ? room.leads : role === "moderator" && room.owns));
  if (id === me.id || !above) return [];
  const roles = ["moderator", "owner", "member"].filter((each) => each !== role);
  return [...(room.owns ? roles : []), muted_until ? "unmute" : "mute", "kick", "ban"];
}

customElements.define("room-people", RoomPeople);
