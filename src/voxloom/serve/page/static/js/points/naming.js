// Level and side of a mark follow from where it lies: marks are grouped to landmarks, sides by left and right, levels from
// head to feet (the rules of `voxloom.landmarks` for a network's points, here for a person's).

/** Levels, head to feet, and sides of a list of landmark names; null where names have no two sides for every level. */
export function scheme(landmarks) {
  const levels = [];
  const sides = new Map();
  for (const { name, side } of landmarks) {
    if (!levels.includes(name)) levels.push(name);
    sides.set(name, [...(sides.get(name) ?? []), side]);
  }
  const sided = levels.every((name) => sides.get(name).includes("left") && sides.get(name).includes("right"));
  const plain = levels.every((name) => sides.get(name).length === 1 && sides.get(name)[0] === "");
  return sided || plain ? { levels, sided } : null;
}

/** Where to cut left from right: the middle of the two-means split of x (exact), or `middle` with fewer than two far groups. */
export function cut(xs, middle) {
  const sorted = [...xs].sort((a, b) => a - b);
  let best = [Infinity, middle];
  for (let n = 1; n < sorted.length; n++) {
    const parts = [sorted.slice(0, n), sorted.slice(n)];
    const means = parts.map((part) => part.reduce((sum, v) => sum + v, 0) / part.length);
    const cost = parts.reduce((sum, part, i) => sum + part.reduce((s, v) => s + (v - means[i]) ** 2, 0), 0);
    if (cost < best[0]) best = [cost, (means[0] + means[1]) / 2];
  }
  return best[1];
}

/** Groups of marks that lie nearer than `apart` mm to one another in the sagittal plane (single linkage). */
export function groups(marks, apart) {
  const left = [...marks];
  const found = [];
  while (left.length) {
    const group = [left.shift()];
    for (let n = 0; n < group.length; n++) {
      for (let m = left.length - 1; m >= 0; m--) {
        const [a, b] = [group[n].mm, left[m].mm];
        if (Math.hypot(a[1] - b[1], a[2] - b[2]) < apart) group.push(...left.splice(m, 1));
      }
    }
    found.push(group);
  }
  return found;
}

const center = (group, axis) => group.reduce((sum, mark) => sum + mark.mm[axis], 0) / group.length;

/**
 * Marks with `name` and `side` from their places. `levels` from head to feet; `middle`: x in mm of the image's middle, the
 * cut while all marks lie within `spread` mm of one another from left to right. Further groups than levels have no name.
 */
export function nameByPlace(marks, { levels, sided }, { middle, apart = 10, spread = 12 }) {
  if (!marks.length) return [];
  const xs = marks.map((mark) => mark.mm[0]);
  const border = Math.max(...xs) - Math.min(...xs) < spread ? middle : cut(xs, middle);
  const sides = sided ? [["left", (x) => x < border], ["right", (x) => x >= border]] : [["", () => true]];
  return sides.flatMap(([side, holds]) => {
    const own = groups(marks.filter((mark) => holds(mark.mm[0])), apart);
    own.sort((a, b) => center(b, 2) - center(a, 2));
    return own.flatMap((group, n) => group.map((mark) => ({ ...mark, name: levels[n] ?? "", side: levels[n] ? side : "" })));
  });
}
