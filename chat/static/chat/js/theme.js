// Light or dark: what the system says, unless a person chose here.
(() => {
  const root = document.documentElement;
  const isDark = () =>
    (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  try {
    const chosen = localStorage.getItem("chatsite:theme");
    if (chosen) root.dataset.theme = chosen;
  } catch {
    // no storage granted
  }
  addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-theme-toggle]")) return;
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("chatsite:theme", root.dataset.theme);
    } catch {
      // as above: the choice lasts as long as the page
    }
  });
})();
