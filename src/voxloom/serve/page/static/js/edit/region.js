// Click to segment, grow and shrink: labels by intensity around what is marked.

/** Calls `visit(index, axis)` for the six neighbours of a voxel that lie in the grid; `flat` leaves one axis out. */
export function neighbours([ni, nj, nk], at, visit, flat = -1) {
  const i = at % ni, j = ((at / ni) | 0) % nj, k = (at / (ni * nj)) | 0;
  if (flat !== 0) {
    if (i > 0) visit(at - 1);
    if (i < ni - 1) visit(at + 1);
  }
  if (flat !== 1) {
    if (j > 0) visit(at - ni);
    if (j < nj - 1) visit(at + ni);
  }
  if (flat !== 2) {
    if (k > 0) visit(at - ni * nj);
    if (k < nk - 1) visit(at + ni * nj);
  }
}

/** Mean and standard deviation of the voxels within one step of a voxel, the corners with them. */
function around(image, [i, j, k]) {
  const [ni, nj, nk] = image.dims;
  const found = [];
  for (let z = Math.max(0, k - 1); z <= Math.min(nk - 1, k + 1); z++) {
    for (let y = Math.max(0, j - 1); y <= Math.min(nj - 1, j + 1); y++) {
      for (let x = Math.max(0, i - 1); x <= Math.min(ni - 1, i + 1); x++) found.push(image.data[x + ni * (y + nj * z)]);
    }
  }
  return meanAndSd(found);
}

function meanAndSd(values) {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  return [mean, Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length)];
}

/**
 * Label what hangs together with a voxel and looks like it: within `tolerance` times the spread around the click (at least
 * `least`, in the image's stored values), not further than `reach` mm, in the slice alone where `flat` names an axis.
 */
export function segmentAt(map, image, voxel, place, { tolerance, least, reach, flat = -1, mm }) {
  const [ni, nj] = image.dims;
  const start = voxel[0] + ni * (voxel[1] + nj * voxel[2]);
  const [mean, sd] = around(image, voxel);
  const wide = Math.max(tolerance * sd, least);
  const near = (at) => {
    const x = (at % ni) - voxel[0], y = (((at / ni) | 0) % nj) - voxel[1], z = ((at / (ni * nj)) | 0) - voxel[2];
    return (x * mm[0]) ** 2 + (y * mm[1]) ** 2 + (z * mm[2]) ** 2 <= reach * reach;
  };
  const seen = new Set([start]);
  const todo = [start];
  while (todo.length) {
    const at = todo.pop();
    map.put(at, place);
    neighbours(image.dims, at, (next) => {
      if (seen.has(next) || Math.abs(image.data[next] - mean) > wide || !near(next)) return;
      seen.add(next);
      todo.push(next);
    }, flat);
  }
}

const places = (map, place) => {
  const found = [];
  for (let at = map.data.indexOf(place); at >= 0; at = map.data.indexOf(place, at + 1)) found.push(at);
  return found;
};

/** Let a label grow by one voxel into background that looks like it (within 2.5 standard deviations of its mean). */
export function grow(map, image, place) {
  const own = places(map, place);
  if (!own.length) return;
  const [mean, sd] = meanAndSd(own.map((at) => image.data[at]));
  const wide = Math.max(2.5 * sd, 1e-6 * Math.abs(mean));
  const added = new Set();
  for (const at of own) {
    neighbours(map.dims, at, (next) => {
      if (map.data[next] === 0 && Math.abs(image.data[next] - mean) <= wide) added.add(next);
    });
  }
  added.forEach((at) => map.put(at, place));
}

/** Take the outermost voxels off a label. */
export function shrink(map, place) {
  const outer = places(map, place).filter((at) => {
    let edge = false;
    neighbours(map.dims, at, (next) => { edge ||= map.data[next] !== place; });
    return edge;
  });
  outer.forEach((at) => map.put(at, 0));
}
