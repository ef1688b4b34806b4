// One plane of one channel on a canvas: picture, labels, points, crosshair; pointer, wheel and keys become wishes of the viewer.

import { h } from "../core/dom.js";
import { apply } from "../volume/affine.js";
import { toPixel, toVoxel } from "../volume/planes.js";
import { paintGrey } from "../volume/slice.js";

const POINT_SLICES = 2; // marks of so many slices away show faintly

export class Pane {
  #grey = document.createElement("canvas");
  #over = document.createElement("canvas");
  #painted = {};
  #held = null;
  #touches = new Map();

  /** `viewer`: its state and its wishes; `name`: the plane; `channel`: place of the image that is shown. */
  constructor(viewer, name, channel) {
    Object.assign(this, { viewer, name, channel, plane: viewer.planes[name], center: null });
    this.canvas = h("canvas", { tabindex: "0", role: "application", class: "slice", "data-plane": name });
    this.slider = h("input", { type: "range", min: "0", max: String(this.plane.count - 1), step: "1",
      "aria-label": `${name} slice`, oninput: () => viewer.goSlice(name, Number(this.slider.value)) });
    this.title = h("span", { class: "pane-title" });
    this.element = h("section", { class: "pane", "aria-label": `${name} plane` },
      this.canvas, h("div", { class: "pane-foot" }, this.title, this.slider));
    this.#listen();
  }

  get slice() { return this.viewer.cursor[this.plane.through]; }

