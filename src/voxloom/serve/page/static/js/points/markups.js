// Points as files: markups of 3D Slicer (.mrk.json, LPS or RAS) and CSV in RAS millimetres.

const SIDED = /^(.+?)[\s_\-.]+(left|right|l|r)$/i;

/** {name, side} of a label such as "L4 left" or "L4_L". */
export function splitLabel(label) {
  const match = SIDED.exec(label.trim());
  if (!match) return { name: label.trim(), side: "" };
  return { name: match[1], side: match[2].toLowerCase().startsWith("l") ? "left" : "right" };
}

export const joinLabel = ({ name, side }) => [name, side].filter(Boolean).join(" ");

/** Marks [{name, side, mm: [x, y, z] in RAS}] of a markups file. */
export function fromMarkups(content) {
  return content.markups.flatMap((list) => {
    const signs = (list.coordinateSystem ?? "LPS") === "RAS" ? [1, 1, 1] : [-1, -1, 1];
    return list.controlPoints
      .filter((point) => (point.positionStatus ?? "defined") === "defined")
      .map((point) => ({ ...splitLabel(point.label ?? ""), mm: point.position.map((v, n) => v * signs[n]) }));
  });
}

const rounded = (values) => values.map((v) => Math.round(v * 1e4) / 1e4 + 0);

/** Content of a markups file of 3D Slicer 5, LPS millimetres. */
export function toMarkups(marks) {
  const controlPoints = marks.map((mark, n) => ({
    id: String(n + 1), label: joinLabel(mark), description: "", position: rounded([-mark.mm[0], -mark.mm[1], mark.mm[2]]),
    selected: true, locked: false, visibility: true, positionStatus: "defined",
  }));
  return {
    "@schema": "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
      + "markups-schema-v1.0.3.json#",
    markups: [{ type: "Fiducial", coordinateSystem: "LPS", coordinateUnits: "mm", controlPoints }],
  };
}
