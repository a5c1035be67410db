/** What reaches a person who doesn't see the lanes: the title, and a screen reader. */

import { announce } from "../elements/parts.js";
import { say } from "../words.js";
import { summaryOf } from "./items.js";
import { board } from "./session.js";

const EVERY = 1_500; // news of this time are said together,
const FEW = 3; // and summed up when they are more

const product = document.title.split(" · ").at(-1);
let news = [];

export function startNotices() {
  board.addEventListener("queues", showTitle);
  board.addEventListener("news", ({ detail }) => isNews(detail) && note(detail));
  board.work.addEventListener("given", ({ detail: { seq, item } }) => {
    announce(say("given", { seq, summary: summaryOf(item) }));
  });
}

function showTitle() {
  const place = board.open ? board.open.info.name : say("queues");
  const said = `${place} · ${product}`;
  if (document.title !== said) document.title = said;
}

/** What this page itself was given is said on its own. */
function isNews({ queue, act, order }) {
  return queue === board.open && !(act === "leased" && order.worker?.id === board.me.id);
}

function note({ act, order }) {
  if (news.push({ act, order }) === 1) setTimeout(tell, EVERY);
}

function tell() {
  const told = news;
  news = [];
  if (told.length > FEW) return announce(say("said_many", { n: told.length, counts: summed(told) }));
  for (const { act, order } of told) announce(say(`said_${act}`, { seq: order.seq, name: order.worker?.name ?? "" }));
}

/** "3 created, 2 done" */
function summed(told) {
  const counts = new Map();
  for (const { act } of told) counts.set(act, (counts.get(act) ?? 0) + 1);
  return [...counts].map(([act, n]) => say(`many_${act}`, { n })).join(", ");
}
