/** Starts the orders board: its elements, addresses and keys. */

import { openConnection, startNavigation } from "../navigation.js";
import { startShortcuts } from "../shortcuts.js";
import { board, page } from "./session.js";

import "../elements/connection-ended.js";
import "../elements/connection-state.js";
import "./my-work.js";
import "./order-composer.js";
import "./order-lanes.js";
import "./queue-list.js";
import "./queue-page.js";
import { startDialogs } from "./dialogs.js";
import { startNotices } from "./notices.js";

const LOOK_AGAIN = 30_000;

const queuePage = document.querySelector("queue-page");
const lobby = document.querySelector(".lobby");

/** Shows the queue (or the lobby) of the address, without leaving the page and its socket. */
function show(slug) {
  const queue = board.show(slug);
  if (slug && !queue) return location.reload(); // not in the list: the server knows
  document.body.dataset.view = queue ? "room" : "lobby";
  lobby.hidden = Boolean(queue);
  queuePage.show(queue);
  board.dispatchEvent(new CustomEvent("queues"));
}

const slugOf = (url) => decodeURIComponent(url.pathname.match(/^\/orders\/([^/]+)\/$/)?.[1] ?? "");

const go = startNavigation({
  isOurs: (url) => url.pathname === "/orders/" || board.queues.has(slugOf(url)),
  show: (url) => show(slugOf(url)),
});

startDialogs(go);
startNotices();
startShortcuts({
  go,
  list: document.querySelector("queue-list"),
  composer: document.querySelector("order-composer"),
  more: { w: () => queuePage.toggleWork() },
});
show(page.queue);
openConnection();

// Events come at most once: what is in sight is looked at again now and then.
setInterval(() => document.hidden || board.refresh(), LOOK_AGAIN);
document.addEventListener("visibilitychange", () => document.hidden || board.refresh());
