/** Starts the staff's console: its parts, addresses and keys. */

import { openConnection, startNavigation } from "../navigation.js";
import { startShortcuts } from "../shortcuts.js";
import { say } from "../words.js";
import { desk, page } from "./session.js";

import "../elements/connection-ended.js";
import "../elements/connection-state.js";
import "./audit.js";
import "./event-log.js";
import "./letters.js";
import "./live-plot.js";
import "./overview.js";
import "./people.js";
import "./places.js";
import "./reports.js";
import "./sockets.js";
import { startDialogs } from "./dialogs.js";

const parts = new Map([...document.querySelectorAll(".part")].map((part) => [part.dataset.part, part]));
const links = [...document.querySelectorAll(".parts a")];
const product = document.title.split(" · ").at(-1);
let open = null;

/** Shows a part, without leaving the page and its socket. */
function show(name) {
  open = parts.get(name);
  for (const part of parts.values()) part.hidden = part !== open;
  for (const link of links) link.ariaCurrent = link.dataset.part === name ? "page" : null;
  links.find((link) => link.ariaCurrent).scrollIntoView({ block: "nearest", inline: "nearest" });
  document.title = `${open.querySelector("h1").textContent} · ${product}`;
  open.show();
}

const partOf = (url) => decodeURIComponent(url.pathname.match(/^\/console\/(?:([^/]+)\/)?$/)?.[1] ?? "overview");

const go = startNavigation({
  isOurs: (url) => url.pathname.startsWith("/console/") && parts.has(partOf(url)),
  show: (url) => show(partOf(url)),
});

function neighbour(by) {
  const here = links.findIndex((link) => link.ariaCurrent === "page");
  return links[(here + by + links.length) % links.length].pathname;
}

startDialogs();
startShortcuts({
  go,
  list: { find: () => open.find(), neighbour },
  composer: { focus: () => open.querySelector("h1").focus() },
  more: { p: () => document.querySelector("event-log").pause(), r: () => open.refresh() },
});

/** How many wait for somebody, beside the part where they do. */
desk.addEventListener("stats", ({ detail: { open_reports, dead_letters } }) => {
  for (const [name, n] of [["reports", open_reports], ["letters", dead_letters]]) {
    const badge = links.find((link) => link.dataset.part === name).querySelector(".badge");
    badge.hidden = !n;
    badge.textContent = n > 999 ? "999+" : n;
    badge.ariaLabel = say("badge", { n });
  }
});

show(page.part);
openConnection();
