// The panel of layers: truth, predictions, differences, maps of uncertainty and activation, points.

import { api, attempt, maybe, waitFor } from "../core/api.js";
import { button, fill, h, number, say, select } from "../core/dom.js";
import { sameGrid } from "../volume/affine.js";
import { shade } from "../volume/colors.js";
import { readNifti } from "../volume/nifti.js";
import { quantiles } from "../volume/windows.js";
import { fromMarkups } from "../points/markups.js";

const DIFFERENCE = { 1: "#56b4e9", 2: "#e0641c", 3: "#f0e442" };
const MEANING = [["#56b4e9", "only in the prediction"], ["#e0641c", "only in the truth"], ["#f0e442", "another label"]];

/** Values that occur in a label volume, up to 4096 of them. */
function valuesIn({ data, slope, inter }) {
  const found = new Set();
  let last = null;
  for (const value of data) {
    if (value !== last) found.add(value);
    last = value;
    if (found.size > 4096) break;
  }
  return [...found].map((v) => Math.round(v * slope + inter)).filter((v) => v !== 0).sort((a, b) => a - b);
}

/** 1 where only `a` is labelled, 2 where only `b` is, 3 where both are but not alike. */
function difference(a, b) {
  if (!sameGrid(a, b)) throw new Error("Prediction and truth lie on different grids");
  const data = new Uint8Array(a.data.length);
  for (let n = 0; n < data.length; n++) {
    const [p, q] = [a.data[n] * a.slope + a.inter, b.data[n] * b.slope + b.inter];
    if (p !== q) data[n] = !q ? 1 : !p ? 2 : 3;
  }
  return { dims: a.dims, affine: a.affine, data, slope: 1, inter: 0 };
}

