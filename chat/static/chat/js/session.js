/** The chat of one signed-in page: what its elements talk to. */

import { Chat } from "./chat.js";
import { channel, me, memory, outbox, page, socket } from "./connection.js";

export { outbox, page, socket };
export const chat = new Chat({ me, socket, outbox, memory, channel, rooms: page.rooms });
