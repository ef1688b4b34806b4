// Fill: the area around a pixel of a slice that has one label, up to its border.

import { toVoxel } from "../volume/planes.js";

/** Fill the area of pixel [u, v] with `place`; false, and nothing changed, where background runs to the slice's edge. */
export function fillArea(map, plane, slice, [u, v], place) {
  const [wide, high] = plane.size;
  const at = (x, y) => {
    const [i, j, k] = toVoxel(plane, x, y, slice);
    return i + map.dims[0] * (j + map.dims[1] * k);
  };
  const from = map.data[at(u, v)];
  const seen = new Uint8Array(wide * high);
  const todo = [u + wide * v];
  const found = [];
  seen[todo[0]] = 1;
  while (todo.length) {
    const pixel = todo.pop();
    const x = pixel % wide, y = (pixel / wide) | 0;
    found.push(at(x, y));
    if (from === 0 && (x === 0 || y === 0 || x === wide - 1 || y === high - 1)) return false;
    for (const [nx, ny] of [[x - 1, y], [x + 1, y], [x, y - 1], [x, y + 1]]) {
      const next = nx + wide * ny;
      if (nx < 0 || ny < 0 || nx >= wide || ny >= high || seen[next] || map.data[at(nx, ny)] !== from) continue;
      seen[next] = 1;
      todo.push(next);
    }
  }
  found.forEach((voxel) => map.put(voxel, place));
  return true;
}
