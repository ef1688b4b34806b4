// Trainings: order one, watch its curves, stop it, go on.

import { api, attempt } from "../core/api.js";
import { chart } from "../core/chart.js";
import { button, field, fill, h, say, select } from "../core/dom.js";

const PAUSE = 2000;
const SKIPPED = new Set(["step", "seconds", "epoch", "lr", "fold"]);
const ENDED = ["done", "failed", "cancelled"];

/** Curves of a log: losses in one chart, scores in another; the mean over folds is not drawn, the last fold is. */
export function curves(rows) {
  const fold = Math.max(0, ...rows.map((row) => row.fold ?? 0));
  const own = rows.filter((row) => (row.fold ?? 0) === fold);
  const names = [...new Set(own.flatMap((row) => Object.keys(row)))].filter((name) => !SKIPPED.has(name));
  const line = (name) => ({ name, points: own.filter((row) => Number.isFinite(row[name])).map((row) => [row.step, row[name]]) });
  const losses = names.filter((name) => name.includes("loss"));
  const scores = names.filter((name) => !name.includes("loss")).slice(0, 3);
  return h("div", { class: "columns" }, chart("Loss", "step", "loss", losses.map(line)),
    chart("Score of held-out cases", "step", "score", scores.map(line)));
}

/** A form that orders a training; `given` fixes what the loop knows: {run}. `begun(job)` when it is queued. */
export async function trainForm(begun, given = {}) {
  const [recipes, runs] = await Promise.all([api.recipes(), api.runs()]);
  const name = h("input", { required: true, maxlength: "64", pattern: "[A-Za-z0-9][A-Za-z0-9._-]*", autocomplete: "off",
    value: given.name ?? "" });
  const budget = h("input", { value: "30m", pattern: "([0-9.]+[smhd])+", size: "6", autocomplete: "off" });
  const chosen = { recipe: "", run: given.run ?? "" };
  const recipe = select([["", "that of the run, or automatic"], ...recipes.map((r) => [r.name, `${r.name}: ${r.title}`])], "",
    (value) => { chosen.recipe = value; });
  const run = select([["", "nothing: new weights"], ...runs.map((r) => [r.name, `weights of ${r.name}`])], chosen.run,
    (value) => { chosen.run = value; });
  const form = h("form", { class: "panel", onsubmit: (event) => {
    event.preventDefault();
    attempt(async () => {
      const job = await api.train({ name: name.value, budget: budget.value, recipe: chosen.recipe || null, run: chosen.run || null });
      say("Training is queued.");
      begun(job);
    });
  } }, h("h2", {}, given.title ?? "New training"), field("Name of the new run", name), field("Recipe", recipe), field("Start from", run),
  field("Budget of time (90s, 30m, 2h, 1d)", budget), h("button", { type: "submit", class: "main" }, given.button ?? "Train"));
  return form;
}

/** One training: state, progress, curves, stop and resume. Looks again until it has ended; `gone()` says when to stop. */
export function watch(job, gone) {
  const head = h("p", {}), picture = h("div", {}), actions = h("div", { class: "row" });
  const bar = h("progress", { max: "1", value: "0", "aria-label": `Progress of ${job.about?.run ?? job.id}` });
  const box = h("section", { class: "panel", "aria-label": `Training ${job.about?.run ?? job.id}` },
    h("h2", {}, job.about?.run ?? job.id), head, bar, actions, picture);
  let state = "";
  async function look() {
    const [now, rows] = await Promise.all([api.job(job.id), api.log(job.id).catch(() => [])]);
    bar.value = now.progress ?? 0;
    head.textContent = `${now.state}${now.message ? `: ${now.message}` : ""}`;
    head.className = now.state === "failed" ? "bad" : "";
    fill(picture, rows.length ? curves(rows) : h("p", { class: "quiet" }, "The first curves come after the first validation."));
    if (now.state !== state) {
      state = now.state;
      fill(actions, buttons(now));
    }
    return ENDED.includes(now.state);
  }
  const again = (work) => attempt(async () => {
    await work();
    run();
  });
  function buttons(now) {
    if (!ENDED.includes(now.state)) return [button("Stop", () => again(() => api.stop(job.id)))];
    if (now.state === "done") return [h("a", { href: `#/runs/${encodeURIComponent(now.about?.run ?? "")}` }, "Report")];
    return [button("Go on", () => again(() => api.resume(job.id)))];
  }
  let waiting = false;
  async function run() {
    if (waiting) return;
    waiting = true;
    let ended = false;
    while (!ended && !gone()) {
      ended = (await attempt(look)) ?? true;
      if (!ended) await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    waiting = false;
  }
  run();
  return box;
}

export async function trainPage(main) {
  const jobs = (await api.jobs()).filter((job) => job.kind === "train");
  let open = true;
  const gone = () => !open;
  const list = h("div", {});
  const form = await trainForm((job) => list.prepend(watch(job, gone)));
  fill(main, h("h1", {}, "Train"), h("div", { class: "columns" }, form, list));
  fill(list, jobs.length ? [...jobs].reverse().map((job) => watch(job, gone)) : h("p", { class: "quiet" }, "Nothing was trained here yet."));
  return () => {
    open = false;
    return true;
  };
}
