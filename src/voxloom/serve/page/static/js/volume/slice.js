// One slice of a volume as pixels, through the affines: layers of another grid lie where the patient lies.

import { invert, multiply, sameGrid } from "./affine.js";
import { toVoxel } from "./planes.js";

/** Voxel index in `layer` of pixel (0, 0) of a slice, and its steps across and down. */
function walk(layer, reference, plane, slice) {
  const between = layer.toReference ??= sameGrid(layer, reference)
    ? [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    : multiply(invert(layer.affine), reference.affine);
  const at = (u, v) => {
    const [i, j, k] = toVoxel(plane, u, v, slice);
    return [0, 1, 2].map((r) => between[r][0] * i + between[r][1] * j + between[r][2] * k + between[r][3]);
  };
  const start = at(0, 0);
  const minus = (p) => p.map((value, n) => value - start[n]);
  return { start, across: minus(at(1, 0)), down: minus(at(0, 1)) };
}

/**
 * Voxels of `layer` at the pixels of a slice of `reference`, the nearest ones: calls `put(pixel, index)` with the index of
 * the voxel in the data, or -1 outside of the layer.
 */
export function nearestVoxels(layer, reference, plane, slice, put) {
  const { start, across, down } = walk(layer, reference, plane, slice);
  const [ni, nj, nk] = layer.dims;
  const [wide, high] = plane.size;
  let pixel = 0;
  for (let v = 0; v < high; v++) {
    let x = start[0] + v * down[0] + 0.5, y = start[1] + v * down[1] + 0.5, z = start[2] + v * down[2] + 0.5;
    for (let u = 0; u < wide; u++) {
      const inside = x >= 0 && y >= 0 && z >= 0 && x < ni && y < nj && z < nk;
      put(pixel++, inside ? (x | 0) + ni * ((y | 0) + nj * (z | 0)) : -1);
      x += across[0];
      y += across[1];
      z += across[2];
    }
  }
}

/** Values of `layer` (scaled) at the pixels of a slice, NaN outside of it; linear between voxels of another grid. */
export function valuesOf(layer, reference, plane, slice) {
  const found = new Float32Array(plane.size[0] * plane.size[1]);
  const { data, slope, inter } = layer;
  if (sameGrid(layer, reference)) {
    nearestVoxels(layer, reference, plane, slice, (pixel, at) => {
      found[pixel] = at < 0 ? NaN : data[at] * slope + inter;
    });
    return found;
  }
  linear(layer, walk(layer, reference, plane, slice), plane.size, found);
  return found;
}

function linear({ data, slope, inter, dims: [ni, nj, nk] }, { start, across, down }, [wide, high], found) {
  const hold = (value, most) => Math.min(most, Math.max(0, value));
  let pixel = 0;
  for (let v = 0; v < high; v++) {
    for (let u = 0; u < wide; u++, pixel++) {
      const [x, y, z] = start.map((value, n) => value + u * across[n] + v * down[n]);
      if (x < -0.5 || y < -0.5 || z < -0.5 || x > ni - 0.5 || y > nj - 0.5 || z > nk - 0.5) {
        found[pixel] = NaN;
        continue;
      }
      const [i, j, k] = [hold(Math.floor(x), ni - 1), hold(Math.floor(y), nj - 1), hold(Math.floor(z), nk - 1)];
      const [i1, j1, k1] = [hold(i + 1, ni - 1), hold(j + 1, nj - 1), hold(k + 1, nk - 1)];
      const [fx, fy, fz] = [hold(x - i, 1), hold(y - j, 1), hold(z - k, 1)];
      const line = (jj, kk) => {
        const base = ni * (jj + nj * kk);
        return data[base + i] * (1 - fx) + data[base + i1] * fx;
      };
      const flat = (kk) => line(j, kk) * (1 - fy) + line(j1, kk) * fy;
      found[pixel] = (flat(k) * (1 - fz) + flat(k1) * fz) * slope + inter;
    }
  }
}

/** Grey pixels of a slice in a window [low, high], into RGBA `pixels`. */
export function paintGrey(pixels, layer, reference, plane, slice, [low, high]) {
  const values = valuesOf(layer, reference, plane, slice);
  const scale = 255 / Math.max(high - low, 1e-12);
  const words = new Uint32Array(pixels.buffer);
  for (let n = 0; n < words.length; n++) {
    const value = (values[n] - low) * scale;
    const grey = value > 255 ? 255 : value > 0 ? value | 0 : 0; // NaN is black
    words[n] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
}

/** Colours of labels over `pixels` (RGBA, not premultiplied): `paint(value)` gives 0xAABBGGRR or 0. Outlines alone on wish. */
export function paintLabels(pixels, layer, reference, plane, slice, paint, outline) {
  const words = new Uint32Array(pixels.buffer);
  const { data, slope, inter } = layer;
  const [wide, high] = plane.size;
  const found = new Int32Array(words.length);
  nearestVoxels(layer, reference, plane, slice, (pixel, at) => {
    found[pixel] = at < 0 ? 0 : Math.round(data[at] * slope + inter);
  });
  for (let n = 0; n < words.length; n++) {
    if (!found[n]) continue;
    const u = n % wide, v = (n / wide) | 0, own = found[n];
    const edge = !u || !v || u === wide - 1 || v === high - 1 || found[n - 1] !== own || found[n + 1] !== own ||
      found[n - wide] !== own || found[n + wide] !== own;
    if (!outline || edge) words[n] = paint(own);
  }
}

/** Colours of a map of values (uncertainty, activation): `paint(value)` gives 0xAABBGGRR or 0. */
export function paintMap(pixels, layer, reference, plane, slice, paint) {
  const words = new Uint32Array(pixels.buffer);
  const values = valuesOf(layer, reference, plane, slice);
  for (let n = 0; n < words.length; n++) {
    const color = values[n] > 0 ? paint(values[n]) : 0;
    if (color) words[n] = color;
  }
}
