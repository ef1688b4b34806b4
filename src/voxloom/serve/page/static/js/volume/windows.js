// Windows: how values become grey.

/** Usual CT windows in HU: [name, center, width]. */
export const CT_WINDOWS = [["Soft tissue", 40, 400], ["Lung", -600, 1500], ["Bone", 400, 1800], ["Brain", 40, 80],
  ["Liver", 60, 160], ["Mediastinum", 50, 350], ["Angiography", 300, 600]];

/** Values at two shares of a volume, from at most 200,000 voxels spread evenly over it. */
export function quantiles({ data, slope, inter }, shares) {
  const step = Math.max(1, Math.floor(data.length / 200000) | 1);
  const sample = Float32Array.from({ length: Math.ceil(data.length / step) }, (_, n) => data[n * step] * slope + inter);
  sample.sort();
  return shares.map((share) => sample[Math.round(share * (sample.length - 1))]);
}

/** The window a volume opens with: soft tissue for CT, else its 1st to 99.5th percentile. */
export function firstWindow(volume, ct) {
  if (ct) return [-160, 240];
  const [low, high] = quantiles(volume, [0.01, 0.995]);
  return high > low ? [low, high] : [low, low + 1];
}
