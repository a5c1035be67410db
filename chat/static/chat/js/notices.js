/** What reaches a person who looks elsewhere: the title's count, a notification, a screen reader. */

import { plainText } from "./elements/parts.js";
import { chat } from "./session.js";

const title = document.title.replace(/^\(\d+\) /, "");
const product = title.split(" · ").at(-1);
const announcements = document.getElementById("announcements");
const ask = document.querySelector('[data-act="notify"]');
const ANNOUNCED = 20;

export function startNotices() {
  chat.addEventListener("rooms", showTitle);
  chat.addEventListener("room", showTitle);
  chat.addEventListener("message", ({ detail }) => {
    if (detail.room === chat.open) announce(detail.entry);
    if (detail.mentioned && document.hidden) notify(detail);
  });
  // Asked for by the person, never by the page.
  ask.hidden = !("Notification" in window) || Notification.permission !== "default";
  ask.addEventListener("click", async () => {
    ask.hidden = (await Notification.requestPermission()) !== "default";
  });
}

function showTitle() {
  const unread = chat.unread ? `(${chat.unread}) ` : "";
  const place = chat.open ? `${chat.open.info.name} · ` : "";
  const said = `${unread}${place}${product}`;
  if (document.title !== said) document.title = said;
}

function announce({ from, data }) {
  const line = document.createElement("p");
  line.textContent = `${from.name}: ${plainText(data)}`;
  announcements.append(line);
  while (announcements.childElementCount > ANNOUNCED) announcements.firstElementChild.remove();
}

function notify({ room, entry }) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  const { from, data, seq } = entry;
  const tag = `${room.slug}:${seq}`; // one notification, however many tabs are open
  const notification = new Notification(`${from.name} · ${room.info.name}`, { body: plainText(data), tag });
  notification.onclick = () => window.focus();
}
