/** The connection of one signed-in page, and what it keeps in the browser: every such page has them. */

import { Memory } from "./memory.js";
import { Outbox } from "./outbox.js";
import { Socket } from "./socket.js";
import { openStore } from "./store.js";

export const page = JSON.parse(document.getElementById("page").textContent);

/** Pages of different namespaces keep apart what waits in their outboxes. The chat's was the
 * first: what browsers keep for it is under the person's id alone. */
const { namespace, user } = page;
const owner = namespace === "chat" ? user.id : `${namespace}:${user.id}`;

export const me = { id: user.id, name: user.name, staff: user.staff };
export const memory = new Memory(owner, localStorage);
export const channel = new BroadcastChannel(`chatsite-${owner}`);
export const socket = new Socket(`${location.origin.replace(/^http/, "ws")}/ws/${namespace}/`, {
  user: me.id,
  probe: page.probe,
});
export const outbox = new Outbox({
  user: owner,
  store: await openStore(),
  place: page.place,
  call: (event, data) => socket.call(event, data),
  channel,
  locks: navigator.locks,
});
await outbox.open();

// Who is kept out of the site can write nothing more, and has to see that it did not go.
socket.addEventListener("state", () => {
  if (socket.state === "ended" && socket.reason?.code === "banned") outbox.refuse(socket.reason);
});
