// NIfTI-1 in and out (https://nifti.nimh.nih.gov/nifti-1). Reads while bytes arrive: one copy of a volume in memory.

const TYPES = {
  2: [Uint8Array, 1], 4: [Int16Array, 2], 8: [Int32Array, 4], 16: [Float32Array, 4], 64: [Float64Array, 8],
  256: [Int8Array, 1], 512: [Uint16Array, 2], 768: [Uint32Array, 4],
};
/** 64-bit integers: their low words are read; masks written by NumPy come so. */
const WIDE = { 1024: [lowWords, 8], 1280: [lowWords, 8] };
const HEAD = 348;

function lowWords(buffer) {
  const words = new Int32Array(buffer);
  return Int32Array.from({ length: words.length / 2 }, (_, n) => words[2 * n]);
}

/** Bytes of a response, unpacked where they are gzip. */
async function unpacked(response) {
  const reader = response.body.getReader();
  const first = await reader.read();
  const rest = new ReadableStream({
    start(controller) {
      if (first.done) controller.close();
      else controller.enqueue(first.value);
    },
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
  const packed = !first.done && first.value[0] === 0x1f && first.value[1] === 0x8b;
  return (packed ? rest.pipeThrough(new DecompressionStream("gzip")) : rest).getReader();
}

/** Header fields of the first 348 bytes: {dims, type, offset, slope, inter, affine, little}. */
export function readHeader(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEAD);
  const little = view.getInt32(0, true) === HEAD;
  if (!little && view.getInt32(0, false) !== HEAD) throw new Error("This image is not NIfTI-1");
  const short = (at) => view.getInt16(at, little);
  const float = (at) => view.getFloat32(at, little);
  const count = short(40);
  const dims = [1, 2, 3].map((n) => (n <= count ? Math.max(1, short(40 + 2 * n)) : 1));
  const further = [4, 5, 6, 7].filter((n) => n <= count && short(40 + 2 * n) > 1);
  if (further.length) throw new Error("This image has more than three axes");
  const slope = float(112);
  return { dims, type: short(70), offset: Math.max(352, float(108)), little, affine: affineOf(short, float),
    slope: slope && Number.isFinite(slope) ? slope : 1, inter: slope && Number.isFinite(float(116)) ? float(116) : 0 };
}

/** sform where it is set, else qform, else spacing alone: the order of the standard. */
function affineOf(short, float) {
  if (short(254) > 0) {
    return [...[280, 296, 312].map((at) => [0, 4, 8, 12].map((o) => float(at + o))), [0, 0, 0, 1]];
  }
  const [dx, dy, dz] = [80, 84, 88].map((at) => float(at) || 1);
  if (short(252) <= 0) return [[dx, 0, 0, 0], [0, dy, 0, 0], [0, 0, dz, 0], [0, 0, 0, 1]];
  const [b, c, d, x, y, z] = [256, 260, 264, 268, 272, 276].map(float);
  const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
  const k = dz * (float(76) < 0 ? -1 : 1);
  return [
    [(a * a + b * b - c * c - d * d) * dx, 2 * (b * c - a * d) * dy, 2 * (b * d + a * c) * k, x],
    [2 * (b * c + a * d) * dx, (a * a + c * c - b * b - d * d) * dy, 2 * (c * d - a * b) * k, y],
    [2 * (b * d - a * c) * dx, 2 * (c * d + a * b) * dy, (a * a + d * d - b * b - c * c) * k, z],
    [0, 0, 0, 1],
  ];
}

/** A volume from a response: {dims, affine, data, slope, inter, head: first 352 bytes}. `told(share)` while it arrives. */
export async function readNifti(response, told = () => {}) {
  const reader = await unpacked(response);
  let early = new Uint8Array(0);
  while (early.length < 352) {
    const { done, value } = await reader.read();
    if (done) throw new Error("This image ends before its header does");
    const joined = new Uint8Array(early.length + value.length);
    joined.set(early);
    joined.set(value, early.length);
    early = joined;
  }
  const header = readHeader(early);
  const [Kind, size] = TYPES[header.type] ?? WIDE[header.type] ?? [];
  if (!Kind) throw new Error(`Voxels of NIfTI type ${header.type} cannot be shown`);
  const bytes = new Uint8Array(header.dims[0] * header.dims[1] * header.dims[2] * size);
  let filled = 0;
  const take = (chunk) => {
    const fits = chunk.subarray(0, bytes.length - filled);
    bytes.set(fits, filled);
    filled += fits.length;
  };
  let skipped = Math.min(early.length, header.offset);
  take(early.subarray(skipped));
  while (filled < bytes.length) {
    const { done, value } = await reader.read();
    if (done) throw new Error("This image ends too early");
    const skip = Math.min(value.length, header.offset - skipped);
    skipped += skip;
    take(value.subarray(skip));
    told(filled / bytes.length);
  }
  await reader.cancel();
  if (!header.little && size > 1) swap(bytes, size);
  return { dims: header.dims, affine: header.affine, data: Kind === lowWords ? lowWords(bytes.buffer) : new Kind(bytes.buffer), slope: header.slope, inter: header.inter,
    head: early.slice(0, 352), little: header.little };
}

function swap(bytes, size) {
  for (let at = 0; at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
}

/** Fields that say where a volume lies: codes of qform and sform (shorts), spacing, quaternion, offsets and rows (floats). */
const PLACE = { shorts: [252, 254], floats: [...range(76, 108), ...range(256, 328)] };

function range(from, to) {
  return Array.from({ length: (to - from) / 4 }, (_, n) => from + 4 * n);
}

/**
 * Bytes of a NIfTI label map on the grid of `like` (a volume that was read): the fields of its place bit for bit, so that
 * no rounding moves a mask, and nothing else of its header, where a scanner may have written names.
 * `data`: Uint8Array, Uint16Array or Int32Array of as many voxels.
 */
export function writeNifti(like, data) {
  const type = Object.entries(TYPES).find(([, [Kind]]) => data instanceof Kind)[0];
  const bytes = new Uint8Array(352 + data.byteLength);
  const [to, from] = [new DataView(bytes.buffer), new DataView(like.head.buffer, like.head.byteOffset)];
  to.setInt32(0, HEAD, true);
  to.setInt16(40, 3, true);
  [...like.dims, 1, 1, 1, 1].forEach((n, i) => to.setInt16(42 + 2 * i, n, true));
  to.setInt16(68, 1002, true); // intent: label
  to.setInt16(70, Number(type), true);
  to.setInt16(72, data.BYTES_PER_ELEMENT * 8, true);
  to.setFloat32(108, 352, true);
  to.setFloat32(112, 1, true);
  bytes[123] = like.head[123]; // units
  for (const at of PLACE.shorts) to.setInt16(at, from.getInt16(at, like.little), true);
  for (const at of PLACE.floats) to.setFloat32(at, from.getFloat32(at, like.little), true);
  bytes.set([0x6e, 0x2b, 0x31, 0], 344);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 352);
  return bytes;
}

/** Gzip of bytes. */
export async function packed(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
