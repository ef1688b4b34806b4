// Start and routes. Addresses live behind the hash, so that the server has one page; titles never name a case.

import { api, attempt, author } from "./core/api.js";
import { field, fill, h, say } from "./core/dom.js";
import { casesPage } from "./pages/cases.js";
import { comparePage } from "./pages/compare.js";
import { loopPage } from "./pages/loop.js";
import { runsPage } from "./pages/runs.js";
import { trainPage } from "./pages/trainings.js";
import { viewPage } from "./pages/view.js";

const PAGES = [["cases", "Cases", casesPage], ["loop", "Loop", loopPage], ["compare", "Compare", comparePage],
  ["train", "Train", trainPage], ["runs", "Runs", runsPage]];
const main = document.getElementById("main");
let leave = null; // what the page that is shown wants done before it goes

function route() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return { name: name || "cases", rest };
}

/** Show the page of the route, in an element of its own: what a page that was left still loads is seen by nobody. */
async function show() {
  const { name, rest } = route();
  if (leave && leave() === false) return;
  leave = null;
  const known = PAGES.find(([key]) => key === name);
  const root = h("div", { class: name === "case" ? "viewing" : "page" }, h("p", { class: "quiet" }, "Loading …"));
  main.className = name === "case" ? "bare" : "";
  document.title = `Voxloom: ${name === "case" ? "Viewer" : known?.[1] ?? "not found"}`;
  fill(document.getElementById("nav"), PAGES.map(([key, text]) =>
    h("a", { href: `#/${key}`, "aria-current": key === name ? "page" : null }, text)));
  fill(main, root);
  say("");
  const page = name === "case" ? viewPage : known?.[2] ?? missingPage;
  const left = (await attempt(() => page(root, ...rest))) ?? null;
  if (root.isConnected) leave = left;
  else left?.();
}

async function missingPage(root) {
  fill(root, h("h1", {}, "There is no such page"), h("a", { href: "#/cases" }, "Cases"));
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
  input.addEventListener("change", () => {
    const before = author.get();
    author.set(input.value);
    if (before && before !== author.get()) show(); // another person must not see what the first one drew
  });
}

async function start() {
  const info = await attempt(() => api.info()); // 401 shows the log-in
  if (!info) return;
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
