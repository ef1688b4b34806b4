// Brush and eraser: discs in a slice, or balls, in millimetres.

import { toVoxel } from "../volume/planes.js";

/**
 * Put `place` into every voxel whose center lies within `radius` mm of the way from pixel `a` to pixel `b` = [u, v] of a
 * slice (centers of pixels are whole numbers); with `ball` also in the slices around. The voxels that the
 * pen passes over are always hit, however thin it is.
 */
export function stroke(map, plane, slice, a, b, radius, place, ball, through) {
  const reach = ball ? Math.floor(radius / through) : 0;
  for (let step = -reach; step <= reach; step++) {
    const at = slice + step;
    if (at < 0 || at >= plane.count) continue;
    disc(map, plane, at, a, b, Math.sqrt(Math.max(0, radius ** 2 - (step * through) ** 2)), place);
  }
  const steps = Math.max(1, Math.ceil(2 * Math.max(Math.abs(b[0] - a[0]), Math.abs(b[1] - a[1]))));
  for (let n = 0; n <= steps; n++) {
    const [u, v] = [0, 1].map((axis) => Math.round(a[axis] + ((b[axis] - a[axis]) * n) / steps));
    hit(map, plane, slice, u, v, place);
  }
}

function disc(map, plane, slice, a, b, radius, place) {
  const [mu, mv] = plane.mm;
  const span = (n, mm) => [
    Math.max(0, Math.ceil(Math.min(a[n], b[n]) - radius / mm)),
    Math.min(plane.size[n] - 1, Math.floor(Math.max(a[n], b[n]) + radius / mm)),
  ];
  const [[u0, u1], [v0, v1]] = [span(0, mu), span(1, mv)];
  const [dx, dy] = [(b[0] - a[0]) * mu, (b[1] - a[1]) * mv];
  const long = dx * dx + dy * dy;
  for (let v = v0; v <= v1; v++) {
    for (let u = u0; u <= u1; u++) {
      const [x, y] = [(u - a[0]) * mu, (v - a[1]) * mv];
      const share = long ? Math.min(1, Math.max(0, (x * dx + y * dy) / long)) : 0;
      if ((x - share * dx) ** 2 + (y - share * dy) ** 2 <= radius * radius + 1e-9) hit(map, plane, slice, u, v, place);
    }
  }
}

function hit(map, plane, slice, u, v, place) {
  if (u < 0 || v < 0 || u >= plane.size[0] || v >= plane.size[1]) return;
  const [i, j, k] = toVoxel(plane, u, v, slice);
  map.put(i + map.dims[0] * (j + map.dims[1] * k), place);
}
