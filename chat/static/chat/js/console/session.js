/** The console of one signed-in page: what its elements talk to. */

import { page, socket } from "../connection.js";
import { Desk } from "./desk.js";

export { page, socket };
export const desk = new Desk({ socket });
