/** The chat's dialogs. */

import { chat } from "../session.js";
import { say } from "../words.js";
import { answer, dialog, open, openBlank, showAddress, slugOf, startOpeners } from "./dialog.js";
import { openSearch, startSearch } from "./message-search.js";
import { MODERATING, startModerating } from "./moderating.js";
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
  const list = document.querySelector("message-list");
  let doomed;
  function remove(row) {
    doomed = row;
    dialog("delete").querySelector(".what").textContent = plainText(row);
    dialog("delete").querySelector(".field").hidden = row.from.id === chat.me.id;
    openBlank("delete");
  }
  list.addEventListener("delete", ({ detail: row }) => remove(row));
  answer("delete", (form) => {
    const reason = form.get("reason").trim();
    return chat.write(chat.open, "delete", { target: doomed.seq, ...(reason && { reason }) });
  });
  startModerating({ show: (seq) => list.goTo(seq), remove });
  startSearch((slug, seq) => {
    if (slug !== chat.open?.slug) go(`/rooms/${slug}/`);
    list.goTo(seq);
  });
  dialog("create").addEventListener("input", () => showAddress("/rooms/"));
}

const OPENERS = {
  ...MODERATING,
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
  search: openSearch,
  shortcuts: () => open("shortcuts"),
};

function newRoom(form) {
  const name = form.get("name").trim();
  const room = slugOf(name);
  if (!room) throw new Error(say("no_address"));
  return { room, name, topic: form.get("topic").trim(), private: Boolean(form.get("private")), ordering: form.get("ordering") };
}
