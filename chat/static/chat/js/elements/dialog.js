/** Dialogs: each a form whose answer is sent, and which stays open, saying why, when refused. */

import { reasonOf } from "../words.js";
import { complain, focusWithin } from "./parts.js";

export const dialog = (name) => document.getElementById(name);

/** What buttons with `data-act` open; one named "close" closes its dialog. */
export function startOpeners(openers) {
  addEventListener("click", ({ target }) => {
    const act = target.closest?.("[data-act]")?.dataset.act;
    if (act === "close") target.closest("dialog").close();
    else openers[act]?.();
  });
}

export function open(name) {
  setProblem(name, "");
  dialog(name).showModal();
}

export function openBlank(name) {
  dialog(name).querySelector("form").reset();
  open(name);
}

/** Sends a dialog's form; a refusal is said in the dialog. */
export function answer(name, send) {
  const form = dialog(name).querySelector("form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector('[type="submit"]');
    button.disabled = true;
    try {
      await send(new FormData(form));
      close(name);
    } catch (error) {
      setProblem(name, reasonOf(error));
    } finally {
      button.disabled = false;
    }
  });
}

/** Goes back to where it was opened, or, where that is gone, to the dialog that it was in. */
function close(name) {
  dialog(name).close();
  const under = [...document.querySelectorAll("dialog[open]")].at(-1);
  if (under && document.activeElement === document.body) focusWithin(under);
}

function setProblem(name, words) {
  const problem = dialog(name).querySelector(".problem");
  if (problem) complain(problem, words);
}

/** "Design reviews" → "design-reviews" */
export function slugOf(name) {
  const plain = name.normalize("NFKD").toLowerCase().replace(/[^a-z0-9._-]+/g, "-");
  return plain.replace(/^[^a-z0-9]+|-+$/g, "").slice(0, 64);
}

/** Shows, while one types a name in the dialog "create", the address that comes of it. */
export function showAddress(prefix) {
  const { name, address } = dialog("create").querySelector("form").elements;
  address.value = `${prefix}${slugOf(name.value) || "…"}/`;
}
