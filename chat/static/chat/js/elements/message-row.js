/** Fills a row of the list with a message; what is unchanged is left alone. */

import { chat } from "../session.js";
import { momentOf, reasonOf, say, timeOf } from "../words.js";
import { clone, paintAvatar, plainText } from "./parts.js";

const ONLY_EMOJI = /^(\p{Extended_Pictographic}(\uFE0F|\p{Emoji_Modifier})?(\u200D\p{Extended_Pictographic}\uFE0F?)*\s*){1,3}$/u;

const isMine = (row) => row.from.id === chat.me.id;

/** "waiting", "refused", "stored", "received", "read"; none for what others wrote. */
export function markOf(row, room) {
  if (row.kind !== "message" || !isMine(row)) return row.changing ? "waiting" : "";
  if (row.state !== "stored") return row.state;
  if (row.changing) return "waiting";
  if (row.deleted) return "";
  if (row.seq <= room.readByAll) return "read";
  return row.seq <= room.receivedByAll ? "received" : "stored";
}

export function fillRow(element, row, { grouped, mark, quoted }) {
  const known = element.shown;
  element.shown = { row, version: row.version, grouped, mark, quoted };
  if (
    known?.row === row &&
    known.version === row.version &&
    known.grouped === grouped &&
    known.mark === mark &&
    known.quoted === quoted
  ) {
    return;
  }
  if (row.kind === "notice") {
    element.textContent = row.reason ? `${row.text} ${say("reason", row)}` : row.text;
    return;
  }
  const part = (name) => element.querySelector(`:scope > ${name}`);
  element.classList.toggle("grouped", grouped);
  element.classList.toggle("mine", isMine(row));
  element.classList.toggle("mentions-me", row.mentions?.some((user) => user.id === chat.me.id) ?? false);
  element.dataset.state = row.state;
  paintAvatar(part(".avatar"), row.from);
  element.querySelector(".author").textContent = row.from.name;
  showTime(element.querySelector(".at"), row);
  showQuote(part(".quote"), row, quoted);
  showBody(part(".body"), row);
  showReactions(part(".reactions"), row);
  showRefusal(part(".refusal"), row);
  showMark(part(".mark"), mark);
}

function showTime(time, { at, edited_at, deleted }) {
  time.dateTime = at;
  time.textContent = timeOf(at) + (edited_at && !deleted ? ` · ${say("edited")}` : "");
  time.title = momentOf(at);
}

function showBody(body, row) {
  body.className = "body";
  if (row.deleted) {
    body.classList.add("gone");
    body.textContent = goneOf(row);
  } else if (row.html) {
    body.classList.add("rich");
    body.innerHTML = row.html; // made safe by the server; nothing else is ever set as HTML
  } else {
    body.classList.toggle("jumbo", ONLY_EMOJI.test(row.body));
    body.textContent = row.body;
  }
}

function goneOf({ from, deleted: { by, reason } }) {
  const words = by && by.id !== from.id ? say("deleted_by", { name: by.name }) : say("deleted");
  return reason ? `${words} ${say("reason", { reason })}` : words;
}

function showQuote(quote, { reply_to, deleted }, quoted) {
  quote.hidden = !reply_to || Boolean(deleted);
  if (quote.hidden) return;
  quote.dataset.seq = reply_to;
  const [name, words] = quote.children;
  name.textContent = quoted?.from.name ?? "";
  words.textContent = quoted ? (plainText(quoted) ?? say("deleted")) : say("earlier");
}

function showReactions(list, { reactions }) {
  list.hidden = !reactions.length;
  list.replaceChildren(
    ...reactions.map(({ emoji, count, users, mine }) => {
      const item = clone("reaction");
      const button = item.firstElementChild;
      button.ariaPressed = String(mine);
      button.dataset.emoji = emoji;
      button.querySelector(".emoji").textContent = emoji;
      button.querySelector(".count").textContent = count;
      const names = users.map((user) => user.name);
      if (count > users.length) names.push(say("and_more", { n: count - users.length }));
      button.title = button.ariaLabel = say("who_react", { names: names.join(", "), emoji });
      return item;
    }),
  );
}

function showRefusal(refusal, row) {
  const error = row.error ?? row.refused?.error;
  refusal.hidden = !error;
  if (error) refusal.firstElementChild.textContent = say(row.error ? "refused" : "change_refused", { reason: reasonOf(error) });
}

function showMark(button, mark) {
  button.hidden = !mark;
  if (!mark) return;
  button.dataset.mark = mark;
  button.ariaLabel = button.title = say(`mark_${mark}`);
  button.querySelector("use").setAttribute("href", `#mark-${mark === "read" ? "received" : mark}`);
}
