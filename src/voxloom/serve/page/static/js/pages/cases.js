// The list of cases: pictures, state, predictions and how good they probably are.

import { api, attempt } from "../core/api.js";
import { button, fill, h, number, say, select, field, table } from "../core/dom.js";

const STATES = { new: "new", predicted: "predicted", annotated: "annotated" };
const kept = { sort: "name", as: "cards", find: "", state: "" };

const firstOf = (record) => Object.values(record ?? {})[0];
const likely = (item) => firstOf(item.quality)?.dice ?? null;

const ORDERS = {
  name: (a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }),
  rank: (a, b) => (a.rank ?? Infinity) - (b.rank ?? Infinity),
  quality: (a, b) => (likely(a) ?? Infinity) - (likely(b) ?? Infinity),
  dice: (a, b) => (firstOf(a.dice) ?? Infinity) - (firstOf(b.dice) ?? Infinity),
};

const link = (id) => `#/case/${encodeURIComponent(id)}`;

function tags(item) {
  return [h("span", { class: `tag ${item.state}` }, STATES[item.state] ?? item.state),
    item.truth ? h("span", { class: "tag" }, "truth") : null,
    item.versions ? h("span", { class: "tag" }, `${item.versions} version${item.versions > 1 ? "s" : ""}`) : null];
}

function figures(item) {
  const lines = [];
  for (const [run, { dice, bound }] of Object.entries(item.quality ?? {})) {
    lines.push(`${run}: likely Dice ${number(dice, 2)}${bound === null || bound === undefined ? "" : `, at least ${number(bound, 2)}`}`);
  }
  for (const [run, dice] of Object.entries(item.dice ?? {})) lines.push(`${run}: Dice ${number(dice, 3)}`);
  if (item.rank !== null && item.rank !== undefined) lines.push(`rank ${item.rank}`);
  return lines;
}

const card = (item) => h("li", {}, h("a", { class: "card", href: link(item.id) },
  h("img", { src: api.thumbnail(item.id), alt: "", loading: "lazy" }),
  h("div", {}, h("strong", {}, item.id), tags(item), figures(item).map((line) => h("span", { class: "quiet" }, line)))));

const asTable = (items) => table("Cases", ["Case", "State", "Modality", "Channels", "Matrix", "Spacing mm", "Likely Dice", "Dice",
  "Rank", "Versions"], items.map((item) => [h("a", { href: link(item.id) }, item.id), item.state, item.modality ?? "",
  item.channels.join(", "), item.shape.join(" × "), item.spacing.map((v) => number(v, 2)).join(" × "),
  number(likely(item), 2), number(firstOf(item.dice)), item.rank ?? "", item.versions]));

function upload(again) {
  const input = h("input", { type: "file", multiple: true, accept: ".nii,.gz,.mha,.mhd,.nrrd,.dcm,.zip", class: "file" });
  input.addEventListener("change", () => attempt(async () => {
    say(`Sending ${input.files.length} file(s) …`);
    await api.upload(input.files);
    say("Added.");
    await again();
  }));
  return field("Add a scan (NIfTI, NRRD, MHA, DICOM or zip)", input);
}

export async function casesPage(main) {
  const [items, info] = await Promise.all([api.cases(), api.info()]);
  const list = h("div", {});
  const show = () => {
    const chosen = items.filter((item) => item.id.toLowerCase().includes(kept.find.toLowerCase())
      && (!kept.state || item.state === kept.state)).sort(ORDERS[kept.sort]);
    fill(list, h("p", { class: "quiet" }, `${chosen.length} of ${items.length} cases`),
      kept.as === "cards" ? h("ul", { class: "cards" }, chosen.map(card)) : asTable(chosen));
  };
  const change = (key) => (value) => {
    kept[key] = value;
    show();
  };
  const find = h("input", { type: "search", value: kept.find, oninput: () => change("find")(find.value) });
  const shape = button("", () => {
    kept.as = kept.as === "cards" ? "table" : "cards";
    shape.textContent = kept.as === "cards" ? "Show as table" : "Show as cards";
    show();
  });
  shape.textContent = kept.as === "cards" ? "Show as table" : "Show as cards";
  fill(main, h("h1", {}, "Cases"), h("div", { class: "row" }, field("Find", find),
    field("State", select([["", "all"], ...Object.entries(STATES)], kept.state, change("state"))),
    field("Order", select([["name", "name"], ["rank", "rank"], ["quality", "likely Dice, worst first"],
      ["dice", "Dice, worst first"]], kept.sort, change("sort"))), shape,
    info.can?.annotate === false ? null : upload(() => casesPage(main))), list);
  show();
}
