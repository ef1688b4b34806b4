// 4 x 4 affines as rows of numbers: voxel index (i, j, k) to RAS+ millimetres and back.

/** A * (x, y, z, 1). */
export function apply(a, [x, y, z]) {
  return [0, 1, 2].map((r) => a[r][0] * x + a[r][1] * y + a[r][2] * z + a[r][3]);
}

/** Inverse of an affine; an error where its axes are not independent. */
export function invert(a) {
  const [[a00, a01, a02, t0], [a10, a11, a12, t1], [a20, a21, a22, t2]] = a;
  const c = [
    [a11 * a22 - a12 * a21, a02 * a21 - a01 * a22, a01 * a12 - a02 * a11],
    [a12 * a20 - a10 * a22, a00 * a22 - a02 * a20, a02 * a10 - a00 * a12],
    [a10 * a21 - a11 * a20, a01 * a20 - a00 * a21, a00 * a11 - a01 * a10],
  ];
  const det = a00 * c[0][0] + a01 * c[1][0] + a02 * c[2][0];
  if (!det) throw new Error("The geometry of this image cannot be inverted");
  const m = c.map((row) => row.map((v) => v / det));
  return [...m.map((r) => [...r, -(r[0] * t0 + r[1] * t1 + r[2] * t2)]), [0, 0, 0, 1]];
}

/** A * B. */
export function multiply(a, b) {
  return a.map((row) => [0, 1, 2, 3].map((c) => row.reduce((sum, v, k) => sum + v * b[k][c], 0)));
}

/** Millimetres per voxel along i, j and k. */
export const spacing = (a) => [0, 1, 2].map((c) => Math.hypot(a[0][c], a[1][c], a[2][c]));

/** Whether two grids are one: the same size, and corners within a thousandth of a voxel. */
export function sameGrid(a, b) {
  if (a.dims.some((n, i) => n !== b.dims[i])) return false;
  const step = Math.min(...spacing(a.affine));
  const corners = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => a.dims.map((d, i) => ((n >> i) & 1) * (d - 1)));
  return corners.every((corner) => {
    const [p, q] = [apply(a.affine, corner), apply(b.affine, corner)];
    return Math.hypot(p[0] - q[0], p[1] - q[1], p[2] - q[2]) < 1e-3 * step;
  });
}
