/** The chat's dialogs. */

import { chat } from "../session.js";
import { say } from "../words.js";
import { answer, dialog, open, openBlank, showAddress, slugOf, startOpeners } from "./dialog.js";
import { plainText } from "./parts.js";

export function startDialogs(go) {
  startOpeners(OPENERS);
  answer("create", async (form) => {
    const room = await chat.create(newRoom(form));
    go(`/rooms/${room.slug}/`);
  });
  answer("invite", (form) => chat.invite(chat.open, form.get("user").trim()));
  answer("quit", async () => {
    const room = chat.open;
    await chat.quit(room);
    if (room.info.private) go("/");
  });
  let doomed;
  document.querySelector("message-list").addEventListener("delete", ({ detail: row }) => {
    doomed = row;
    dialog("delete").querySelector(".what").textContent = plainText(row);
    open("delete");
  });
  answer("delete", () => chat.write(chat.open, "delete", { target: doomed.seq }));
  dialog("create").addEventListener("input", () => showAddress("/rooms/"));
}

const OPENERS = {
  create() {
    openBlank("create");
    showAddress("/rooms/");
  },
  invite: () => openBlank("invite"),
  quit() {
    const { info } = chat.open;
    const words = say(info.private ? "quit_private" : "quit_public", { name: info.name });
    dialog("quit").querySelector(".what").textContent = words;
    open("quit");
  },
  shortcuts: () => open("shortcuts"),
};

function newRoom(form) {
  const name = form.get("name").trim();
  const room = slugOf(name);
  if (!room) throw new Error(say("no_address"));
  return { room, name, topic: form.get("topic").trim(), private: Boolean(form.get("private")), ordering: form.get("ordering") };
}
