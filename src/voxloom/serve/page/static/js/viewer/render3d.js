// The 3D view: NiiVue draws the image and the labels, both thinned so that a laptop without a graphics card can turn them, and points.

import { h, fill } from "../core/dom.js";
import { spacing } from "../volume/affine.js";
import { writeNifti } from "../volume/nifti.js";
import { balls } from "./balls.js";

const MOST = 144; // voxels per axis of what is rendered
const BALL = 0.025; // radius of a point, as a share of the longest side of the image
const THROUGH = 0.5; // how much of a point is seen through what lies before it
let loading = null;

/** NiiVue's script, loaded when it is first needed. */
function niivue() {
  loading ??= new Promise((resolve, reject) => {
    const script = h("script", { src: "/page/vendor/niivue.umd.js" });
    script.addEventListener("load", () => resolve(window.niivue));
    script.addEventListener("error", () => reject(new Error("The 3D view could not be loaded")));
    document.head.append(script);
  });
  return loading;
}

/** Every n-th voxel along each axis, and the affine of what is left. */
function thinned({ dims, affine }, steps) {
  const small = dims.map((n, i) => Math.ceil(n / steps[i]));
  const rows = affine.slice(0, 3).map((row) => [row[0] * steps[0], row[1] * steps[1], row[2] * steps[2], row[3]]);
  const each = (put) => {
    let to = 0;
    for (let k = 0; k < dims[2]; k += steps[2]) {
      for (let j = 0; j < dims[1]; j += steps[1]) {
        for (let i = 0; i < dims[0]; i += steps[0]) put(to++, i + dims[0] * (j + dims[1] * k));
      }
    }
  };
  return { dims: small, affine: [...rows, [0, 0, 0, 1]], each };
}

/** A NIfTI file in memory of bytes on a thinned grid. */
function file(small, bytes) {
  const head = new Uint8Array(352);
  const view = new DataView(head.buffer);
  view.setInt16(254, 1, true);
  head[123] = 2;
  small.affine.slice(0, 3).forEach((row, r) => row.forEach((v, c) => view.setFloat32(280 + 16 * r + 4 * c, v, true)));
  [0, 1, 2].forEach((c) => view.setFloat32(80 + 4 * c, Math.hypot(...small.affine.slice(0, 3).map((row) => row[c])), true));
  return writeNifti({ dims: small.dims, head, little: true }, bytes).buffer;
}

export class Render3D {
  /** A 3D view in `host` of what a viewer shows; `labels()` gives {volume, colors: [[value, "#rrggbb"]]} or null. */
  constructor(host, viewer, labels) {
    Object.assign(this, { host, viewer, labels, nv: null });
  }

  async open() {
    const { Niivue, NVImage, NVMesh } = await niivue();
    this.canvas = h("canvas", { "aria-label": "3D view. Drag to turn, wheel to zoom", role: "img", tabindex: "0" });
    fill(this.host, this.canvas);
    Object.assign(this, { kind: NVImage, mesh: NVMesh });
    this.nv = new Niivue({ logLevel: "error", dragAndDropEnabled: false, backColor: [0, 0, 0, 1], show3Dcrosshair: false,
      isOrientCube: true, meshXRay: THROUGH, clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "" });
    await this.nv.attachToCanvas(this.canvas);
    this.nv.setSliceType(this.nv.sliceTypeRender);
    await this.update();
  }

  /** Take over image, window, labels and points as they are now. */
  async update() {
    if (!this.nv) return;
    const { volume, window } = this.viewer.channels[this.viewer.channel];
    const steps = volume.dims.map((n) => Math.ceil(n / MOST));
    const small = thinned(volume, steps);
    const [low, high] = window;
    const grey = new Uint8Array(small.dims[0] * small.dims[1] * small.dims[2]);
    small.each((to, from) => {
      const value = ((volume.data[from] * volume.slope + volume.inter - low) / (high - low)) * 255;
      grey[to] = Math.max(0, Math.min(255, value));
    });
    for (const old of [...this.nv.meshes]) this.nv.removeMesh(old);
    for (const old of [...this.nv.volumes]) this.nv.removeVolume(old);
    await this.#add(file(small, grey), "image.nii", { colormap: "gray", cal_min: 40, cal_max: 255, opacity: 1 });
    await this.#addLabels();
    this.#addPoints(small);
    this.nv.setRenderAzimuthElevation(this.turned?.[0] ?? 150, this.turned?.[1] ?? 15);
  }

  async #addLabels() {
    const found = this.labels();
    if (!found) return;
    const { volume, colors } = found;
    const steps = volume.dims.map((n) => Math.ceil(n / MOST));
    const small = thinned(volume, steps);
    const bytes = new Uint8Array(small.dims[0] * small.dims[1] * small.dims[2]);
    const places = new Map(colors.map(([value], n) => [value, n + 1]));
    small.each((to, from) => { bytes[to] = places.get(volume.data[from] * volume.slope + volume.inter) ?? 0; });
    await this.#add(file(small, bytes), "labels.nii", { opacity: 1 });
    const rgb = colors.map(([, color]) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)));
    const column = (c) => [0, ...rgb.map((v) => v[c])];
    this.nv.volumes.at(-1).setColormapLabel({ R: column(0), G: column(1), B: column(2), A: [0, ...rgb.map(() => 255)],
      I: [0, ...rgb.map((__, n) => n + 1)], labels: ["", ...rgb.map(() => "")] });
    this.nv.updateGLVolume();
  }

  /** The marks and points that the planes show, in mm of the patient as NiiVue places images of any orientation. */
  #addPoints({ dims, affine }) {
    const list = this.viewer.marksToDraw().map(({ mm, color }) => ({ at: mm, color }));
    if (!list.length) return;
    const longest = Math.max(...spacing(affine).map((step, n) => step * dims[n]));
    const { points, triangles, colors } = balls(list, BALL * longest);
    this.nv.addMesh(new this.mesh(points, triangles, "points", colors, 1, true, this.nv.gl));
  }

  async #add(buffer, name, given) {
    const image = await this.kind.loadFromUrl({ url: buffer, name, ...given });
    this.nv.addVolume(image);
  }

  close() {
    this.nv?.cleanup?.();
    this.nv?.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    this.host.replaceChildren();
  }
}
