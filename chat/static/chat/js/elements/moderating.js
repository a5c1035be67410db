/** The dialogs of those who lead a room, and that in which anyone reports a message to them. */

import { chat, socket } from "../session.js";
import { durationOf, say } from "../words.js";
import { answer, dialog, open, openBlank } from "./dialog.js";
import { plainText, toast } from "./parts.js";

const PACES = [0, 5, 10, 30, 60, 300, 900, 3600]; // seconds of slow mode

const people = document.querySelector("room-people");
const reports = document.querySelector("room-reports");
const form = (name) => dialog(name).querySelector("form");
const call = (event, data) => socket.call(event, { room: chat.open.slug, ...data });

export const MODERATING = {
  members() {
    open("members");
    people.show(chat.open);
  },
  reports() {
    open("reports");
    reports.show(chat.open);
  },
  settings: openSettings,
  "close-room": () => openBlank("close-room"),
};

/** `show(seq)` brings a message of the open room before one's eyes; `remove(message)` asks whether
 * to delete it. */
export function startModerating({ show, remove }) {
  actOnPeople();
  answer("settings", saveSettings);
  answer("close-room", async (data) => {
    await call("room:close", { reason: data.get("reason") });
    dialog("settings").close();
  });
  reportMessages();
  seeToReports({ show, remove });
}

// People

function actOnPeople() {
  for (const act of ["mute", "kick", "ban"]) {
    let person;
    people.addEventListener(act, ({ detail }) => {
      person = detail;
      dialog(act).querySelector("h1").textContent = say(`${act}_title`, person);
      openBlank(act);
    });
    answer(act, async (data) => {
      const seconds = Number(data.get("seconds"));
      await call(`room:${act}`, { user: person.id, reason: data.get("reason"), ...(seconds && { seconds }) });
      people.refresh();
    });
  }
  people.addEventListener("kick", () => {
    const isPrivate = chat.open.info.private;
    dialog("kick").querySelector(".what").textContent = say(isPrivate ? "kick_private" : "kick_public");
  });
}

// Settings

async function openSettings() {
  const { info } = chat.open;
  const rules = await call("room:rules", {}).catch((error) => ({ error }));
  if (rules.error) return toast(rules.error.message);
  const { elements } = form("settings");
  elements.name.value = info.name;
  elements.topic.value = info.topic;
  offerPaces(elements.slow_mode, rules.slow_mode);
  elements.filtered_words.value = rules.filtered_words.join("\n");
  elements.filter_action.value = rules.filter_action;
  dialog("settings").querySelector('[data-act="close-room"]').hidden = !chat.open.owns;
  open("settings");
}

function offerPaces(select, chosen) {
  const paces = [...new Set([...PACES, chosen])].sort((a, b) => a - b);
  select.replaceChildren(
    ...paces.map((seconds) => new Option(seconds ? say("pace", { time: durationOf(seconds) }) : say("no_pace"), seconds)),
  );
  select.value = chosen;
}

async function saveSettings(data) {
  const { info } = chat.open;
  const about = { name: data.get("name").trim(), topic: data.get("topic").trim() };
  if (about.name !== info.name || about.topic !== info.topic) await call("room:update", about);
  const words = data.get("filtered_words").split("\n");
  await call("room:rules", {
    slow_mode: Number(data.get("slow_mode")),
    filtered_words: words.map((word) => word.trim()).filter(Boolean),
    filter_action: data.get("filter_action"),
  });
}

// Reports

function reportMessages() {
  let reported;
  document.querySelector("message-list").addEventListener("report", ({ detail: row }) => {
    reported = row;
    dialog("report").querySelector(".what").textContent = plainText(row);
    openBlank("report");
  });
  answer("report", async (data) => {
    await call("report", { seq: reported.seq, reason: data.get("reason") });
    toast(say("was_reported"));
  });
}

function seeToReports({ show, remove }) {
  let settling;
  for (const act of ["resolve", "dismiss"]) {
    reports.addEventListener(act, ({ detail: report }) => {
      settling = { act, report: report.id };
      dialog("settle").querySelector("h1").textContent = say(`${act}_title`);
      dialog("settle").querySelector(".what").textContent = say(`${act}_what`);
      openBlank("settle");
    });
  }
  answer("settle", async (data) => {
    const outcome = data.get("outcome").trim();
    await socket.call(`report:${settling.act}`, { report: settling.report, ...(outcome && { outcome }) });
    reports.refresh();
  });
  reports.addEventListener("go", ({ detail: { seq } }) => {
    dialog("reports").close();
    show(seq);
  });
  reports.addEventListener("delete", ({ detail: { seq, message } }) => remove({ ...message, seq }));
}
