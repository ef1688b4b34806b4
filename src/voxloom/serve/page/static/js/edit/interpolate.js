// Between slices: shape-based interpolation, signed distances blended linearly (Raya and Udupa 1990).

import { toVoxel } from "../volume/planes.js";

const FAR = 1e20;

/** Squared distances to the nearest zero of one row, in units of `mm` (Felzenszwalb and Huttenlocher 2012). */
function row(f, mm) {
  const n = f.length, d = new Float64Array(n), v = new Int32Array(n), z = new Float64Array(n + 1);
  let k = 0;
  z[0] = -Infinity;
  z[1] = Infinity;
  const meet = (q, p) => (f[q] / (mm * mm) + q * q - (f[p] / (mm * mm) + p * p)) / (2 * q - 2 * p);
  for (let q = 1; q < n; q++) {
    let s = meet(q, v[k]);
    while (s <= z[k]) s = meet(q, v[--k]);
    v[++k] = q;
    z[k] = s;
    z[k + 1] = Infinity;
  }
  k = 0;
  for (let q = 0; q < n; q++) {
    while (z[k + 1] < q) k++;
    d[q] = ((q - v[k]) * mm) ** 2 + f[v[k]];
  }
  return d;
}

/** Distance in mm of every pixel to the nearest one where `on` is set; `size` = [wide, high]. */
function distance(on, [wide, high], [mu, mv]) {
  const squared = Float64Array.from(on, (set) => (set ? 0 : FAR));
  for (let v = 0; v < high; v++) squared.set(row(squared.slice(v * wide, (v + 1) * wide), mu), v * wide);
  for (let u = 0; u < wide; u++) {
    const column = row(Float64Array.from({ length: high }, (_, v) => squared[u + v * wide]), mv);
    column.forEach((value, v) => { squared[u + v * wide] = value; });
  }
  return squared.map(Math.sqrt);
}

/** Signed distance to a shape's border: below 0 inside. */
function signed(mask, size, mm) {
  const [outside, inside] = [distance(mask, size, mm), distance(mask.map((v) => (v ? 0 : 1)), size, mm)];
  return outside.map((value, n) => value - inside[n]);
}

/** Fill the empty slices between marked ones with `place`, along a plane; only background is written. Slices filled. */
export function interpolate(map, plane, place) {
  const [wide, high] = plane.size;
  const at = (u, v, slice) => {
    const [i, j, k] = toVoxel(plane, u, v, slice);
    return i + map.dims[0] * (j + map.dims[1] * k);
  };
  const masks = Array.from({ length: plane.count }, (_, slice) => {
    const mask = new Uint8Array(wide * high);
    let any = false;
    for (let n = 0; n < mask.length; n++) {
      mask[n] = map.data[at(n % wide, (n / wide) | 0, slice)] === place ? 1 : 0;
      any ||= mask[n] === 1;
    }
    return any ? mask : null;
  });
  const drawn = masks.flatMap((mask, slice) => (mask ? [slice] : []));
  let filled = 0;
  for (let n = 1; n < drawn.length; n++) {
    const [low, high2] = [drawn[n - 1], drawn[n]];
    if (high2 - low < 2) continue;
    const [below, above] = [low, high2].map((slice) => signed(masks[slice], plane.size, plane.mm));
    for (let slice = low + 1; slice < high2; slice++, filled++) {
      const share = (slice - low) / (high2 - low);
      for (let p = 0; p < below.length; p++) {
        const voxel = at(p % wide, (p / wide) | 0, slice);
        if ((1 - share) * below[p] + share * above[p] < 0 && map.data[voxel] === 0) map.put(voxel, place);
      }
    }
  }
  return filled;
}
