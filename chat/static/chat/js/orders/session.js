/** The orders board of one signed-in page: what its elements talk to. */

import { me, outbox, page, socket } from "../connection.js";
import { Memory } from "../memory.js";
import { Board } from "./board.js";

export { outbox, page, socket };
export const board = new Board({
  me,
  socket,
  outbox,
  memory: new Memory(`orders:${me.id}`, sessionStorage), // each tab works by itself
  queues: page.queues,
});
