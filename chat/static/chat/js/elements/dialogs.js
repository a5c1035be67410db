/** The dialogs: each a form whose answer is sent, and which stays open, saying why, when refused. */

import { chat } from "../session.js";
import { reasonOf, say } from "../words.js";
import { plainText } from "./parts.js";

const dialog = (name) => document.getElementById(name);

export function startDialogs(go) {
  addEventListener("click", ({ target }) => {
    const act = target.closest?.("[data-act]")?.dataset.act;
    if (act === "close") target.closest("dialog").close();
    else OPENERS[act]?.();
  });
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
    dialog("delete").showModal();
  });
  answer("delete", () => chat.write(chat.open, "delete", { target: doomed.seq }));
  dialog("create").addEventListener("input", showAddress);
}

const OPENERS = {
  create() {
    dialog("create").querySelector("form").reset();
    showAddress();
    open("create");
  },
  invite() {
    dialog("invite").querySelector("form").reset();
    open("invite");
  },
  quit() {
    const { info } = chat.open;
    const words = say(info.private ? "quit_private" : "quit_public", { name: info.name });
    dialog("quit").querySelector(".what").textContent = words;
    open("quit");
  },
  shortcuts: () => open("shortcuts"),
};

function open(name) {
  complain(name, "");
  dialog(name).showModal();
}

/** Sends a dialog's form; a refusal is said in the dialog. */
function answer(name, send) {
  const form = dialog(name).querySelector("form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector('[type="submit"]');
    button.disabled = true;
    try {
      await send(new FormData(form));
      dialog(name).close();
    } catch (error) {
      complain(name, reasonOf(error));
    } finally {
      button.disabled = false;
    }
  });
}

function complain(name, words) {
  const problem = dialog(name).querySelector(".problem");
  if (!problem) return;
  problem.hidden = !words;
  problem.textContent = words;
}

function newRoom(form) {
  const name = form.get("name").trim();
  const room = slugOf(name);
  if (!room) throw new Error(say("no_address"));
  return { room, name, topic: form.get("topic").trim(), private: Boolean(form.get("private")), ordering: form.get("ordering") };
}

/** "Design reviews" → "design-reviews" */
function slugOf(name) {
  const plain = name.normalize("NFKD").toLowerCase().replace(/[^a-z0-9._-]+/g, "-");
  return plain.replace(/^[^a-z0-9]+|-+$/g, "").slice(0, 64);
}

function showAddress() {
  const { name, address } = dialog("create").querySelector("form").elements;
  address.value = `/rooms/${slugOf(name.value) || "…"}/`;
}
