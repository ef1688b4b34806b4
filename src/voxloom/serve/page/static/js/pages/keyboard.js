// Keys of the viewer. They work wherever no text is being written.

import { h, button, say } from "../core/dom.js";
import { TOOLS } from "../viewer/tools.js";

export const KEYS = [["Wheel, arrow up and down", "slice"], ["Page up and down, Home, End", "five slices, first, last"],
  ["Shift and arrows", "move the crosshair"], ["Right drag", "window: width across, center up and down"],
  ["Ctrl and wheel, pinch", "zoom"], ["Shift and drag, middle drag, two fingers", "move the picture"], ["Double click", "fit"],
  ["1 to 9", "label"], ["Space", "tool at the crosshair"], ["[ and ]", "smaller, larger brush"],
  ["Ctrl+Z, Ctrl+Shift+Z or Ctrl+Y", "undo, redo"], ["Ctrl+S", "save"], ["O", "overlays on and off"], ["H", "outlines or areas"],
  ["X", "crosshair"], ["W", "next window"], ...TOOLS.map(([, text, key]) => [key, text]), ["?", "this list"]];

function help() {
  const dialog = h("dialog", { "aria-label": "Keys" }, h("h2", {}, "Keys and mouse"),
    h("table", {}, h("tbody", {}, KEYS.map(([key, text]) => h("tr", {}, h("th", { scope: "row" }, h("kbd", {}, key)), h("td", {}, text))))),
    button("Close", () => dialog.close(), { class: "main" }));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

const writing = (target) => target.closest?.("input:not([type=range]):not([type=checkbox]), textarea, select, dialog");

/** Listen; the function that is returned stops it. */
export function keyboard({ viewer, tools, layers }, annotate) {
  const plain = {
    "?": help, "[": () => annotate.changeRadius(-0.5), "]": () => annotate.changeRadius(0.5), o: () => layers.toggleAll(),
    w: () => viewer.nextWindow(),
    h() {
      viewer.mapOutline = !viewer.mapOutline;
      viewer.touch();
    },
    x() {
      viewer.crosshair = !viewer.crosshair;
      viewer.redraw();
    },
    ...Object.fromEntries(TOOLS.map(([name, text, key]) => [key.toLowerCase(), () => {
      annotate.choose(name);
      say(text);
    }])),
  };
  const held = {
    z: (event) => tools[event.shiftKey ? "redo" : "undo"](viewer), y: () => tools.redo(viewer), s: () => annotate.save(),
  };
  const listen = (event) => {
    if (writing(event.target) && !(event.ctrlKey && event.key === "s")) return;
    const key = event.key.toLowerCase();
    const work = event.ctrlKey || event.metaKey ? held[key] : event.altKey ? null
      : /^[1-9]$/.test(key) ? () => annotate.setPlace(Number(key)) : plain[key];
    if (!work) return;
    event.preventDefault();
    work(event);
  };
  document.addEventListener("keydown", listen);
  return () => document.removeEventListener("keydown", listen);
}
