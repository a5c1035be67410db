/** What one can do from the console: menus of people and rooms, and the dialogs behind them. */

import { answer, dialog, open, openBlank, startOpeners } from "../elements/dialog.js";
import { announce, openBeside } from "../elements/parts.js";
import { say } from "../words.js";
import { desk, page } from "./session.js";

/** What the open menu or dialog is about: `{user?, sid?, room?, namespace?, …}`. */
let subject = {};

export function startDialogs() {
  startMenus();
  startOpeners(OPENERS);
  for (const [name, send] of Object.entries(ANSWERS)) {
    answer(name, async (form) => {
      await send(form);
      announce(say("done", { what: dialog(name).querySelector("h1").textContent }));
    });
  }
  const ban = dialog("ban").querySelector("form");
  ban.addEventListener("change", () => showWhere(ban));
  document.querySelector("console-reports").addEventListener("settle", ({ detail }) => settle(detail));
  document.querySelector("console-letters").addEventListener("bury", ({ detail: { letter, what } }) => {
    subject = { letter };
    ask("bury", "bury_title", { what });
  });
}

// Menus

function startMenus() {
  addEventListener("click", ({ target }) => {
    const button = target.closest?.('[data-act="person"], [data-act="place"]');
    if (!button) return;
    subject = button.closest(".row").subject;
    const menu = document.getElementById(`${button.dataset.act}-menu`);
    (button.dataset.act === "person" ? showPersonMenu : showPlaceMenu)(menu);
    openBeside(menu, button);
  });
}

const part = (menu, act) => menu.querySelector(`[data-act="${act}"]`);

function showPersonMenu(menu) {
  const { user, sid, banned } = subject;
  menu.querySelector(".whom").textContent = user?.name ?? say("nobody");
  part(menu, "close-socket").hidden = !sid;
  for (const act of ["kick", "mute", "end", "ban"]) part(menu, act).hidden = !user;
  part(menu, "unban").hidden = !banned;
  const link = menu.querySelector(".admin");
  link.hidden = !user;
  if (user) link.href = `${page.admin}auth/user/${user.id}/change/`;
}

function showPlaceMenu(menu) {
  const { room, name, closed, kind, namespace } = subject;
  const isChat = namespace === "chat";
  menu.querySelector(".whom").textContent = name;
  const visit = menu.querySelector(".visit");
  visit.hidden = !isChat && kind !== "queue";
  visit.href = isChat ? `/rooms/${room}/` : `/orders/${room}/`;
  part(menu, "rules").hidden = kind === "queue";
  part(menu, "close-room").hidden = closed;
  part(menu, "reopen").hidden = !closed;
  menu.querySelector(".admin").href = `${page.admin}chat/room/?q=${encodeURIComponent(room)}`;
}

// Dialogs

function ask(name, title, values = {}) {
  dialog(name).querySelector("h1").textContent = say(title, values);
  openBlank(name);
}

const about = (title) => [title, { name: subject.user?.name ?? say("somebody") }];

const OPENERS = {
  kick() {
    delete subject.closing;
    ask("kick", ...about("kick_title"));
  },
  "close-socket"() {
    subject = { ...subject, closing: true };
    ask("kick", ...about("close_socket_title"));
  },
  ban() {
    ask("ban", ...about("ban_title"));
    const form = dialog("ban").querySelector("form");
    form.elements.room.value = subject.room ?? "";
    showWhere(form);
  },
  mute() {
    ask("mute", ...about("mute_title"));
    dialog("mute").querySelector("form").elements.room.value = subject.room ?? "";
  },
  unban: () => ask("unban", ...about("unban_title")),
  end: () => ask("end", ...about("end_title")),
  rules: () => openRules(),
  "close-room": () => ask("close-room", "close_title", subject),
  reopen: () => ask("reopen", "reopen_title", subject),
  shortcuts: () => open("shortcuts"),
};

function showWhere(form) {
  const inRoom = form.elements.where.value === "room";
  form.querySelector(".for-room").hidden = !inRoom;
  form.elements.room.required = inRoom;
}

async function openRules() {
  const { room, namespace } = subject;
  ask("rules", "rules_title", subject);
  const { elements } = dialog("rules").querySelector("form");
  const rules = await desk.ask("room:rules", { room, namespace });
  elements.slow_mode.value = rules.slow_mode;
  elements.filtered_words.value = rules.filtered_words.join("\n");
  elements.filter_action.value = rules.filter_action;
}

function settle({ act, report, words }) {
  subject = { report, act };
  const name = report.message?.from?.name ?? say("somebody");
  const shown = act === "delete" ? "delete" : "settle";
  ask(shown, `${act}_title`, { name });
  dialog(shown).querySelector(".what").textContent = words;
}

const text = (form, name) => (form.get(name) ?? "").trim();
const seconds = (form) => (form.get("seconds") ? { seconds: Number(form.get("seconds")) } : {});
const place = () => ({ room: subject.room, namespace: subject.namespace });
/** The room that was typed: of the namespace that it was filled in for, else of the chat's. */
const typed = (form) => ({ room: text(form, "room"), ...(text(form, "room") === subject.room && { namespace: subject.namespace }) });

const ANSWERS = {
  kick(form) {
    const whom = subject.closing ? { sid: subject.sid } : { user: subject.user.id };
    return desk.act("user:kick", { ...whom, reason: text(form, "reason") });
  },
  ban(form) {
    const where = form.get("where") === "room" ? typed(form) : {};
    return desk.act("user:ban", { user: subject.user.id, ...where, ...seconds(form), reason: text(form, "reason") });
  },
  mute: (form) => desk.act("user:mute", { user: subject.user.id, ...typed(form), ...seconds(form), reason: text(form, "reason") }),
  unban: () => desk.act("user:unban", { user: subject.user.id }),
  end: (form) => desk.act("session:end", { user: subject.user.id, tokens: form.has("tokens") }),
  rules: (form) =>
    desk.act("room:rules", {
      ...place(),
      slow_mode: Number(form.get("slow_mode")),
      filtered_words: text(form, "filtered_words").split(/\s+/).filter(Boolean),
      filter_action: form.get("filter_action"),
    }),
  "close-room": (form) => desk.act("room:close", { ...place(), reason: text(form, "reason") }),
  reopen: () => desk.act("room:reopen", place()),
  delete(form) {
    const { room, namespace, seq } = subject.report;
    return desk.act("message:delete", { room, namespace, seq, reason: text(form, "reason") });
  },
  settle: (form) => desk.act(`report:${subject.act}`, { report: subject.report.id, outcome: text(form, "outcome") }),
  bury: () => desk.act("deadletter:bury", { letter: subject.letter.id }),
};
