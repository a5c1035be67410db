/** Small things that several elements show. */

const HUES = 12; // of components.css; templatetags/people.py picks the same for a person

export function clone(template) {
  return document.getElementById(template).content.firstElementChild.cloneNode(true);
}

export function paintAvatar(avatar, { id, name }) {
  const small = avatar.classList.contains("small") ? " small" : "";
  avatar.className = `avatar${small} hue-${id % HUES}`;
  avatar.textContent = [...name][0]?.toUpperCase() ?? "";
}

export function listPeople(list, people) {
  list.replaceChildren(
    ...people.map((person) => {
      const item = clone("person");
      paintAvatar(item.querySelector(".avatar"), person);
      item.querySelector(".name").textContent = person.name;
      return item;
    }),
  );
}

/** What a message says, without its markup. */
export function plainText({ body, html }) {
  if (!html) return body;
  const parsed = document.createElement("template");
  parsed.innerHTML = html; // made safe by the server, and inert in a template
  return parsed.content.textContent.trim();
}

export function showKind(element, { private: isPrivate }) {
  element.classList.toggle("private", isPrivate);
}

/** Opens a popover beside what opened it, inside the window. */
export function openBeside(popover, opener) {
  popover.showPopover();
  placeBeside(popover, opener);
}

export function placeBeside(popover, opener) {
  const from = opener.getBoundingClientRect();
  const { width, height } = popover.getBoundingClientRect();
  const left = Math.max(8, Math.min(from.right - width, innerWidth - width - 8));
  const below = from.bottom + 6;
  const top = below + height < innerHeight - 8 ? below : Math.max(8, from.top - height - 6);
  popover.style.left = `${left}px`;
  popover.style.top = `${top}px`;
}

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

// Menus that open by their button alone.
document.addEventListener(
  "toggle",
  ({ target, newState }) => {
    const opener = newState === "open" && document.querySelector(`[popovertarget="${target.id}"]`);
    if (opener) placeBeside(target, opener);
  },
  true,
);
document.addEventListener("click", ({ target }) => {
  if (target.closest(".menu [data-act]")) target.closest("[popover]").hidePopover();
});
