/** Keys that work everywhere on the page; each element has its own beside them. */

const roomList = document.querySelector("room-list");
const composer = document.querySelector("message-composer");

const isWriting = (target) => target.closest?.("input, textarea, select, [contenteditable]");

export function startShortcuts(go) {
  addEventListener("keydown", (event) => {
    const act = actOf(event);
    if (!act || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    act(go);
  });
}

function actOf({ key, altKey, ctrlKey, metaKey, target }) {
  if (altKey && key === "ArrowUp") return (go) => step(go, -1);
  if (altKey && key === "ArrowDown") return (go) => step(go, 1);
  if ((ctrlKey || metaKey) && key.toLowerCase() === "k") return () => roomList.find();
  if (altKey || ctrlKey || metaKey || isWriting(target)) return null;
  if (key === "/") return () => roomList.find();
  if (key === "?") return () => document.getElementById("shortcuts").showModal();
  if (key === "Escape" && !document.querySelector(":popover-open")) return () => composer.focus();
  return null;
}

function step(go, by) {
  const path = roomList.neighbour(by);
  if (path) go(path);
}
