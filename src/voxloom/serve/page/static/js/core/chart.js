// Line charts in SVG: axes, ticks, points, and the same numbers as text for screen readers.

import { h, svg } from "./dom.js";

const WIDE = 460, HIGH = 220, LEFT = 52, BOTTOM = 36, TOP = 12, RIGHT = 12;

/** Round numbers from low to high, about `count` of them. */
export function ticks(low, high, count = 5) {
  const span = high - low || 1;
  const raw = span / count;
  const base = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * base).find((s) => s >= raw);
  const first = Math.ceil(low / step) * step;
  const found = [];
  for (let v = first; v <= high + step * 1e-6; v += step) found.push(Number(v.toPrecision(12)));
  return found;
}

const text = (v) => (Math.abs(v) >= 1e4 || (v !== 0 && Math.abs(v) < 1e-3) ? v.toExponential(1) : String(v));

/** A chart of `lines`: [{name, points: [[x, y], ...], color, dashed}] . Nothing to draw gives a sentence. */
export function chart(title, across, up, lines) {
  const all = lines.flatMap((line) => line.points).filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  if (!all.length) return h("p", { class: "quiet" }, `${title}: nothing to show yet.`);
  const [xs, ys] = [all.map((p) => p[0]), all.map((p) => p[1])];
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const pad = (y1 - y0) * 0.08 || Math.abs(y1) * 0.1 || 1;
  const [low, high] = [y0 - pad, y1 + pad];
  const px = (x) => LEFT + ((x - x0) / (x1 - x0 || 1)) * (WIDE - LEFT - RIGHT);
  const py = (y) => HIGH - BOTTOM - ((y - low) / (high - low)) * (HIGH - TOP - BOTTOM);
  const last = lines.map((l) => l.points.length && `${l.name}: last ${text(Number(l.points.at(-1)[1].toPrecision(4)))}`);
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "chart", role: "img",
    "aria-label": `${title}. ${last.filter(Boolean).join("; ")}` });
  for (const y of ticks(low, high)) {
    picture.append(svg("line", { x1: LEFT, x2: WIDE - RIGHT, y1: py(y), y2: py(y), class: "rule" }),
      svg("text", { x: LEFT - 6, y: py(y) + 4, "text-anchor": "end" }, text(y)));
  }
  for (const x of ticks(x0, x1)) {
    picture.append(svg("text", { x: px(x), y: HIGH - BOTTOM + 16, "text-anchor": "middle" }, text(x)));
  }
  picture.append(svg("text", { x: (LEFT + WIDE - RIGHT) / 2, y: HIGH - 4, "text-anchor": "middle" }, across),
    svg("text", { x: 12, y: HIGH / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${HIGH / 2})` }, up));
  lines.forEach((line, i) => {
    const path = line.points.map(([x, y], n) => `${n ? "L" : "M"}${px(x).toFixed(1)} ${py(y).toFixed(1)}`).join("");
    picture.append(svg("path", { d: path, class: `line line${i}` }));
    if (line.points.length <= 40) {
      for (const [x, y] of line.points) picture.append(svg("circle", { cx: px(x), cy: py(y), r: 3, class: `dot line${i}` }));
    }
  });
  const legend = lines.map((line, i) => h("span", { class: `key key${i}` }, line.name));
  return h("figure", { class: "figure" }, h("figcaption", {}, title, lines.length > 1 ? h("span", {}, legend) : null), picture);
}
