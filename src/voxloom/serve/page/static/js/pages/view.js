// One case: images, layers, tools, versions. Puts the parts together; each panel is a file of its own.

import { api, attempt } from "../core/api.js";
import { Clock } from "../core/clock.js";
import { button, fill, h, say, select } from "../core/dom.js";
import { apply } from "../volume/affine.js";
import { shade } from "../volume/colors.js";
import { readNifti } from "../volume/nifti.js";
import { PLANES } from "../volume/planes.js";
import { CT_WINDOWS } from "../volume/windows.js";
import { splitLabel } from "../points/markups.js";
import { Marks } from "../points/marks.js";
import { Render3D } from "../viewer/render3d.js";
import { Tools } from "../viewer/tools.js";
import { LAYOUTS, Viewer } from "../viewer/viewer.js";
import { annotatePanel } from "./annotate.js";
import { keyboard } from "./keyboard.js";
import { layersPanel } from "./layers.js";

/** Labels and landmarks that may be marked: those of the data set, else those of the first run that has any. */
function tableOf(info, runs) {
  const labels = info.labels?.length ? info.labels : runs.find((run) => run.labels?.length)?.labels ?? [];
  const landmarks = info.landmarks?.length ? info.landmarks : runs.find((run) => run.landmarks?.length)?.landmarks ?? [];
  return {
    labels: labels.filter(({ value }) => value !== 0).map((label) => ({ ...label, color: label.color ?? shade(label.value) })),
    landmarks: landmarks.map(splitLabel),
  };
}

async function channelsOf(item) {
  const names = item.channels.length ? item.channels : ["image"];
  const volumes = [];
  for (const [n, name] of names.entries()) {
    let told = -1;
    const volume = await readNifti(await api.image(item.id, n), (share) => {
      const percent = Math.floor(20 * share) * 5; // thousands of parts arrive: not each is said
      if (percent !== told) say(`${name}: ${percent} %`);
      told = percent;
    });
    volumes.push({ name, volume, ct: item.modality === "CT" || name.toUpperCase() === "CT" });
  }
  return volumes;
}

function middleOf(volume) {
  return apply(volume.affine, volume.dims.map((n) => (n - 1) / 2))[0];
}

export async function viewPage(main, id) {
  const [item, info, runs] = await Promise.all([api.case(id), api.info(), api.runs()]);
  const host = h("div", {});
  const bar = h("div", { class: "stage-bar" });
  const left = h("aside", { class: "side", "aria-label": "Case and layers" });
  const right = h("aside", { class: "side tools", "aria-label": "Tools" });
  const readout = h("span", { class: "quiet", id: "readout" });
  fill(main, h("div", { class: "view" }, left, h("div", { class: "stage" }, bar, host), right));
  const channels = await channelsOf(item);
  if (!main.isConnected) return null; // another page was asked for meanwhile
  const tools = new Tools();
  const viewer = new Viewer(host, channels, tools);
  const table = tableOf(info, runs);
  viewer.marks = new Marks(table.landmarks, middleOf(viewer.reference));
  const shown = { item, info, runs, viewer, tools, table, clock: new Clock() };
  window.voxloom = { viewer, tools }; // for whoever looks from the browser's console, and for tests
  solid(shown);
  fillBar(shown, bar, readout);
  const layers = layersPanel(shown, left);
  shown.layers = layers;
  const annotate = annotatePanel(shown, right);
  const stopKeys = keyboard(shown, annotate);
  await layers.begin();
  await annotate.begin();
  if (main.isConnected) {
    say("");
    document.documentElement.dataset.ready = id; // the case is open and can be worked on
  }
  return () => {
    if (annotate.unsaved() && !window.confirm("Changes are not saved. Leave this case?")) {
      history.replaceState(null, "", `#/case/${encodeURIComponent(id)}`);
      return false;
    }
    if (window.voxloom.viewer === viewer) delete document.documentElement.dataset.ready;
    stopKeys();
    annotate.close();
    shown.clock.stop();
    viewer.close();
    return true;
  };
}

