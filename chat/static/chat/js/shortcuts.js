/** Keys that work everywhere on the page; each element has its own beside them. */

const isWriting = (target) => target.closest?.("input, textarea, select, [contenteditable]");

/** `list` holds the places one goes to by `go`, `composer` is where one writes; `more` are keys
 * of this page alone, or with another meaning on it. */
export function startShortcuts({ go, list, composer, more = {} }) {
  addEventListener("keydown", (event) => {
    const act = actOf(event, { go, list, composer, more });
    if (!act || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    act();
  });
}

function actOf({ key, altKey, ctrlKey, metaKey, target }, { go, list, composer, more }) {
  if (altKey && key === "ArrowUp") return () => step(list, go, -1);
  if (altKey && key === "ArrowDown") return () => step(list, go, 1);
  if ((ctrlKey || metaKey) && key.toLowerCase() === "k") return () => list.find();
  if (altKey || ctrlKey || metaKey || isWriting(target)) return null;
  if (key in more) return more[key];
  if (key === "/") return () => list.find();
  if (key === "?") return () => document.getElementById("shortcuts").showModal();
  if (key === "Escape" && !document.querySelector(":popover-open")) return () => composer.focus();
  return null;
}

function step(list, go, by) {
  const path = list.neighbour(by);
  if (path) go(path);
}
