/** Addresses within one page: what it shows changes, it and its socket stay. */

import { socket } from "./connection.js";

/** `isOurs(url)` tells which addresses the page shows itself, `show(url)` does. → `go(path)` */
export function startNavigation({ isOurs, show }) {
  function go(path) {
    const url = new URL(path, location.href);
    if (url.origin !== location.origin || !isOurs(url)) return location.assign(url);
    if (url.pathname !== location.pathname) history.pushState(null, "", url.pathname);
    show(url);
  }

  addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || link.target || event.defaultPrevented) return;
    const url = new URL(link.href);
    if (url.hash || url.origin !== location.origin || !isOurs(url)) return;
    event.preventDefault();
    go(url.pathname);
  });
  addEventListener("popstate", () => show(new URL(location.href)));
  return go;
}

export function openConnection() {
  // Somebody else signed in from another tab: this page is not theirs.
  socket.addEventListener("state", () => socket.reason?.code === "other_user" && location.reload());

  // A page that comes back from the background, or a network that does, asks its connection first.
  addEventListener("online", () => socket.wake());
  addEventListener("offline", () => socket.wake());
  addEventListener("pageshow", (event) => event.persisted && socket.wake());
  document.addEventListener("visibilitychange", () => document.hidden || socket.wake());
  document.addEventListener("resume", () => socket.wake());
  socket.open();
}