/** The 3D pane: a button first, since the rendering costs a second on a machine without a graphics card. */
function solid({ viewer }) {
  const labels = () => {
    const map = viewer.map;
    if (map && map.data.some((v) => v)) return { volume: map, colors: map.labels.map(({ color }, n) => [n + 1, color]) };
    const layer = viewer.layers.find((l) => l.visible && l.kind === "labels");
    return layer ? { volume: layer.volume, colors: layer.values.map((value) => [value, layer.colorOf(value)]) } : null;
  };
  const open = () => attempt(async () => {
    say("Rendering …");
    viewer.render3d = new Render3D(box, viewer, labels);
    await viewer.render3d.open();
    again.hidden = false;
    say("");
  });
  const again = button("Update 3D", () => attempt(() => viewer.render3d.update()), { hidden: true, class: "again" });
  const box = h("div", { class: "solid-box" }, button("Show 3D", open));
  fill(viewer.solidHost, box, again);
}

function fillBar({ viewer, item }, bar, readout) {
  const windows = channelWindows(viewer, item);
  const channel = viewer.channels.length > 1
    ? [h("label", { for: "channel" }, "Channel"), select(viewer.channels.map(({ name }, n) => [String(n), name]), "0", (n) => {
      viewer.channel = Number(n);
      viewer.setLayout(viewer.layout);
    }, { id: "channel" })] : [];
  const layouts = LAYOUTS.filter(([name]) => name !== "channels" || viewer.channels.length > 1);
  const layout = select(layouts, viewer.layout, (name) => viewer.setLayout(name), { id: "layout" });
  viewer.addEventListener("layout", () => { layout.value = viewer.layout; });
  const side = viewer.channels.length > 1 ? [h("label", { for: "sideplane" }, "Plane"), select(PLANES.map((n) => [n, n]),
    viewer.bestPlane(), (name) => {
      viewer.sidePlane = name;
      viewer.setLayout("channels");
    }, { id: "sideplane" })] : [];
  const toggle = (text, key) => {
    const element = button(text, () => {
      viewer[key] = !viewer[key];
      element.setAttribute("aria-pressed", String(viewer[key]));
      viewer.redraw();
    }, { "aria-pressed": String(viewer[key]) });
    return element;
  };
  const tell = () => {
    const mm = viewer.cursorMm().map((v) => v.toFixed(1)).join(", ");
    readout.textContent = `${viewer.valuesHere()} · RAS ${mm} mm`;
  };
  viewer.addEventListener("cursor", tell);
  tell();
  fill(bar, h("h1", { class: "case-name" }, item.id), h("label", { for: "layout" }, "View"), layout, channel, side, windows,
    toggle("Crosshair", "crosshair"), toggle("Smooth", "smooth"), button("Fit", () => viewer.resetView()), readout);
}

/** Window presets of CT, or automatic and full range for everything else. */
function channelWindows(viewer) {
  const of = () => viewer.channels[viewer.channel];
  const first = viewer.channels.map((channel) => channel.window);
  const presets = [["auto", "Automatic"], ...CT_WINDOWS.map(([name]) => [name, name]), ["full", "Whole range"]];
  const apply_ = (name) => {
    const preset = CT_WINDOWS.find(([title]) => title === name);
    const { volume } = of();
    if (preset) viewer.setWindow(viewer.channel, [preset[1] - preset[2] / 2, preset[1] + preset[2] / 2]);
    else if (name === "full") {
      let [low, high] = [Infinity, -Infinity];
      for (const v of volume.data) [low, high] = [v < low ? v : low, v > high ? v : high];
      viewer.setWindow(viewer.channel, [low, high].map((v) => v * volume.slope + volume.inter));
    } else viewer.setWindow(viewer.channel, first[viewer.channel]);
  };
  const list = viewer.channels.some((channel) => channel.ct) ? presets : [presets[0], presets.at(-1)];
  const element = select(list, "auto", apply_, { id: "window" });
  viewer.nextWindow = () => {
    element.selectedIndex = (element.selectedIndex + 1) % element.options.length;
    apply_(element.value);
    say(`Window: ${element.selectedOptions[0].textContent}`);
  };
  return [h("label", { for: "window" }, "Window"), element];
}

