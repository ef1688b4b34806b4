// What the pointer does in a pane: look, mark voxels, mark points.

import { say } from "../core/dom.js";
import { stroke } from "../edit/brush.js";
import { fillArea } from "../edit/fill.js";
import { interpolate } from "../edit/interpolate.js";
import { grow, segmentAt, shrink } from "../edit/region.js";
import { apply } from "../volume/affine.js";
import { toPixel, toVoxel } from "../volume/planes.js";

/** [name, title, key] */
export const TOOLS = [["look", "Look", "V"], ["brush", "Brush", "B"], ["eraser", "Eraser", "E"], ["fill", "Fill", "F"],
  ["segment", "Click to segment", "C"], ["point", "Point", "P"]];

const NEAR = 8; // CSS pixels within which a click takes hold of a mark

export class Tools {
  constructor() {
    Object.assign(this, { name: "look", radius: 4, ball: false, tolerance: 2.5, reach: 30, flat: false, last: null,
      landmark: null, plane: null, changed: () => {} });
  }

  penSize(viewer) { return viewer.map && (this.name === "brush" || this.name === "eraser") ? this.radius : null; }

  start(viewer, pane, pixel, event) {
    this.plane = pane.name;
    if (this.name === "look" || (this.name !== "point" && !viewer.map)) this.#look(viewer, pane, pixel);
    else if (this.name === "point") this.#point(viewer, pane, pixel, event);
    else if (this.name === "fill") this.#fill(viewer, pane, pixel);
    else if (this.name === "segment") this.#segment(viewer, pane, pixel);
    else {
      this.last = pixel;
      this.#stroke(viewer, pane, pixel);
    }
  }

  move(viewer, pane, pixel) {
    if (this.name === "look" || (this.name !== "point" && !viewer.map)) this.#look(viewer, pane, pixel);
    else if (this.last) this.#stroke(viewer, pane, pixel);
  }

  end(viewer) {
    if (!this.last) return;
    this.last = null;
    this.#commit(viewer, this.name);
  }

  #look(viewer, pane, pixel) { viewer.goTo(toVoxel(pane.plane, ...pixel, pane.slice)); }

  #stroke(viewer, pane, pixel) {
    const place = this.name === "eraser" ? 0 : viewer.place;
    stroke(viewer.map, pane.plane, pane.slice, this.last, pixel, this.radius, place, this.ball, viewer.mm[pane.plane.through]);
    this.last = pixel;
    viewer.touch();
  }

  #fill(viewer, pane, pixel) {
    const done = fillArea(viewer.map, pane.plane, pane.slice, pixel.map(Math.round), viewer.place);
    if (!done) say("This area is open: it runs to the edge of the slice. Close its outline first.", true);
    this.#commit(viewer, "fill");
  }

  #segment(viewer, pane, pixel) {
    const { volume, window } = viewer.channels[0];
    segmentAt(viewer.map, volume, pane.voxelAt(pixel), viewer.place, {
      tolerance: this.tolerance, reach: this.reach, mm: viewer.mm, flat: this.flat ? pane.plane.through : -1,
      least: (0.02 * (window[1] - window[0])) / Math.abs(volume.slope),
    });
    this.#commit(viewer, "click to segment");
  }

  #point(viewer, pane, pixel, event) {
    if (!viewer.marks) return;
    const held = this.#markAt(viewer, pane, pixel);
    if (held && (event.altKey || event.ctrlKey)) viewer.marks.remove(held);
    else if (!held) {
      const voxel = toVoxel(pane.plane, ...pixel, pane.slice); // between voxels, on this slice
      viewer.marks.add(apply(viewer.reference.affine, voxel), viewer.marks.byPlace ? null : this.landmark);
    }
    viewer.goTo(toVoxel(pane.plane, ...pixel, pane.slice));
    this.changed();
    viewer.touch();
  }

  #markAt(viewer, pane, pixel) {
    const here = pane.pageAt(pixel);
    return viewer.marks.list.find(({ mm }) => {
      const [u, v, through] = toPixel(pane.plane, apply(viewer.toVoxel, mm));
      const there = pane.pageAt([u, v]);
      return Math.abs(through - pane.slice) <= 0.5 && Math.hypot(there[0] - here[0], there[1] - here[1]) < NEAR;
    });
  }

  #commit(viewer, name) {
    const count = viewer.map.commit(name);
    this.changed();
    viewer.touch();
    return count;
  }

  // ---------------------------------------------------------------- what buttons do

  grow(viewer) {
    grow(viewer.map, viewer.channels[0].volume, viewer.place);
    if (!this.#commit(viewer, "grow")) say("Nothing around this label looks like it.");
  }

  shrink(viewer) {
    shrink(viewer.map, viewer.place);
    this.#commit(viewer, "shrink");
  }

  interpolate(viewer) {
    const filled = interpolate(viewer.map, viewer.lastPlane(), viewer.place);
    this.#commit(viewer, "interpolate");
    const name = Object.keys(viewer.planes).find((key) => viewer.planes[key] === viewer.lastPlane());
    say(filled ? `${filled} ${name} slices filled between drawn ones.` : `No ${name} slice is empty between two drawn ones.`);
  }

  undo(viewer) { this.#moved(viewer, "undo"); }
  redo(viewer) { this.#moved(viewer, "redo"); }

  /** The point tool undoes points, all others voxels. */
  #moved(viewer, way) {
    const of = this.name === "point" ? viewer.marks : viewer.map;
    if (!of?.[way]()) say(`Nothing to ${way}.`);
    this.changed();
    viewer.touch();
  }
}
