// The loop: what to annotate next, what annotating has brought, and training again with the corrections.

import { api, attempt, waitFor } from "../core/api.js";
import { chart } from "../core/chart.js";
import { button, field, fill, h, number, say, select, table } from "../core/dom.js";
import { trainForm, watch } from "./trainings.js";

const minutes = (seconds) => seconds / 60;

/** Median minutes from nothing and from a prediction, and what is gained. */
function gain({ prediction, nothing }) {
  const told = [];
  if (nothing !== null && nothing !== undefined) told.push(`from nothing ${number(minutes(nothing), 1)} min`);
  if (prediction !== null && prediction !== undefined) told.push(`correcting a prediction ${number(minutes(prediction), 1)} min`);
  if (told.length < 2) return told.length ? `Median time per case: ${told[0]}.` : "No times yet.";
  const saved = minutes(nothing - prediction);
  return `Median time per case: ${told.join(", ")}: ${number(Math.abs(saved), 1)} min ${saved >= 0 ? "gained" : "lost"} per case.`;
}

function pictures(progress) {
  const seconds = (kind) => progress.seconds.map((row, n) => [n + 1, minutes(row.seconds), row.from]).filter((row) => row[2] === kind)
    .map(([x, y]) => [x, y]);
  return h("div", { class: "columns" },
    chart("Dice of held-out cases over annotated cases", "annotated cases", "Dice",
      [{ name: "runs trained here", points: progress.curve.filter((row) => row.dice !== null).map((row) => [row.cases, row.dice]) }]),
    chart("Dice of predictions with their corrections", "correction", "Dice",
      [{ name: "prediction", points: progress.corrections.map((row, n) => [n + 1, row.dice]) }]),
    chart("Minutes per case", "case in order", "minutes",
      [{ name: "correcting a prediction", points: seconds("prediction") }, { name: "from nothing", points: seconds("nothing") }]));
}

function queue(cases) {
  const left = cases.filter((item) => !item.truth && item.state !== "annotated").sort((a, b) => (a.rank ?? 1e9) - (b.rank ?? 1e9));
  if (!left.length) return h("p", { class: "good" }, "Every case is annotated.");
  return table("Queue", ["Case", "Rank", "State", "Likely Dice"], left.map((item) => [
    h("a", { href: `#/case/${encodeURIComponent(item.id)}` }, item.id), item.rank ?? "not ranked", item.state,
    number(Object.values(item.quality ?? {})[0]?.dice, 2)]));
}

export async function loopPage(main) {
  const [runs, cases, progress] = await Promise.all([api.runs(), api.cases(), api.progress()]);
  let open = true;
  const chosen = { run: runs[0]?.name ?? "", second: false };
  const bar = h("progress", { max: "1", value: "0", hidden: true, "aria-label": "Progress of the ranking" });
  const order = button("Rank the cases", () => attempt(async () => {
    bar.hidden = false;
    order.disabled = true;
    try {
      await waitFor(await api.rank(chosen.run), (job) => {
        bar.value = job.progress ?? 0;
        say(job.message || `Ranking: ${job.state}`);
      });
    } finally {
      bar.hidden = true;
      order.disabled = false;
    }
    say("Ranked: uncertain cases that are unlike each other come first.");
    if (open) await loopPage(main);
  }), { disabled: !runs.length });
  const next = button("Next case", () => attempt(async () => {
    const ranked = cases.some((item) => item.rank !== null);
    const { id, reason } = await api.next(ranked ? chosen.run : "", ranked ? "rank" : "first", chosen.second);
    say(reason);
    if (id) location.hash = `#/case/${encodeURIComponent(id)}`;
  }), { class: "main" });
  const second = h("input", { type: "checkbox", onchange: () => { chosen.second = second.checked; } });
  const trainings = h("div", {});
  const form = await trainForm((job) => trainings.prepend(watch(job, () => !open)),
    { run: chosen.run, title: "Train again with the corrections", button: "Retrain", name: `round-${progress.curve.length + 1}` });
  fill(main, h("h1", {}, "Loop"),
    h("section", { class: "panel", "aria-label": "Progress" },
      h("p", {}, progress.total ? `${progress.annotated} of ${progress.total} cases without a known truth are annotated. `
        : "The truth of every case is known. ", gain(progress.median_seconds)),
      h("progress", { max: String(progress.total || 1), value: String(progress.annotated), "aria-label": "Annotated cases" })),
    h("div", { class: "columns" },
      h("section", { class: "panel", "aria-label": "Next case" }, h("h2", {}, "Next"),
        runs.length ? field("Ranked by", select(runs.map(({ name }) => [name, name]), chosen.run, (run) => { chosen.run = run; })) : null,
        h("label", { class: "check" }, second, "I am a second annotator: also cases that others have annotated"),
        h("div", { class: "row" }, next, order), bar, queue(cases)),
      h("div", {}, form, trainings)),
    pictures(progress));
  return () => {
    open = false;
    return true;
  };
}
