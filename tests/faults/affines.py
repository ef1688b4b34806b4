"""Random affines through read, prepare, predict with a network that returns its input, and write: every voxel stays where it is.

Run it: ``python -m tests.faults.affines --count 1000 --seed 0``. Oblique, left-handed, anisotropic, permuted and sheared grids,
as NIfTI, MetaImage, NRRD and DICOM; one in three is resampled to another spacing on the way.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxloom.dataset import Label, Labels
from voxloom.errors import BadInput
from voxloom.formats import read_label, read_volume, write_dicom_series, write_volume
from voxloom.inference import Windowing, restore_labels, stream_map
from voxloom.prepare import PrepareSettings, prepare_image
from voxloom.volume import Volume

ENDINGS = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", "dicom")
SHAPE = (6, 5, 4)
#: Every voxel of the small grid has a label of its own.
ALL_DIFFERENT = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)


class Identity(torch.nn.Module):
    """Says of every voxel what its intensity is: map n is largest where the input is n."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("numbers", torch.arange(count, dtype=torch.float32).reshape(1, count, 1, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        distance: Tensor = image - self.numbers
        return -100 * distance.square()


def random_affine(random: np.random.Generator) -> NDArray[np.float64]:
    """Rotation (of either handedness, in any order of axes), spacing 0.3 to 6 mm, sometimes a shear, any origin."""
    axes = np.linalg.qr(random.normal(size=(3, 3)))[0] if random.random() < 0.7 else np.eye(3)
    axes = axes[:, random.permutation(3)] * random.choice([-1, 1], 3)
    if random.random() < 0.2:
        axes = axes @ (np.eye(3) + np.triu(random.uniform(-0.2, 0.2, (3, 3)), 1))
    affine = np.eye(4)
    affine[:3, :3] = axes * np.exp(random.uniform(np.log(0.3), np.log(6), 3))
    affine[:3, 3] = random.uniform(-500, 500, 3)
    return affine


def blocks(random: np.random.Generator) -> NDArray[np.int16]:
    """Eight blocks of different labels, cut at a random voxel: inside a block resampling changes nothing."""
    grid = np.indices((18, 16, 14))
    cuts = random.integers(6, 9, 3)
    bits = [(axis >= cut).astype(np.int16) << n for n, (axis, cut) in enumerate(zip(grid, cuts, strict=True))]
    return np.asarray(sum(bits), dtype=np.int16)


def inside(labels: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Voxels whose neighbors up to three steps away have the same label."""
    same = np.ones(labels.shape, bool)
    for axis in range(3):
        for step in (1, 2, 3):
            low = np.take(labels, range(step, labels.shape[axis]), axis) == np.take(
                labels, range(labels.shape[axis] - step), axis
            )
            view, mirrored = np.moveaxis(same, axis, 0), np.moveaxis(low, axis, 0)
            view[:-step] &= mirrored
            view[step:] &= mirrored
    return same


def carry(folder: Path, random: np.random.Generator) -> str | None:
    """One random grid on its whole way; what is wrong at the end, or None."""
    affine, ending = random_affine(random), str(random.choice(ENDINGS))
    resampled = random.random() < 1 / 3
    true = blocks(random) if resampled else ALL_DIFFERENT
    source = folder / f"scan é{ending}"
    try:
        if ending == "dicom":
            write_dicom_series(Volume(true[None], affine), source)
        else:
            write_volume(Volume(true[None], affine), source)
    except BadInput:
        return None if ending == "dicom" else f"{ending} cannot hold the grid {affine.tolist()}"
    scan = read_volume(source)
    orientation = str(random.choice(["RAS", "LPS", "ASL", "IRP"]))
    settings = PrepareSettings(orientation=orientation, normalize="none", pad_to=(7, 7, 7))
    if resampled:  # spacing is meant in the order of the prepared axes
        own = prepare_image(scan, settings)[1].spacing
        finer = tuple(s * f for s, f in zip(own, random.uniform(0.6, 1.1, 3), strict=True))
        settings = settings.model_copy(update={"spacing": finer})
    image, geometry = prepare_image(scan, settings)
    labels = Labels(tuple(Label(f"l{n}", (n,)) for n in range(1, int(true.max()) + 1)))
    network = Identity(labels.count + 1)
    stream = partial(stream_map, network, image, Windowing((8, 8, 8), channels_last=False))
    found = labels.decode(restore_labels(stream, geometry, labels))
    ending_out = str(random.choice([e for e in ENDINGS if e != "dicom"]))
    result = read_label(write_volume(Volume(found[None], scan.affine), folder / f"found{ending_out}"))
    return _difference(result, scan, Volume(true[None], affine), exact=not resampled)


def _difference(result: Volume, scan: Volume, true: Volume, *, exact: bool) -> str | None:
    """What of the result does not lie where the source has it."""
    if not result.same_grid(scan):
        return f"the result lies on another grid: {result.affine.tolist()} against {scan.affine.tolist()}"
    where = slice(None) if exact else inside(scan.data[0].astype(np.int16))
    if not np.array_equal(result.data[0][where], scan.data[0][where]):
        return f"voxels moved on {scan.affine.tolist()}"
    voxels = np.array([[0, 0, 0, 1.0], [*(n - 1 for n in true.shape), 1.0], [1, 2, 3, 1.0]])
    places = np.rint(voxels @ true.affine.T @ np.linalg.inv(scan.affine).T)[:, :3].astype(int)
    for voxel, place in zip(voxels[:, :3].astype(int), places, strict=True):
        if scan.data[0][tuple(place)] != true.data[0][tuple(voxel)]:
            return f"the file lies elsewhere than what was written: {true.affine.tolist()}"
    if np.abs(places @ scan.affine[:3, :3].T + scan.affine[:3, 3] - voxels @ true.affine[:3].T).max() > 1e-3:
        return f"the file is off by more than 1 micrometre: {true.affine.tolist()}"
    return None


def campaign(count: int, seed: int) -> list[str]:
    """Carry ``count`` grids; what was wrong."""
    import shutil

    faults = []
    with tempfile.TemporaryDirectory(prefix="affines é ") as folder:
        for number in range(count):
            place = Path(folder) / str(number)
            place.mkdir()
            fault = carry(place, np.random.default_rng((seed, number)))
            faults += [f"{number}: {fault}"] if fault else []
            shutil.rmtree(place)
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    faults = campaign(arguments.count, arguments.seed)
    print("\n".join([*faults, f"{arguments.count} affines, {len(faults)} findings"]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
