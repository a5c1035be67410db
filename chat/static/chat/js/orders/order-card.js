/** Fills the card of an order; items are text, whatever they hold. */

import { complain, paintAvatar } from "../elements/parts.js";
import { ageOf, momentOf, reasonOf, say } from "../words.js";
import { pairsOf, summaryOf, textOf } from "./items.js";

const LONG = 280; // characters,
const TALL = 6; // or lines, of an item past which the rest is shown when asked for

/** `order` has `unsent`, the outbox's record, where the server has not acknowledged it. */
export function fillOrder(card, order, { info, moderated }) {
  const known = card.shown;
  card.shown = { order, moderated };
  if (known?.order === order && known.moderated === moderated) return;
  const { seq, state, attempts, worker, reason, unsent } = order;
  card.dataset.state = !unsent ? state : unsent.error ? "refused" : "unsent";
  card.ariaLabel = `${seq ? say("order", { seq }) : say("unsent")}: ${summaryOf(order.item)}`;
  card.querySelector(".seq").textContent = seq ? `#${seq}` : say("unsent");
  card.querySelector(".attempts").textContent = attempts ? say("attempt", { n: attempts, most: info.max_attempts }) : "";
  showAge(card);
  showItem(card, order.item);
  const why = card.querySelector(".reason");
  why.hidden = !reason;
  if (reason) why.textContent = say(state === "dead" ? "reason_dead" : "reason_failed", { reason });
  showWorker(card.querySelector(".worker"), state === "queued" ? null : worker);
  card.querySelector(".buttons").hidden = state !== "dead" || !moderated;
  const refusal = card.querySelector(".refusal");
  refusal.hidden = !unsent?.error;
  if (unsent?.error) refusal.firstElementChild.textContent = say("refused", { reason: reasonOf(unsent.error) });
}

export function showAge(card) {
  const time = card.querySelector(".at");
  const { at } = card.shown.order;
  const words = ageOf(at);
  if (time.textContent === words) return;
  time.dateTime = at;
  time.title = momentOf(at);
  time.textContent = words;
}

function showWorker(place, worker) {
  place.hidden = !worker;
  if (!worker) return;
  paintAvatar(place.querySelector(".avatar"), worker);
  place.querySelector(".name").textContent = worker.name;
}

/** An item, long ones collapsed; what is shown already stays. */
export function showItem(card, item) {
  const whole = JSON.stringify(item);
  if (card.dataset.item === String(whole.length) && card.item === whole) return;
  card.item = whole;
  card.dataset.item = whole.length;
  fillItem(card, item);
}

export function toggleItem(card) {
  const button = card.querySelector(".expand");
  if (button.hidden) return;
  button.ariaExpanded = String(button.ariaExpanded !== "true");
  fillItem(card, JSON.parse(card.item));
}

function fillItem(card, item) {
  const place = card.querySelector(".item");
  const button = card.querySelector(".expand");
  const pairs = pairsOf(item);
  place.className = `item ${pairs ? "pairs" : typeof item === "string" ? "text" : "json"}`;
  if (pairs) return place.replaceChildren(pairList(pairs));
  const text = textOf(item);
  const short = shortened(text);
  button.hidden = short === text;
  const all = button.ariaExpanded === "true";
  button.textContent = say(all ? "show_less" : "show_all");
  place.textContent = all ? text : short;
}

function shortened(text) {
  const few = text.split("\n", TALL).join("\n").slice(0, LONG);
  return few.length < text.length ? `${few.trimEnd()}…` : text;
}

function pairList(pairs) {
  const list = document.createElement("dl");
  for (const [key, value] of pairs) {
    const row = document.createElement("div");
    row.append(filled("dt", key), filled("dd", value));
    list.append(row);
  }
  return list;
}

function filled(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
