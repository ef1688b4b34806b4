// The state of one open case, and its panes. Loads nothing: volumes, layers, label map and marks are given to it.

import { h, fill } from "../core/dom.js";
import { apply, invert, spacing } from "../volume/affine.js";
import { ramp, word } from "../volume/colors.js";
import { PLANES, planesOf } from "../volume/planes.js";
import { paintLabels, paintMap } from "../volume/slice.js";
import { firstWindow } from "../volume/windows.js";
import { joinLabel } from "../points/markups.js";
import { Pane } from "./pane.js";

export const LAYOUTS = [["planes", "Three planes and 3D"], ["axial", "Axial"], ["coronal", "Coronal"],
  ["sagittal", "Sagittal"], ["channels", "Channels side by side"], ["3d", "3D"]];

export class Viewer extends EventTarget {
  #waiting = false;

  /** `channels`: [{name, volume, ct}]; the first is the grid on which everything is marked. `tools`: what the pointer does. */
  constructor(host, channels, tools) {
    super();
    this.host = host;
    this.tools = tools;
    this.reference = channels[0].volume;
    this.channels = channels.map((channel) => ({ ...channel, window: firstWindow(channel.volume, channel.ct) }));
    this.planes = planesOf(this.reference);
    this.toVoxel = invert(this.reference.affine);
    this.mm = spacing(this.reference.affine);
    this.cursor = this.reference.dims.map((n) => Math.floor(n / 2));
    Object.assign(this, { channel: 0, zoom: 1, smooth: true, crosshair: true, overlays: true, layers: [], map: null,
      marks: null, mapOpacity: 0.5, mapOutline: false, place: 1, stamp: 0, panes: [], render3d: null });
    this.resized = new ResizeObserver(() => this.redraw());
    this.resized.observe(host);
    this.setLayout(this.reference.dims[2] > 1 ? "planes" : this.bestPlane());
  }

  close() {
    this.resized.disconnect();
    this.render3d?.close();
    this.host.replaceChildren();
  }

  /** The plane with the finest pixels: the one the scan was made in. */
  bestPlane() {
    const area = (name) => this.planes[name].mm[0] * this.planes[name].mm[1];
    return PLANES.reduce((best, name) => (area(name) < area(best) - 1e-6 ? name : best));
  }

  setLayout(layout) {
    this.layout = layout;
    const wanted = { planes: PLANES.map((name) => [name, this.channel]), "3d": [],
      channels: this.channels.map((_, n) => [this.sidePlane ?? this.bestPlane(), n]) };
    this.panes = (wanted[layout] ?? [[layout, this.channel]]).map(([name, channel]) => new Pane(this, name, channel));
    const solid = layout === "planes" || layout === "3d";
    this.solidHost ??= h("section", { class: "pane solid", "aria-label": "3D view" });
    fill(this.host, this.panes.map((pane) => pane.element), solid ? this.solidHost : null);
    this.host.className = `panes panes-${layout}`;
    this.host.style.setProperty("--columns", String(Math.min(3, this.panes.length || 1)));
    this.dispatchEvent(new Event("layout"));
    this.redraw();
  }

  // ---------------------------------------------------------------- what is shown

  redraw() {
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.panes.forEach((pane) => pane.draw());
    });
  }

  /** Something that lies over the image changed. */
  touch() {
    this.stamp++;
    this.redraw();
  }

  overlayStamp() { return `${this.stamp}|${this.overlays}|${this.map?.stamp}|${this.marks?.stamp}`; }

  paintOverlays(pixels, plane, slice) {
    if (!this.overlays) return;
    const visible = this.layers.filter((l) => l.visible && l.volume);
    const maps = visible.filter((l) => l.kind === "map"); // below, so that outlines stay visible
    for (const layer of [...maps, ...visible.filter((l) => l.kind !== "map")]) {
      if (layer.kind === "map") {
        paintMap(pixels, layer.volume, this.reference, plane, slice, ramp(layer.ramp, ...layer.range, layer.opacity));
      } else {
        const words = new Map();
        const paint = (value) => {
          if (!words.has(value)) words.set(value, word(layer.colorOf(value), layer.opacity));
          return words.get(value);
        };
        paintLabels(pixels, layer.volume, this.reference, plane, slice, paint, layer.outline);
      }
    }
    if (this.map) {
      const words = [0, ...this.map.labels.map((label) => (label.hidden ? 0 : word(label.color, this.mapOpacity)))];
      paintLabels(pixels, this.map, this.reference, plane, slice, (place) => words[place], this.mapOutline);
    }
  }

  /** Marks and points of layers as the panes draw them. */
  marksToDraw() {
    if (!this.overlays) return [];
    const given = this.layers.filter((l) => l.visible && l.marks).flatMap((layer) => layer.marks.map((mark) =>
      ({ mm: mark.mm, color: layer.color, text: joinLabel(mark), hollow: true })));
    const own = (this.marks?.list ?? []).map((mark) =>
      ({ mm: mark.mm, color: mark.name ? "#ffd54f" : "#ff8a80", text: joinLabel(mark) || "?", hollow: false }));
    return [...given, ...own];
  }

  penSize() { return this.tools.penSize(this); }

  // ---------------------------------------------------------------- wishes

  goTo(voxel) {
    this.cursor = voxel.map((v, n) => Math.min(this.reference.dims[n] - 1, Math.max(0, Math.round(v))));
    this.dispatchEvent(new Event("cursor"));
    this.redraw();
  }

  goSlice(name, slice) {
    const voxel = [...this.cursor];
    voxel[this.planes[name].through] = slice;
    this.goTo(voxel);
  }

  /** Go to a place in RAS millimetres. */
  goMm(mm) { this.goTo(apply(this.toVoxel, mm)); }

  cursorMm() { return apply(this.reference.affine, this.cursor); }

  setWindow(channel, window) {
    this.channels[channel].window = window;
    this.dispatchEvent(new Event("window"));
    this.redraw();
  }

  setZoom(zoom) {
    this.zoom = Math.min(20, Math.max(0.5, zoom));
    this.redraw();
  }

  resetView() {
    this.zoom = 1;
    this.panes.forEach((pane) => { pane.center = null; });
    this.redraw();
  }

  toolStart(pane, pixel, event) { this.tools.start(this, pane, pixel, event); }
  toolMove(pane, pixel, event) { this.tools.move(this, pane, pixel, event); }
  toolEnd(pane) { this.tools.end(this, pane); }

  /** The pane of a plane, for tools that work along the plane last used. */
  lastPlane() { return this.planes[this.tools.plane ?? this.bestPlane()]; }

  /** Values of all channels under the crosshair, as text. */
  valuesHere() {
    return this.channels.map(({ name, volume }) => {
      const [i, j, k] = apply(invert(volume.affine), this.cursorMm()).map(Math.round);
      const [ni, nj, nk] = volume.dims;
      const inside = i >= 0 && j >= 0 && k >= 0 && i < ni && j < nj && k < nk;
      const value = inside ? volume.data[i + ni * (j + nj * k)] * volume.slope + volume.inter : null;
      return `${name} ${value === null ? "outside" : Number(value.toPrecision(5))}`;
    }).join(", ");
  }
}