export function layersPanel(shown, host) {
  const { item, runs, viewer, table } = shown;
  const list = h("div", {});
  const colorOf = (value) => table.labels.find((label) => label.value === value)?.color ?? shade(value);
  const cache = new Map();
  const labelVolume = async (key, response) => {
    if (!cache.has(key)) cache.set(key, await readNifti(await response()));
    return cache.get(key);
  };
  const truth = () => labelVolume("truth", () => api.truth(item.id));
  const prediction = (run) => labelVolume(`prediction:${run}`, () => api.prediction(item.id, run));
  shown.sources = { truth, prediction, colorOf, forget: (key) => cache.delete(key) };

  const labelLayer = async (name, volume) => ({ kind: "labels", name, volume, colorOf, values: valuesIn(volume) });
  const kinds = {
    truth: async () => labelLayer("Truth", await truth()),
    truthPoints: async () => ({ kind: "points", marks: fromMarkups(await api.truthPoints(item.id)), color: "#7fdc9b" }),
    prediction: async (run) => labelLayer(run, await prediction(run)),
    points: async (run) => ({ kind: "points", marks: fromMarkups(await api.predictionPoints(item.id, run)), color: "#5ac8fa" }),
    difference: async (run) => ({ kind: "labels", volume: difference(await prediction(run), await truth()),
      colorOf: (value) => DIFFERENCE[value], values: [1, 2, 3] }),
    uncertainty: async (run) => mapLayer("heat", await readNifti(await api.predictionMap(item.id, run, "uncertainty"))),
    activation: async (run, answer) => {
      const ask = () => api.predictionMap(item.id, run, "activation", answer);
      const kept = await maybe(ask());
      if (!kept) await waitFor(await api.explain({ run, case: item.id }), (job) => say(job.message || `Explaining: ${job.state}`));
      return mapLayer("cool", await readNifti(kept ?? await ask()));
    },
  };
  const mapLayer = (ramp, volume) => ({ kind: "map", volume, ramp, range: [0, quantiles(volume, [0.999])[0] || 1] });

  /** A line of the panel: a box that loads the layer when it is first ticked, and its opacity. */
  function line(text, load, given = {}) {
    let layer = null;
    const opacity = h("input", { type: "range", min: "0", max: "1", step: "0.05", value: String(given.opacity ?? 0.5),
      "aria-label": `Opacity of ${text}`, oninput: () => {
        if (layer) layer.opacity = Number(opacity.value);
        viewer.touch();
      } });
    const outline = h("input", { type: "checkbox", checked: given.outline ?? false, onchange: () => {
      if (layer) layer.outline = outline.checked;
      viewer.touch();
    } });
    const answers = given.answers?.length > 1 ? select(given.answers.map((name) => [name, name]), given.answers[0], () => {
      viewer.layers = viewer.layers.filter((other) => other !== layer);
      layer = null;
      show();
    }, { "aria-label": `Answer of ${text}` }) : null;
    const more = h("div", { hidden: true }, answers, opacity,
      given.labels === false ? null : h("label", { class: "check" }, outline, "outline"),
      (given.meaning ?? []).map(([color, text]) => h("div", { class: "quiet" }, swatch(color), ` ${text}`)));
    const box = h("input", { type: "checkbox", onchange: () => show() });
    const show = () => attempt(async () => {
      if (box.checked && !layer) {
        say(`Loading ${text} …`);
        layer = { id: text, ...(await load(answers?.value)), opacity: Number(opacity.value), outline: outline.checked };
        viewer.layers.push(layer);
        say("");
      }
      if (layer) layer.visible = box.checked;
      more.hidden = !box.checked;
      viewer.touch();
    }).then(() => { if (!layer) box.checked = false; });
    return { box, element: h("div", { class: "layer" }, h("label", { class: "check" }, box, h("span", {}, text)), more) };
  }

  function runLines(run) {
    const task = runs.find(({ name }) => name === run)?.task ?? "segmentation";
    const quality = item.quality?.[run], dice = item.dice?.[run];
    const head = h("h2", {}, run);
    const told = [quality ? `likely Dice ${number(quality.dice, 2)}` : "", dice !== undefined ? `Dice ${number(dice, 3)}` : ""]
      .filter(Boolean).join(", ");
    if (task === "landmarks") return [head, line(`Points of ${run}`, () => kinds.points(run), { labels: false }).element];
    if (task !== "segmentation") return [head, answer(run), activation(run)];
    return [head, told ? h("p", { class: "quiet" }, told) : null,
      line(`Prediction of ${run}`, () => kinds.prediction(run)).element,
      item.truth ? line(`Difference of ${run} to truth`, () => kinds.difference(run), { opacity: 0.8, meaning: MEANING }).element : null,
      line(`Uncertainty of ${run}`, () => kinds.uncertainty(run), { labels: false, opacity: 0.7 }).element,
      activation(run)];
  }

  /** Where the reason of an answer lies; for label maps the answer is a label, for classes a class. */
  function activation(run) {
    const about = runs.find(({ name }) => name === run);
    const answers = about?.labels?.length ? about.labels.map(({ name }) => name) : about?.classes ?? [];
    return line(`Activation of ${run}`, (answer) => kinds.activation(run, answer), { labels: false, opacity: 0.7, answers }).element;
  }

  function answer(run) {
    const text = h("p", {}, "…");
    attempt(async () => {
      const found = await maybe(api.answer(item.id, run));
      text.textContent = found ? Object.entries(found).map(([key, value]) => `${key}: ${value}`).join(", ") : "no answer yet";
    });
    return text;
  }

  /** Build the panel again, as after a prediction. */
  function fillPanel() {
    viewer.layers = [];
    const own = [];
    if (item.truth && table.labels.length) own.push(line("Truth", kinds.truth, { outline: true, opacity: 1 }).element);
    if (item.truth && table.landmarks.length) own.push(line("Truth, points", kinds.truthPoints, { labels: false }).element);
    fill(list, own, item.predicted.map(runLines));
    viewer.touch();
  }

  const all = button("All overlays", () => toggleAll(), { "aria-pressed": "true" });
  function toggleAll() {
    viewer.overlays = !viewer.overlays;
    all.setAttribute("aria-pressed", String(viewer.overlays));
    viewer.redraw();
  }

  return {
    toggleAll,
    fill: fillPanel,
    async begin() {
      const cases = await api.cases();
      const place = cases.findIndex(({ id }) => id === item.id);
      const to = (n) => (cases[n] ? h("a", { href: `#/case/${encodeURIComponent(cases[n].id)}` }, n < place ? "Previous" : "Next")
        : h("span", { class: "quiet" }, n < place ? "Previous" : "Next"));
      const facts = `${item.modality ?? ""} ${item.shape.join(" × ")}, ${item.spacing.map((v) => number(v, 2)).join(" × ")} mm`;
      fill(host, h("div", { class: "row" }, to(place - 1), to(place + 1), h("span", { class: "quiet" }, `${place + 1} of ${cases.length}`)),
        h("p", { class: "quiet" }, facts), h("h2", {}, "Layers"), all, list);
      fillPanel();
    },
  };
}

export const swatch = (color) => {
  const element = h("span", { class: "swatch", "aria-hidden": "true" });
  element.style.background = color;
  return element;
};
