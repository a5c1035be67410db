/** What reaches a person who looks elsewhere: the title's count, a notification, a screen reader. */

import { announce, plainText } from "./elements/parts.js";
import { chat } from "./session.js";

const title = document.title.replace(/^\(\d+\) /, "");
const product = title.split(" · ").at(-1);
const ask = document.querySelector('[data-act="notify"]');

export function startNotices() {
  chat.addEventListener("rooms", showTitle);
  chat.addEventListener("room", showTitle);
  chat.addEventListener("message", ({ detail }) => {
    if (detail.room === chat.open) announce(`${detail.entry.from.name}: ${plainText(detail.entry.data)}`);
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

function notify({ room, entry }) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  const { from, data, seq } = entry;
  const tag = `${room.slug}:${seq}`; // one notification, however many tabs are open
  const notification = new Notification(`${from.name} · ${room.info.name}`, { body: plainText(data), tag });
  notification.onclick = () => window.focus();
}
