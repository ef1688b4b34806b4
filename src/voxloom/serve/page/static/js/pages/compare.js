// Two annotators: one case side by side in numbers, and all cases with the statistics of `voxloom raters`.

import { api, attempt, maybe } from "../core/api.js";
import { button, field, fill, h, number, select, table } from "../core/dom.js";

const mm = (value) => (value === null || value === undefined || Number.isNaN(value) ? "" : number(value, 2));
const pairName = (row) => `${row.first} – ${row.second}`;

/** Tables of one case. */
function oneCase(found) {
  const who = { a: found.a, b: found.b };
  const labels = Object.entries(found.labels ?? {});
  const parts = [];
  if (labels.length) {
    parts.push(table(`Labels, ${found.a} and ${found.b}`, ["Label", "Dice", "HD95 mm", "ASSD mm", "Missing"], labels.map(([name, m]) => [
      name, number(m.dice, 3), mm(m.hd95), mm(m.assd), Object.entries(found.missing ?? {}).filter(([, names]) => names.includes(name))
        .map(([side]) => `not by ${who[side]}`).join()])));
  }
  if (found.landmarks?.length) {
    parts.push(table(`Landmarks, ${found.a} and ${found.b}`, ["Landmark", "Distance mm", `Slices ${found.a}`, `Slices ${found.b}`, "In common",
      "Missing"], found.landmarks.map((row) => [`${row.name} ${row.side}`.trim(), mm(row.distance), row.slices_a, row.slices_b,
      row.slices_both, row.missing ? `not by ${who[row.missing]}` : ""])));
  }
  return parts;
}

/** Tables of all cases: agreement of label maps as `voxloom raters` prints it, and of points. */
function allCases({ labels, landmarks }) {
  const parts = [];
  if (labels) {
    parts.push(h("p", {}, `${labels.cases} cases. ${labels.patients_note ?? ""}`));
    for (const [name, figures] of Object.entries(labels.labels)) {
      parts.push(table(`${name}: medians`, ["Pair", "Cases", "Dice", "HD mm", "HD95 mm", "ASSD mm", "One mask empty"], figures.pairs.map((p) => [
        pairName(p), p.cases, number(p.dice.median, 3), mm(p.hd.median), mm(p.hd95.median), mm(p.assd.median), p.hd.infinite])));
      if (figures.bland_altman?.length) {
        parts.push(table(`${name}: volumes (Bland-Altman, ml)`, ["Pair", "Mean difference", "Lower limit", "Upper limit"],
          figures.bland_altman.map((row) => [pairName(row), number(row.bias.value, 2), number(row.lower.value, 2), number(row.upper.value, 2)])));
      }
    }
    for (const note of labels.warnings ?? []) parts.push(h("p", { class: "quiet" }, note));
  }
  for (const pair of landmarks ?? []) {
    parts.push(table(`Landmarks, ${pair.a} and ${pair.b}, ${pair.cases} cases`, ["Landmark", "Cases", "Mean mm", "Largest mm",
      "Overlap of slices", "No common slice", `Missing in ${pair.a}`, `Missing in ${pair.b}`], pair.landmarks.map((row) => [
      `${row.name} ${row.side}`.trim(), row.cases, mm(row.mean_mm), mm(row.largest_mm), number(row.overlap, 2), row.no_common_slice,
      row.missing_a, row.missing_b])));
  }
  return parts;
}

/** Authors of the versions of a case. */
async function authorsOf(id) {
  const versions = await api.annotations(id, true);
  return [...new Set(versions.map((version) => version.author).filter(Boolean))];
}

export async function comparePage(main) {
  const info = await api.info();
  if (info.can?.compare === false) {
    fill(main, h("h1", {}, "Compare"), h("p", {}, "Annotators are blind to each other. Who leads the study sees the comparison."));
    return;
  }
  const cases = (await api.cases()).filter((item) => item.versions > 1);
  const one = h("div", {}), people = h("div", { class: "row" }), all = h("div", {});
  const chosen = { id: "", a: "", b: "" };
  const show = () => attempt(async () => fill(one, oneCase(await api.compare(chosen.id, chosen.a, chosen.b)),
    h("p", {}, h("a", { href: `#/case/${encodeURIComponent(chosen.id)}` }, "Open the case"))));
  const choose = (id) => attempt(async () => {
    chosen.id = id;
    const names = await authorsOf(id);
    fill(one);
    if (names.length < 2) {
      fill(people, h("p", { class: "quiet" }, "Only one person annotated this case."));
      return;
    }
    [chosen.a, chosen.b] = names;
    const pick = (key) => select(names.map((name) => [name, name]), chosen[key], (name) => { chosen[key] = name; });
    fill(people, field("First", pick("a")), field("Second", pick("b")), button("Compare", show, { class: "main" }));
    await show();
  });
  fill(main, h("h1", {}, "Compare"), h("div", { class: "columns" },
    h("section", { class: "panel", "aria-label": "One case" }, h("h2", {}, "One case"), cases.length
      ? field("Case", select([["", "choose …"], ...cases.map(({ id }) => [id, id])], "", (id) => id && choose(id)))
      : h("p", { class: "quiet" }, "No case has versions of two people yet."), people, one),
    h("section", { class: "panel", "aria-label": "All cases" }, h("h2", {}, "All cases"), all)));
  const found = await maybe(api.raters());
  fill(all, found ? allCases(found) : h("p", { class: "quiet" }, "No case was annotated by two people yet."));
}
