// Elements without markup in strings: text from a server never becomes HTML.

/** An element: `h("button", {class: "go", onclick: f, disabled: true}, "Text", child, ...)`. */
export function h(name, given = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && typeof value !== "string") element[key] = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

/** An element of SVG. */
export function svg(name, given = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(given)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** Replace what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

let counter = 0;

/** A labelled field: label and control side by side, tied by an id. */
export function field(text, control, given = {}) {
  control.id ||= `f${++counter}`;
  return h("div", { class: "field", ...given }, h("label", { for: control.id }, text), control);
}

/** A select from `[value, text]` pairs. */
export function select(options, chosen, onchange, given = {}) {
  const element = h("select", { ...given });
  element.append(...options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
  element.addEventListener("change", () => onchange(element.value));
  return element;
}

export const button = (text, onclick, given = {}) => h("button", { type: "button", onclick, ...given }, text);

/** A table: heads, rows of texts or elements; the first cell of a row is its head. */
export function table(caption, heads, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", {}, caption),
      h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, rows.map((row) => h("tr", {},
        row.map((cell, i) => (i ? h("td", {}, cell ?? "") : h("th", { scope: "row" }, cell ?? ""))))))));
}

/** Tell in the status line, which screen readers speak. */
export function say(text, bad = false) {
  const line = document.getElementById("status");
  line.className = bad ? "bad" : "";
  line.textContent = text;
}

export const number = (value, digits = 3) => (value === null || value === undefined ? "" : Number(value).toFixed(digits));
