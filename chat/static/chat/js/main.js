/** Starts the chat's page: its elements, addresses and keys. */

import { openConnection, startNavigation } from "./navigation.js";
import { chat, page } from "./session.js";

import "./elements/connection-ended.js";
import "./elements/connection-state.js";
import "./elements/message-composer.js";
import "./elements/message-list.js";
import "./elements/room-list.js";
import "./elements/room-page.js";
import "./elements/room-people.js";
import "./elements/room-reports.js";
import { startDialogs } from "./elements/dialogs.js";
import { openSearch } from "./elements/message-search.js";
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

const go = startNavigation({
  isOurs: (url) => url.pathname === "/" || chat.rooms.has(slugOf(url)),
  show: (url) => show(slugOf(url)),
});

startDialogs(go);
startNotices();
startShortcuts({
  go,
  list: document.querySelector("room-list"),
  composer: document.querySelector("message-composer"),
  more: { "/": openSearch },
});
show(page.room, page.history);
openConnection();
