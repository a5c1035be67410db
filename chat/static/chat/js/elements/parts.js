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

/** `draw`, at most once a frame however often it is asked for. */
export function onceAFrame(draw) {
  let frame = 0;
  return () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      draw();
    });
  };
}

/** Where one was is gone: to the first thing there that one types into, or presses. */
export function focusWithin(place) {
  const found = [...place.querySelectorAll("input, button")].filter((each) => each.checkVisibility());
  (found.find((each) => each.matches("input")) ?? found[0])?.focus();
}

/** Says under something what is wrong with it; nothing, where nothing is. */
export function complain(place, words) {
  place.hidden = !words;
  if (place.textContent !== words) place.textContent = words;
}

const announcements = document.getElementById("announcements");
const ANNOUNCED = 20;

/** Says something to whom a screen reader reads the page. */
export function announce(words) {
  const line = document.createElement("p");
  line.textContent = words;
  announcements.append(line);
  while (announcements.childElementCount > ANNOUNCED) announcements.firstElementChild.remove();
}

const TOAST = 6_000;
let toasting = null;

/** Says for a moment that something was done. */
export function toast(words) {
  const place = document.getElementById("toast");
  place.textContent = words;
  place.showPopover();
  announce(words);
  clearTimeout(toasting);
  toasting = setTimeout(() => place.hidePopover(), TOAST);
}

/** Opens a popover beside what opened it, inside the window. */
export function openBeside(popover, opener) {
  popover.showPopover();
  placeBeside(popover, opener);
}

function placeBeside(popover, opener) {
  const from = opener.getBoundingClientRect();
  const { width, height } = popover.getBoundingClientRect();
  const left = Math.max(8, Math.min(from.right - width, innerWidth - width - 8));
  const below = from.bottom + 6;
  const top = below + height < innerHeight - 8 ? below : Math.max(8, from.top - height - 6);
  popover.style.left = `${left}px`;
  popover.style.top = `${top}px`;
}

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
