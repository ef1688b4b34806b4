// Colours of labels and of maps, as #rrggbb and as 0xAABBGGRR words of ImageData.

/** Twelve colours that stay apart on grey images, also for most colour-blind people (after Okabe and Ito 2008). */
const SHADES = ["#e69f00", "#56b4e9", "#00a878", "#f0e442", "#4f8fe6", "#e0641c", "#cc79a7", "#9ad1f5", "#b5e550", "#ff8fa3",
  "#b39ddb", "#c4a484"];

export const shade = (value) => SHADES[(value - 1 + SHADES.length * 1000) % SHADES.length];

/** Word of #rrggbb and an opacity of 0 to 1. */
export function word(color, opacity = 1) {
  const n = parseInt(color.slice(1), 16);
  const bytes = ((n & 255) << 16) | (n & 0xff00) | (n >> 16);
  return ((Math.round(opacity * 255) << 24) | bytes) >>> 0;
}

const RAMPS = {
  heat: [[0, 0, 0], [140, 20, 10], [240, 90, 10], [255, 190, 40], [255, 255, 220]],
  cool: [[0, 20, 60], [0, 90, 180], [0, 170, 200], [120, 230, 170], [255, 255, 140]],
};

/** A painter of values from low to high along a ramp; faint where the value is small. */
export function ramp(name, low, high, opacity) {
  const stops = RAMPS[name];
  const table = Uint32Array.from({ length: 256 }, (_, n) => {
    const at = (n / 255) * (stops.length - 1), i = Math.min(stops.length - 2, Math.floor(at)), f = at - i;
    const [r, g, b] = stops[i].map((v, c) => Math.round(v * (1 - f) + stops[i + 1][c] * f));
    return ((Math.round(255 * opacity * Math.min(1, n / 96)) << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
  const scale = 255 / (high - low || 1);
  return (value) => table[Math.max(0, Math.min(255, ((value - low) * scale) | 0))];
}
