// The label map under the pen: one byte per voxel of the image's grid, a table of labels, and its history.

import { History } from "./history.js";

export class LabelMap {
  #at = [];
  #before = [];
  #after = [];

  /** An empty map on the grid of `image`. `labels`: [{name, value, color}], bytes of the map are 1 + their places. */
  constructor(image, labels) {
    this.image = image;
    this.dims = image.dims;
    this.affine = image.affine;
    this.slope = 1;
    this.inter = 0;
    this.labels = labels.map((label) => ({ ...label }));
    this.data = new Uint8Array(image.dims[0] * image.dims[1] * image.dims[2]);
    this.history = new History();
    this.keepOthers = false;
    this.stamp = 0;
  }

  /** Take over the labels of a volume of the same grid; values that the table lacks come into it. A new history begins. */
  load({ data, slope, inter }, colorOf) {
    const places = new Map(this.labels.map(({ value }, n) => [value, n + 1]));
    places.set(0, 0);
    let lastValue = 0, lastPlace = 0;
    for (let n = 0; n < data.length; n++) {
      const value = data[n] === 0 && inter === 0 ? 0 : Math.round(data[n] * slope + inter);
      if (value !== lastValue) {
        if (!places.has(value)) {
          if (this.labels.length >= 255) throw new Error("More than 255 labels cannot be corrected on this page");
          this.labels.push({ name: `label ${value}`, value, color: colorOf(value) });
          places.set(value, this.labels.length);
        }
        [lastValue, lastPlace] = [value, places.get(value)];
      }
      this.data[n] = lastPlace;
    }
    this.history = new History();
    this.stamp++;
  }

  /** The values for a file: bytes where they fit, wider where a label's value needs it. */
  values() {
    const values = [0, ...this.labels.map((label) => label.value)];
    const most = Math.max(...values);
    if (values.every((value, place) => value === place)) return this.data.slice();
    const Kind = Math.min(...values) < 0 ? Int32Array : most < 256 ? Uint8Array : most < 65536 ? Uint16Array : Int32Array;
    return Kind.from(this.data, (place) => values[place]);
  }

  /** Change a voxel as part of the current step; other labels stay where `keepOthers` is set. */
  put(at, place) {
    const old = this.data[at];
    if (old === place || (this.keepOthers && old && place && old !== place)) return;
    this.#at.push(at);
    this.#before.push(old);
    this.#after.push(place);
    this.data[at] = place;
  }

  /** End the current step; the number of voxels it changed. */
  commit(name) {
    const count = this.#at.length;
    if (count) {
      this.history.add({ name, at: Uint32Array.from(this.#at), before: Uint8Array.from(this.#before),
        after: Uint8Array.from(this.#after) });
      this.stamp++;
    }
    [this.#at, this.#before, this.#after] = [[], [], []];
    return count;
  }

  undo() { return this.#moved(this.history.undo(this.data)); }
  redo() { return this.#moved(this.history.redo(this.data)); }

  #moved(step) {
    if (step) this.stamp++;
    return step;
  }
}
