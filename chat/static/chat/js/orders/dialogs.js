/** The board's dialogs. */

import { answer, dialog, open, openBlank, showAddress, slugOf, startOpeners } from "../elements/dialog.js";
import { say } from "../words.js";
import { summaryOf } from "./items.js";
import { board } from "./session.js";

export function startDialogs(go) {
  startOpeners(OPENERS);
  answer("create", async (form) => {
    const queue = await board.create(newQueue(form));
    go(`/orders/${queue.slug}/`);
  });
  dialog("create").addEventListener("input", () => showAddress("/orders/"));

  let failing;
  document.querySelector("my-work").addEventListener("fail", ({ detail: lease }) => {
    failing = lease;
    dialog("fail").querySelector("h1").textContent = say("fail_title", lease);
    openBlank("fail");
  });
  answer("fail", (form) => board.work.fail(failing, form.get("reason").trim(), Number(form.get("delay"))));

  let doomed;
  document.querySelector("order-lanes").addEventListener("bury", ({ detail: order }) => {
    doomed = order;
    dialog("bury").querySelector("h1").textContent = say("bury_title", order);
    dialog("bury").querySelector(".what").textContent = summaryOf(order.item, 300);
    open("bury");
  });
  answer("bury", () => board.bury(board.open, doomed));
}

const OPENERS = {
  create() {
    openBlank("create");
    showAddress("/orders/");
  },
  shortcuts: () => open("shortcuts"),
};

function newQueue(form) {
  const name = form.get("name").trim();
  const queue = slugOf(name);
  if (!queue) throw new Error(say("no_address"));
  return {
    queue,
    name,
    ordering: form.get("ordering"),
    lease_seconds: Number(form.get("lease_seconds")),
    max_attempts: Number(form.get("max_attempts")),
  };
}
