const root = document.documentElement;
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (query, from = document) => from.querySelector(query);
const $$ = (query, from = document) => [...from.querySelectorAll(query)];
const make = (name, text = "", kind = "") => {
  const element = document.createElement(name);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
};
root.dataset.script = "on";

// Light and dark: as the system says, until the switch is used.
const theme = $("#theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const recall = () => { try { return localStorage.getItem("gradscope-theme"); } catch { return null; } };
const isDark = () => (root.dataset.theme || (system.matches ? "dark" : "light")) === "dark";
const showTheme = () => theme.setAttribute("aria-pressed", String(isDark()));
if (["light", "dark"].includes(recall())) root.dataset.theme = recall();
theme.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.setItem("gradscope-theme", root.dataset.theme); } catch { /* not kept */ }
  showTheme();
});
system.addEventListener("change", showTheme);
showTheme();
