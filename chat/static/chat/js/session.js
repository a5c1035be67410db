/** The parts of one signed-in page, put together: what the elements talk to. */

import { Chat } from "./chat.js";
import { Memory } from "./memory.js";
import { Outbox } from "./outbox.js";
import { Socket } from "./socket.js";
import { openStore } from "./store.js";

export const page = JSON.parse(document.getElementById("page").textContent);

const me = { id: page.user.id, name: page.user.name };
const channel = new BroadcastChannel(`chatsite-${me.id}`);

export const memory = new Memory(me.id, localStorage);
export const socket = new Socket(`${location.origin.replace(/^http/, "ws")}/ws/chat/`, { user: me.id });
export const outbox = new Outbox({
  user: me.id,
  store: await openStore(),
  call: (event, data) => socket.call(event, data),
  channel,
  locks: navigator.locks,
});
await outbox.open();
export const chat = new Chat({ me, socket, outbox, memory, channel, rooms: page.rooms });
