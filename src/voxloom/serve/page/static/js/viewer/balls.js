// Points as small balls of triangles, all in one mesh with a colour each. Knows no picture and no NiiVue.

const RINGS = 8, SIDES = 12;

/** A ball of radius 1 about 0: [x, y, z] of its corners, and its triangles, counter-clockwise as seen from outside. */
function ball() {
  const corners = [];
  for (let ring = 0; ring <= RINGS; ring++) {
    const down = (Math.PI * ring) / RINGS;
    for (let side = 0; side < SIDES; side++) {
      const around = (2 * Math.PI * side) / SIDES;
      corners.push([Math.sin(down) * Math.cos(around), Math.sin(down) * Math.sin(around), Math.cos(down)]);
    }
  }
  const triangles = [];
  for (let ring = 0; ring < RINGS; ring++) {
    for (let side = 0; side < SIDES; side++) {
      const next = (side + 1) % SIDES;
      const [a, b] = [ring * SIDES + side, ring * SIDES + next];
      const [c, d] = [a + SIDES, b + SIDES];
      if (ring > 0) triangles.push([a, c, b]);
      if (ring < RINGS - 1) triangles.push([b, c, d]);
    }
  }
  return { corners, triangles };
}

/** The mesh of balls [{at: [x, y, z], color: "#rrggbb"}] of one radius: points (3 per corner), triangles, colors (RGBA per corner). */
export function balls(list, radius) {
  const { corners, triangles } = ball();
  const points = new Float32Array(list.length * corners.length * 3);
  const colors = new Uint8Array(list.length * corners.length * 4);
  const indices = new Uint32Array(list.length * triangles.length * 3);
  list.forEach(({ at, color }, n) => {
    const first = n * corners.length;
    const rgba = [...[1, 3, 5].map((place) => parseInt(color.slice(place, place + 2), 16)), 255];
    corners.forEach((corner, c) => {
      points.set(corner.map((v, axis) => at[axis] + radius * v), 3 * (first + c));
      colors.set(rgba, 4 * (first + c));
    });
    triangles.forEach((triangle, t) => indices.set(triangle.map((c) => first + c), 3 * (n * triangles.length + t)));
  });
  return { points, triangles: indices, colors };
}
