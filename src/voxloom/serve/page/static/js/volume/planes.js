// The three planes of a grid: which voxel axis runs right, up and through, as a radiologist expects to see it.

import { spacing } from "./affine.js";

export const PLANES = ["axial", "coronal", "sagittal"];

/** Which voxel axis is nearest to R, A and S, each axis taken once: the permutation with the largest cosines. */
function nearestAxes(affine) {
  const size = spacing(affine);
  const cosine = (world, axis) => Math.abs(affine[world][axis]) / size[axis];
  const orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
  const sum = (order) => order.reduce((total, axis, world) => total + cosine(world, axis), 0);
  return orders.reduce((best, order) => (sum(order) > sum(best) + 1e-9 ? order : best));
}

/**
 * Planes by name. Each has `across`, `down` and `through` (voxel axes), `flipAcross` and `flipDown` (whether the voxel index
 * runs against the screen), `mm` (millimetres per voxel across and down), `size` (voxels across and down), `count`
 * (slices), and letters for the four sides. Radiological convention: the patient's right is on the left of the screen.
 */
export function planesOf({ dims, affine }) {
  const [r, a, s] = nearestAxes(affine);
  const mm = spacing(affine);
  const positive = [r, a, s].map((axis, world) => affine[world][axis] > 0); // index grows to R+, A+, S+ (RAS+)
  const plane = (across, down, through, wantAcross, wantDown, letters) => ({
    across, down, through, letters, size: [dims[across], dims[down]], mm: [mm[across], mm[down]], count: dims[through],
    flipAcross: wantAcross !== positive[[r, a, s].indexOf(across)], flipDown: wantDown !== positive[[r, a, s].indexOf(down)],
  });
  // x grows to the patient's right (RAS+), and the screen shows the right on its left: the world runs against the screen.
  return {
    axial: plane(r, a, s, false, false, { left: "R", right: "L", top: "A", bottom: "P" }),
    coronal: plane(r, s, a, false, false, { left: "R", right: "L", top: "S", bottom: "I" }),
    sagittal: plane(a, s, r, false, false, { left: "A", right: "P", top: "S", bottom: "I" }),
  };
}

/** Voxel index [i, j, k] of the pixel (u across, v down) of a slice. */
export function toVoxel(plane, u, v, slice) {
  const voxel = [0, 0, 0];
  voxel[plane.across] = plane.flipAcross ? plane.size[0] - 1 - u : u;
  voxel[plane.down] = plane.flipDown ? plane.size[1] - 1 - v : v;
  voxel[plane.through] = slice;
  return voxel;
}

/** Pixel (u, v) and slice of a voxel index, which may lie between voxels. */
export function toPixel(plane, voxel) {
  const u = voxel[plane.across], v = voxel[plane.down];
  return [plane.flipAcross ? plane.size[0] - 1 - u : u, plane.flipDown ? plane.size[1] - 1 - v : v, voxel[plane.through]];
}
