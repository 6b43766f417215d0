// The menu of the person: theme, shortcuts, signing out.

import { post } from "../core/api.js";
import { toast } from "../core/banners.js";
import { byId, setText } from "../core/dom.js";
import { showKeys } from "./keys.js";

const other = () => (document.documentElement.dataset.theme === "light" ? "dark" : "light");

function flipTheme(event) {
  document.documentElement.dataset.theme = other();
  localStorage.setItem("gekko-theme", document.documentElement.dataset.theme);
  nameTheme(event.currentTarget);
}

const nameTheme = (item) => setText(item, `Switch to ${other()} theme`);

async function signOut() {
  try {
    await post("auth/sign-out/");
    location.assign("/login/");
  } catch (error) {
    toast(error.words || String(error), "bad");
  }
}

export function startMenu() {
  const menu = byId("user-menu");
  const theme = menu.querySelector('[data-action="theme"]');
  nameTheme(theme);
  theme.addEventListener("click", flipTheme);
  menu.querySelector('[data-action="sign-out"]').addEventListener("click", signOut);
  menu.querySelector('[data-action="keys"]').addEventListener("click", () => {
    menu.open = false;
    showKeys();
  });
  document.addEventListener("click", (event) => {
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) menu.open = false;
  });
}
