// Start and routes. Addresses live behind the hash, so that the server has one page; titles never name a case.

import { api, attempt, author } from "./core/api.js";
import { field, fill, h } from "./core/dom.js";
import { casesPage } from "./pages/cases.js";
import { viewPage } from "./pages/view.js";

const PAGES = [["cases", "Cases", casesPage]];
const main = document.getElementById("main");
let leave = null; // what the page that is shown wants done before it goes

function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return { name: name || "cases", rest };
}

async function show() {
  const { name, rest } = route();
  if (leave && leave() === false) return;
  leave = null;
  main.className = "";
  fill(document.getElementById("nav"), PAGES.map(([key, text]) =>
    h("a", { href: `#/${key}`, "aria-current": key === name ? "page" : null }, text)));
  const page = name === "case" ? viewPage : PAGES.find(([key]) => key === name)?.[2];
  document.title = `Voxloom: ${name === "case" ? "Viewer" : PAGES.find(([key]) => key === name)?.[1] ?? "not found"}`;
  fill(main, h("p", { class: "quiet" }, "Loading …"));
  if (!page) {
    fill(main, h("h1", {}, "There is no such page"), h("a", { href: "#/cases" }, "Cases"));
    return;
  }
  leave = (await attempt(() => page(main, ...rest))) ?? null;
}

function login() {
  const token = h("input", { type: "password", autocomplete: "current-password" });
  const form = h("form", { class: "panel", onsubmit: async (event) => {
    event.preventDefault();
    if (await attempt(() => api.login(token.value))) start();
  } }, h("h1", {}, "Log in"), field("Token", token), h("button", { type: "submit", class: "main" }, "Log in"));
  fill(main, form);
  token.focus();
}

function nameField(info) {
  const input = document.getElementById("author");
  input.value = info.user || author.get();
  input.disabled = Boolean(info.user);
  if (info.user) author.set(info.user);
  input.addEventListener("change", () => author.set(input.value));
}

async function start() {
  const info = await attempt(() => api.info());
  if (!info || info.login) {
    login();
    return;
  }
  nameField(info);
  await show();
}

window.addEventListener("hashchange", show);
window.addEventListener("login-needed", login);
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the hash is the route
  main.focus();
});
start();
