/** Starts the page: elements, addresses, keys, and what the browser tells of its network. */

import { chat, page, socket } from "./session.js";

import "./elements/connection-state.js";
import "./elements/message-composer.js";
import "./elements/message-list.js";
import "./elements/room-list.js";
import "./elements/room-page.js";
import { startDialogs } from "./elements/dialogs.js";
import { startNotices } from "./notices.js";
import { startShortcuts } from "./shortcuts.js";

const roomPage = document.querySelector("room-page");
const lobby = document.querySelector(".lobby");

/** Shows the room (or the lobby) of the address, without leaving the page and its socket. */
function show(slug, history) {
  const room = slug ? chat.show(slug, history) : chat.show(null);
  if (slug && !room) return location.reload(); // not in the list: the server knows
  document.body.dataset.view = room ? "room" : "lobby";
  lobby.hidden = Boolean(room);
  roomPage.show(room);
  chat.dispatchEvent(new CustomEvent("rooms"));
}

const slugOf = (url) => decodeURIComponent(url.pathname.match(/^\/rooms\/([^/]+)\/$/)?.[1] ?? "");

function isOurs(url) {
  return url.origin === location.origin && (url.pathname === "/" || chat.rooms.has(slugOf(url)));
}

export function go(path) {
  const url = new URL(path, location.href);
  if (!isOurs(url)) return location.assign(url);
  if (url.pathname !== location.pathname) history.pushState(null, "", url.pathname);
  show(slugOf(url));
}

addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || link.target || event.defaultPrevented) return;
  const url = new URL(link.href);
  if (url.hash || !isOurs(url)) return;
  event.preventDefault();
  go(url.pathname);
});
addEventListener("popstate", () => show(slugOf(new URL(location.href))));

// Somebody else signed in from another tab: this page is not theirs.
socket.addEventListener("state", () => socket.reason?.code === "other_user" && location.reload());

// A page that comes back from the background, or a network that does, asks its connection first.
addEventListener("online", () => socket.wake());
addEventListener("offline", () => socket.wake());
addEventListener("pageshow", (event) => event.persisted && socket.wake());
document.addEventListener("visibilitychange", () => document.hidden || socket.wake());
document.addEventListener("resume", () => socket.wake());

startDialogs(go);
startNotices();
startShortcuts(go);
show(page.room, page.history);
socket.open();
