// Runs: what they predict, how good they were on held-out cases, their report.

import { api } from "../core/api.js";
import { button, fill, h, number, table } from "../core/dom.js";

const FIGURES = 4; // of a run's scores in the list; its report has all

const scores = (run) => Object.entries(run.scores ?? {}).filter(([, value]) => value !== null).slice(0, FIGURES)
  .map(([name, value]) => `${name.replaceAll("_", " ")} ${number(value, 3)}`).join(", ");

const answers = (run) => [...(run.labels ?? []).map((l) => l.name), ...(run.landmarks ?? []), ...(run.classes ?? [])].join(", ");

export async function runsPage(main, chosen) {
  const runs = await api.runs();
  if (!runs.length) {
    fill(main, h("h1", {}, "Runs"), h("p", {}, "No run is served. Train one: ", h("a", { href: "#/train" }, "Train"), "."));
    return;
  }
  const report = h("div", {});
  const show = (run) => fill(report, h("h2", {}, `Report of ${run.name}`),
    h("iframe", { class: "report", src: run.report, title: `Report of ${run.name}`, sandbox: "allow-scripts" }));
  const rows = runs.map((run) => [run.name, run.task, h("span", { class: "wrap" }, answers(run)), (run.channels ?? []).join(", "),
    scores(run) || "not scored", run.report ? button("Report", () => show(run), { "aria-label": `Report of ${run.name}` }) : ""]);
  fill(main, h("h1", {}, "Runs"), table("Runs that predict", ["Run", "Task", "Finds", "Channels", "Held-out cases", ""], rows), report);
  const first = runs.find((run) => run.name === chosen);
  if (first?.report) show(first);
}
