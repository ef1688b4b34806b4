// The panel of tools: labels, brush and its kin, points, predict and correct, versions, save, export.

import { api, attempt, author, waitFor } from "../core/api.js";
import { button, field, fill, h, say, select } from "../core/dom.js";
import { sameGrid } from "../volume/affine.js";
import { shade } from "../volume/colors.js";
import { packed, readNifti, writeNifti } from "../volume/nifti.js";
import { LabelMap } from "../edit/labelmap.js";
import { fromMarkups, joinLabel, toMarkups } from "../points/markups.js";
import { TOOLS } from "../viewer/tools.js";
import { swatch } from "./layers.js";

export function annotatePanel(shown, host) {
  const { item, info, runs, viewer, tools, table, clock } = shown;
  const may = info.can?.annotate !== false;
  const state = { parent: "", saved: 0, savedPoints: 0, pointParent: "" };
  const parts = { tools: h("div", {}), labels: h("div", {}), points: h("div", {}), versions: h("div", {}) };
  viewer.map = new LabelMap(viewer.reference, table.labels);

  // ---------------------------------------------------------------- tools

  const buttons = TOOLS.map(([name, text, key]) =>
    button([text, " ", h("kbd", {}, key)], () => choose(name), { "aria-pressed": "false", "data-tool": name }));
  function choose(name) {
    tools.name = name;
    buttons.forEach((element) => element.setAttribute("aria-pressed", String(element.dataset.tool === name)));
    options();
    parts.points.hidden = name !== "point";
    parts.labels.hidden = name === "point";
    viewer.redraw();
  }

  const slider = (text, key, [min, max, step], unit) => {
    const out = h("output", {}, `${tools[key]} ${unit}`);
    const input = h("input", { type: "range", min, max, step, value: String(tools[key]), oninput: () => {
      tools[key] = Number(input.value);
      out.textContent = `${tools[key]} ${unit}`;
      viewer.redraw();
    } });
    return field([`${text} `, out], input);
  };
  const box = (text, of, key) => {
    const input = h("input", { type: "checkbox", checked: of[key], onchange: () => { of[key] = input.checked; } });
    return h("label", { class: "check" }, input, text);
  };
  const optionsBox = h("div", {});
  function options() {
    const paints = ["brush", "eraser"].includes(tools.name);
    fill(optionsBox, paints ? [slider("Radius", "radius", ["0", "40", "0.5"], "mm"), box("ball (also neighbouring slices)", tools, "ball")]
      : null, tools.name === "segment" ? [slider("Tolerance", "tolerance", ["0.5", "8", "0.25"], "SD"),
      slider("Reach", "reach", ["2", "150", "1"], "mm"), box("this slice only", tools, "flat")] : null,
    tools.name === "brush" || tools.name === "segment" ? box("keep other labels", viewer.map, "keepOthers") : null);
  }
  function changeRadius(step) {
    tools.radius = Math.min(40, Math.max(0, tools.radius + step));
    options();
    viewer.redraw();
  }

  const undo = button("Undo", () => tools.undo(viewer), { title: "Ctrl+Z" });
  const redo = button("Redo", () => tools.redo(viewer), { title: "Ctrl+Shift+Z" });
  tools.changed = () => {
    showLabels();
    showPoints();
  };

  function fillTools() {
    fill(parts.tools, h("h2", {}, "Tools"), h("div", { class: "toolgrid", role: "group", "aria-label": "Tools" }, buttons), optionsBox,
      h("div", { class: "row" }, undo, redo,
        button("Grow", () => tools.grow(viewer), { title: "One voxel into background that looks alike" }),
        button("Shrink", () => tools.shrink(viewer), { title: "One voxel off the label" }),
        button("Interpolate", () => tools.interpolate(viewer), { title: "Fill empty slices between drawn ones" })));
  }

  // ---------------------------------------------------------------- labels

  function showLabels() {
    const map = viewer.map;
    const opacity = h("input", { type: "range", min: "0", max: "1", step: "0.05", value: String(viewer.mapOpacity), oninput: () => {
      viewer.mapOpacity = Number(opacity.value);
      viewer.touch();
    } });
    const outline = h("input", { type: "checkbox", checked: viewer.mapOutline, onchange: () => {
      viewer.mapOutline = outline.checked;
      viewer.touch();
    } });
    if (parts.labels.dataset.count === String(map.labels.length) && parts.labels.dataset.place === String(viewer.place)) return;
    Object.assign(parts.labels.dataset, { count: map.labels.length, place: viewer.place });
    fill(parts.labels, h("h2", {}, "Labels"), h("ul", { class: "legend" }, map.labels.map((label, n) => h("li", {},
      swatch(label.color), button([n < 9 ? h("kbd", {}, String(n + 1)) : null, ` ${label.name}`], () => setPlace(n + 1),
        { "aria-pressed": String(viewer.place === n + 1) }), hide(label)))),
    button("Add a label", addLabel), field("Opacity", opacity), h("label", { class: "check" }, outline, "outline"));
  }

  function hide(label) {
    const input = h("input", { type: "checkbox", checked: !label.hidden, "aria-label": `Show ${label.name}`, onchange: () => {
      label.hidden = !input.checked;
      viewer.touch();
    } });
    return input;
  }

  function setPlace(place) {
    if (place > viewer.map.labels.length) return;
    viewer.place = place;
    showLabels();
    say(`Label: ${viewer.map.labels[place - 1].name}`);
  }

  function addLabel() {
    const name = window.prompt("Name of the new label");
    if (!name?.trim()) return;
    const value = Math.max(0, ...viewer.map.labels.map((label) => label.value)) + 1;
    viewer.map.labels.push({ name: name.trim(), value, color: shade(value) });
    setPlace(viewer.map.labels.length);
    viewer.touch();
  }

  // ---------------------------------------------------------------- points

  function showPoints() {
    const marks = viewer.marks;
    const names = marks.landmarks.map(joinLabel);
    const byPlace = h("input", { type: "checkbox", checked: marks.byPlace, disabled: !marks.scheme, onchange: () => {
      marks.byPlace = byPlace.checked;
      showPoints();
    } });
    tools.landmark ??= marks.landmarks[0] ?? { name: "point", side: "" };
    const chosen = select(names.map((n) => [n, n]), joinLabel(tools.landmark), (name) => {
      tools.landmark = marks.landmarks[names.indexOf(name)];
    });
    const missing = marks.missing().map(joinLabel);
    fill(parts.points, h("h2", {}, "Points"),
      h("p", { class: "quiet" }, "Click to mark, on every slice that shows the landmark. Ctrl and click removes a mark."),
      h("label", { class: "check" }, byPlace, "level and side follow from the position"),
      !marks.byPlace && names.length ? field("Landmark", chosen) : null,
      h("ul", { class: "versions", "aria-label": "Marks" }, marks.list.map((mark, n) => h("li", { class: "row" },
        button(joinLabel(mark) || "no name", () => viewer.goMm(mark.mm)),
        names.length ? rename(mark, names, n) : null,
        button("Remove", () => {
          marks.remove(mark);
          tools.changed();
          viewer.touch();
        }, { "aria-label": `Remove mark ${n + 1}` })))),
      names.length ? h("p", { class: missing.length ? "quiet" : "good" },
        missing.length ? `Not marked: ${missing.join(", ")}` : "All landmarks are marked.") : null);
  }

  function rename(mark, names, n) {
    return select([["", "…"], ...names.map((name) => [name, name])], joinLabel(mark), (name) => {
      if (!name) return;
      viewer.marks.rename(mark, viewer.marks.landmarks[names.indexOf(name)]);
      tools.changed();
      viewer.touch();
    }, { "aria-label": `Name of mark ${n + 1}` });
  }

  // ---------------------------------------------------------------- where to start, predict and correct

  function take(volume, parent) {
    if (!sameGrid(volume, viewer.reference)) throw new Error("This label map lies on another grid than the image");
    viewer.map.load(volume, shown.sources.colorOf);
    state.parent = parent;
    state.saved = viewer.map.stamp;
    showLabels();
    viewer.touch();
  }

  function clear() {
    const empty = new LabelMap(viewer.reference, viewer.map.labels);
    empty.keepOthers = viewer.map.keepOthers;
    viewer.map = empty;
    state.parent = "";
    state.saved = empty.stamp;
    options();
    viewer.touch();
  }

  const starts = {
    empty: async () => clear(),
    truth: async () => take(await shown.sources.truth(), ""),
    prediction: async (run) => take(await shown.sources.prediction(run), run),
    points: async (run) => {
      viewer.marks.load(fromMarkups(await api.predictionPoints(item.id, run)));
      viewer.marks.byPlace = false;
      state.pointParent = run;
      state.savedPoints = viewer.marks.stamp;
      showPoints();
      viewer.touch();
    },
  };

  function startBox() {
    const choices = [["", "choose …"], ["empty", "an empty map"], ...(item.truth && table.labels.length ? [["truth", "the truth"]] : []),
      ...item.predicted.map((run) => [taskOf(run) === "landmarks" ? `points/${run}` : `prediction/${run}`, `prediction of ${run}`])];
    const element = select(choices, "", (choice) => attempt(async () => {
      const [kind, run] = [choice.split("/")[0], choice.split("/").slice(1).join("/")];
      if (!kind || (unsaved() && !window.confirm("Changes are not saved. Replace them?"))) return;
      await starts[kind](run);
      element.value = "";
      say("You can correct it now.");
    }));
    return field("Start from", element);
  }

  const taskOf = (run) => runs.find(({ name }) => name === run)?.task ?? "segmentation";

  function predictBox() {
    if (!runs.length) return null;
    const chosen = { run: runs[0].name, tta: false, uncertainty: false };
    const bar = h("progress", { max: "1", value: "0", hidden: true, "aria-label": "Progress of the prediction" });
    const go = button("Predict and correct", () => attempt(async () => {
      go.disabled = true;
      bar.hidden = false;
      try {
        await predict(chosen, bar);
      } finally {
        go.disabled = false;
        bar.hidden = true;
      }
    }));
    return [field("Network", select(runs.map(({ name }) => [name, name]), chosen.run, (run) => { chosen.run = run; })),
      box("average over views (slower)", chosen, "tta"), box("measure the uncertainty (slower)", chosen, "uncertainty"), go, bar];
  }

  async function predict({ run, tta, uncertainty }, bar) {
    const task = taskOf(run);
    const job = await api.predict({ run, case: item.id, tta, uncertainty: uncertainty && task === "segmentation" });
    await waitFor(job, (now) => {
      bar.value = now.progress ?? 0;
      say(now.message || `Prediction: ${now.state}`);
    });
    Object.assign(item, await api.case(item.id));
    shown.sources.forget(run);
    shown.layers.fill();
    fillStart();
    if (task === "segmentation" && (!unsaved() || window.confirm("Replace your unsaved changes by the prediction?"))) await starts.prediction(run);
    if (task === "landmarks") await starts.points(run);
    say("Predicted. You can correct it now.");
  }

  const startHost = h("div", {});
  const fillStart = () => fill(startHost, may ? startBox() : null, predictBox());

  // ---------------------------------------------------------------- versions

  const unsaved = () => may && (viewer.map.stamp !== state.saved && viewer.map.history.steps > 0
    || viewer.marks.stamp !== state.savedPoints && viewer.marks.changed);

  const saving = button("Save", () => save(), { class: "main", title: "Ctrl+S" });
  const tag = h("input", { value: "draft", maxlength: "32", list: "tags", autocomplete: "off" });

  async function save() {
    return attempt(async () => {
      if (!author.get()) {
        document.getElementById("author").focus();
        say("Write your name or initials in the field Annotator first: every version says who made it.", true);
        return;
      }
      saving.disabled = true;
      try {
        await saveWhatChanged();
      } finally {
        saving.disabled = false;
      }
    });
  }

  async function saveWhatChanged() {
    const pointsChanged = viewer.marks.stamp !== state.savedPoints && viewer.marks.changed;
    const labelsChanged = viewer.map.stamp !== state.saved || (!pointsChanged && viewer.map.data.some((v) => v));
    const seconds = clock.seconds();
    const query = { tag: tag.value.trim() || "draft", seconds };
    const told = [];
    if (labelsChanged) {
      const stamp = viewer.map.stamp;
      const bytes = await packed(writeNifti(viewer.reference, viewer.map.values()));
      const { version } = await api.save(item.id, bytes, { ...query, parent: state.parent });
      Object.assign(state, { parent: String(version), saved: stamp });
      told.push(`labels as version ${version}`);
    }
    if (pointsChanged) {
      const stamp = viewer.marks.stamp;
      const { version } = await api.savePoints(item.id, toMarkups(viewer.marks.list), { ...query, parent: state.pointParent });
      Object.assign(state, { pointParent: String(version), savedPoints: stamp });
      told.push(`points as version ${version}`);
    }
    if (!told.length) {
      say("Nothing to save yet.");
      return;
    }
    clock.restart();
    say(`Saved ${told.join(" and ")} (${Math.round(seconds)} s of work).`);
    await showVersions();
  }

  async function open(version) {
    if (unsaved() && !window.confirm("Changes are not saved. Replace them?")) return;
    if (version.kind === "points") {
      viewer.marks.load(fromMarkups(await api.annotationPoints(item.id, version.version)));
      viewer.marks.byPlace = false;
      Object.assign(state, { pointParent: String(version.version), savedPoints: viewer.marks.stamp });
      showPoints();
      viewer.touch();
    } else take(await readNifti(await api.annotation(item.id, version.version)), String(version.version));
    say(`Version ${version.version} is open.`);
  }

  const FORMATS = { label: [["nifti", "NIfTI"], ...(item.dicom ? [["seg", "DICOM SEG"]] : []), ["csv", "CSV"]], points: [["mrk.json", ".mrk.json"], ["csv", "CSV"]] };

  function versionLine(version) {
    const links = FORMATS[version.kind === "points" ? "points" : "label"].map(([as, text]) =>
      h("a", { href: api.exported(item.id, version.version, as), download: "", "aria-label":
        `Version ${version.version} as ${text}` }, text));
    const origin = version.from?.run ?? (version.from?.version ? `version ${version.from.version}` : "");
    return h("li", {}, h("strong", {}, `${version.version} ${version.kind === "points" ? "points" : "labels"}`), ` ${version.author}, ${version.tag}`,
      h("br"), h("span", { class: "quiet" }, `${new Date(version.time).toLocaleString()}, ${origin ? `from ${origin}, ` : ""}`
        + `${Math.round(version.seconds ?? 0)} s`),
      h("div", { class: "row" }, button("Open", () => attempt(() => open(version)), { "aria-label": `Open version ${version.version}` }), links));
  }

  async function showVersions() {
    const versions = author.get() ? await api.annotations(item.id) : []; // who has no name yet sees nobody's
    fill(parts.versions, h("h2", {}, "Versions"), versions.length
      ? h("ul", { class: "versions" }, [...versions].reverse().map(versionLine)) : h("p", { class: "quiet" }, "None of yours yet."));
    return versions;
  }

  return {
    choose, setPlace, save, unsaved, changeRadius, close() { window.removeEventListener("beforeunload", warn); },
    async begin() {
      const saveBox = may ? [field("Tag", tag), h("datalist", { id: "tags" }, ["draft", "final"].map((value) => h("option", { value }))), saving]
        : h("p", { class: "quiet" }, "You may look, not annotate.");
      fillTools();
      fillStart();
      fill(host, h("div", { class: "save" }, saveBox), startHost, parts.tools, parts.labels, parts.points, parts.versions);
      choose("look");
      showLabels();
      showPoints();
      window.addEventListener("beforeunload", warn);
      const versions = await showVersions();
      const last = versions.filter((version) => version.kind !== "points").at(-1);
      const lastPoints = versions.filter((version) => version.kind === "points").at(-1);
      if (last) await open(last);
      if (lastPoints) await open(lastPoints);
      state.savedPoints = viewer.marks.stamp;
    },
  };

  function warn(event) {
    if (unsaved()) event.preventDefault();
  }
}

