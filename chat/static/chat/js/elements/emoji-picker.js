import { openBeside } from "./parts.js";

/** The emoji picker, for whoever asks. */
let picked = null;

export function pickEmoji(opener, take) {
  picked = take;
  const picker = document.getElementById("emojis");
  openBeside(picker, opener);
  picker.querySelector("button").focus();
}

document.getElementById("emojis").addEventListener("click", ({ target, currentTarget }) => {
  const button = target.closest("button");
  if (!button) return;
  currentTarget.hidePopover();
  picked?.(button.textContent);
});