  /** Device pixels per pixel of the slice, across and down, and where pixel (0, 0) begins. */
  #frame() {
    const { width, height } = this.canvas;
    const [wide, high] = this.plane.size, [mu, mv] = this.plane.mm;
    const fit = Math.min(width / (wide * mu), height / (high * mv)) * this.viewer.zoom;
    const [cu, cv] = this.center ?? [wide / 2, high / 2];
    return { su: fit * mu, sv: fit * mv, x: width / 2 - cu * fit * mu, y: height / 2 - cv * fit * mv };
  }

  /** Pixel of the slice (centers are whole numbers) under a pointer event. */
  pixelAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const { su, sv, x, y } = this.#frame();
    const ratio = this.canvas.width / box.width;
    return [((event.clientX - box.left) * ratio - x) / su - 0.5, ((event.clientY - box.top) * ratio - y) / sv - 0.5];
  }

  /** Page coordinates of the center of a pixel: for tests, and for what must follow a voxel. */
  pageAt([u, v]) {
    const box = this.canvas.getBoundingClientRect();
    const { su, sv, x, y } = this.#frame();
    const ratio = this.canvas.width / box.width;
    return [box.left + (x + (u + 0.5) * su) / ratio, box.top + (y + (v + 0.5) * sv) / ratio];
  }

  #inside([u, v]) { return u > -0.5 && v > -0.5 && u < this.plane.size[0] - 0.5 && v < this.plane.size[1] - 0.5; }

  voxelAt(pixel) { return toVoxel(this.plane, Math.round(pixel[0]), Math.round(pixel[1]), this.slice); }

  // ---------------------------------------------------------------- drawing

  draw() {
    const box = this.canvas.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [wide, high] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
    if (this.canvas.width !== wide || this.canvas.height !== high) Object.assign(this.canvas, { width: wide, height: high });
    this.#paint();
    const pen = this.canvas.getContext("2d");
    const frame = this.#frame();
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, wide, high);
    const place = [frame.x, frame.y, this.plane.size[0] * frame.su, this.plane.size[1] * frame.sv];
    pen.imageSmoothingEnabled = this.viewer.smooth;
    pen.drawImage(this.#grey, ...place);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.#over, ...place);
    this.#crosshair(pen, frame, ratio);
    this.#marks(pen, frame, ratio);
    this.#pen(pen, frame, ratio);
    this.#letters(pen, ratio);
    this.#tell();
  }

  #paint() {
    const { viewer, plane, slice } = this;
    const image = viewer.channels[this.channel];
    const key = `${slice}|${image.window}`;
    if (this.#painted.grey !== key) {
      this.#put(this.#grey, (pixels) => paintGrey(pixels, image.volume, viewer.reference, plane, slice, image.window));
      this.#painted.grey = key;
    }
    const over = `${slice}|${viewer.overlayStamp()}`;
    if (this.#painted.over !== over) {
      this.#put(this.#over, (pixels) => viewer.paintOverlays(pixels, plane, slice));
      this.#painted.over = over;
    }
  }

  #put(canvas, paint) {
    const [width, height] = this.plane.size;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pixels = new ImageData(width, height);
    paint(pixels.data);
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }

  #crosshair(pen, frame, ratio) {
    if (!this.viewer.crosshair) return;
    const [u, v] = toPixel(this.plane, this.viewer.cursor);
    const [x, y] = [frame.x + (u + 0.5) * frame.su, frame.y + (v + 0.5) * frame.sv];
    const gap = 9 * ratio;
    pen.strokeStyle = "rgba(90, 200, 250, 0.75)";
    pen.lineWidth = ratio;
    pen.beginPath();
    for (const [x0, y0, x1, y1] of [[0, y, x - gap, y], [x + gap, y, this.canvas.width, y], [x, 0, x, y - gap],
      [x, y + gap, x, this.canvas.height]]) {
      pen.moveTo(x0, y0);
      pen.lineTo(x1, y1);
    }
    pen.stroke();
  }

  #marks(pen, frame, ratio) {
    pen.font = `600 ${12 * ratio}px system-ui, sans-serif`;
    for (const { mm, color, text, hollow } of this.viewer.marksToDraw()) {
      const [u, v, through] = toPixel(this.plane, apply(this.viewer.toVoxel, mm));
      const away = Math.abs(through - this.slice);
      if (away > POINT_SLICES + 0.5) continue;
      const near = away <= 0.5;
      const [x, y] = [frame.x + (u + 0.5) * frame.su, frame.y + (v + 0.5) * frame.sv];
      pen.globalAlpha = near ? 1 : 0.45;
      pen.beginPath();
      pen.arc(x, y, (near ? 5 : 4) * ratio, 0, 2 * Math.PI);
      pen.lineWidth = 2 * ratio;
      pen.strokeStyle = near && !hollow ? "#000" : color;
      pen.fillStyle = color;
      if (near && !hollow) pen.fill();
      pen.stroke();
      if (near) {
        pen.lineWidth = 3 * ratio;
        pen.strokeStyle = "rgba(0, 0, 0, 0.8)";
        pen.strokeText(text, x + 8 * ratio, y - 6 * ratio);
        pen.fillText(text, x + 8 * ratio, y - 6 * ratio);
      }
      pen.globalAlpha = 1;
    }
  }

  #pen(pen, frame, ratio) {
    const size = this.viewer.penSize();
    if (!this.over || size === null) return;
    const [u, v] = this.over;
    pen.strokeStyle = "rgba(255, 255, 255, 0.9)";
    pen.lineWidth = ratio;
    pen.beginPath();
    const [ru, rv] = this.plane.mm.map((mm, n) => Math.max(0.5, size / mm) * (n ? frame.sv : frame.su));
    pen.ellipse(frame.x + (u + 0.5) * frame.su, frame.y + (v + 0.5) * frame.sv, ru, rv, 0, 0, 2 * Math.PI);
    pen.stroke();
  }

  #letters(pen, ratio) {
    const { width, height } = this.canvas;
    const { left, right, top, bottom } = this.plane.letters;
    pen.font = `600 ${13 * ratio}px system-ui, sans-serif`;
    pen.fillStyle = "#e8edf2";
    pen.strokeStyle = "rgba(0, 0, 0, 0.8)";
    pen.lineWidth = 3 * ratio;
    const write = (text, x, y, align, base) => {
      Object.assign(pen, { textAlign: align, textBaseline: base });
      pen.strokeText(text, x, y);
      pen.fillText(text, x, y);
    };
    write(left, 6 * ratio, height / 2, "left", "middle");
    write(right, width - 6 * ratio, height / 2, "right", "middle");
    write(top, width / 2, 6 * ratio, "center", "top");
    write(bottom, width / 2, height - 6 * ratio, "center", "bottom");
    Object.assign(pen, { textAlign: "left", textBaseline: "alphabetic" });
  }

  #tell() {
    const { viewer, plane, name } = this;
    const image = viewer.channels[this.channel];
    const [low, high] = image.window.map((v) => (Math.abs(v) < 10 ? v.toFixed(2) : v.toFixed(0)));
    const about = viewer.channels.length > 1 ? `${image.name}, ` : "";
    this.title.textContent = `${about}${name} ${this.slice + 1}/${plane.count} · window ${low} to ${high}`;
    this.slider.value = String(this.slice);
    this.canvas.setAttribute("aria-label", `${about}${name} slice ${this.slice + 1} of ${plane.count}. `
      + "Arrow up and down: slice; shift and arrows: crosshair; space: tool at the crosshair");
  }

  // ---------------------------------------------------------------- pointer and keys

  #listen() {
    const on = (kind, work, given) => this.canvas.addEventListener(kind, work.bind(this), given);
    on("pointerdown", this.#down);
    on("pointermove", this.#move);
    on("pointerup", this.#up);
    on("pointercancel", this.#up);
    on("pointerleave", () => {
      this.over = null;
      this.viewer.redraw();
    });
    on("contextmenu", (event) => event.preventDefault());
    on("wheel", this.#wheel, { passive: false });
    on("keydown", this.#key);
    on("dblclick", () => this.viewer.resetView(this));
  }

  #down(event) {
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.#touches.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.#touches.size === 2) {
      if (this.#held?.kind === "tool") this.viewer.toolEnd(this);
      this.#held = { kind: "pinch", ...this.#spread(), zoom: this.viewer.zoom };
      return;
    }
    const start = [event.clientX, event.clientY];
    if (event.button === 2) this.#held = { kind: "window", start, window: this.viewer.channels[this.channel].window };
    else if (event.button === 1 || event.shiftKey) this.#held = { kind: "pan", last: start };
    else {
      this.#held = { kind: "tool" };
      const pixel = this.pixelAt(event);
      if (this.#inside(pixel)) this.viewer.toolStart(this, pixel, event);
    }
  }

  #spread() {
    const [a, b] = [...this.#touches.values()];
    return { apart: Math.hypot(a[0] - b[0], a[1] - b[1]), last: [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2] };
  }

  #move(event) {
    if (this.#touches.has(event.pointerId)) this.#touches.set(event.pointerId, [event.clientX, event.clientY]);
    const held = this.#held;
    this.over = event.pointerType === "touch" ? null : this.pixelAt(event);
    if (held?.kind === "window") this.#window(event, held);
    else if (held?.kind === "pan") this.#pan(held, [event.clientX, event.clientY]);
    else if (held?.kind === "pinch" && this.#touches.size === 2) {
      const { apart, last } = this.#spread();
      this.#pan(held, last);
      this.viewer.setZoom((held.zoom * apart) / held.apart);
    } else if (held?.kind === "tool") this.viewer.toolMove(this, this.pixelAt(event), event);
    this.viewer.redraw();
  }

  #window(event, { start, window: [low, high] }) {
    const span = Math.max(high - low, 1e-6);
    const wider = Math.exp((event.clientX - start[0]) / 200);
    const center = (low + high) / 2 - ((event.clientY - start[1]) / 300) * span;
    this.viewer.setWindow(this.channel, [center - (span * wider) / 2, center + (span * wider) / 2]);
  }

  #pan(held, now) {
    const { su, sv } = this.#frame();
    const ratio = this.canvas.width / this.canvas.getBoundingClientRect().width;
    const [cu, cv] = this.center ?? this.plane.size.map((n) => n / 2);
    this.center = [cu - ((now[0] - held.last[0]) * ratio) / su, cv - ((now[1] - held.last[1]) * ratio) / sv];
    held.last = now;
  }

  #up(event) {
    this.#touches.delete(event.pointerId);
    if (this.#held?.kind === "tool") this.viewer.toolEnd(this);
    if (!this.#touches.size) this.#held = null;
  }

  #wheel(event) {
    event.preventDefault();
    if (event.ctrlKey) {
      const pixel = this.pixelAt(event);
      const before = this.viewer.zoom;
      this.viewer.setZoom(before * Math.exp(-event.deltaY / 300));
      const [cu, cv] = this.center ?? this.plane.size.map((n) => n / 2);
      const share = 1 - before / this.viewer.zoom;
      this.center = [cu + (pixel[0] + 0.5 - cu) * share, cv + (pixel[1] + 0.5 - cv) * share];
    } else this.viewer.goSlice(this.name, this.slice + Math.sign(event.deltaY));
  }

  #key(event) {
    const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -5, PageDown: 5 };
    const cross = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
    const pixel = toPixel(this.plane, this.viewer.cursor);
    if (cross[event.key] && (event.shiftKey || event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      const [du, dv] = cross[event.key];
      this.viewer.goTo(toVoxel(this.plane, pixel[0] + du, pixel[1] + dv, pixel[2]));
    } else if (event.key in steps) this.viewer.goSlice(this.name, this.slice + steps[event.key]);
    else if (event.key === "Home") this.viewer.goSlice(this.name, 0);
    else if (event.key === "End") this.viewer.goSlice(this.name, this.plane.count - 1);
    else if (event.key === " ") {
      this.viewer.toolStart(this, pixel, event);
      this.viewer.toolEnd(this);
    } else return;
    event.preventDefault();
  }
}
