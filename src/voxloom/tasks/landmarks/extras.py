"""What can be written beside the points of a scan: the probability volumes they were read off, and a small volume around each.

After Lamerigts (2017): the probability volume of section 7.4.4, and the cut-outs that grading of the foramina was to begin with. Knows
predictors and scans.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from voxloom.errors import BadInput
from voxloom.files import file_stem
from voxloom.formats import write_volume
from voxloom.points import Point
from voxloom.tasks.landmarks.predictor import LandmarkPredictor
from voxloom.volume import Volume


def write_maps(predictor: LandmarkPredictor, volume: Volume, folder: Path, name: str) -> list[Path]:
    """One file per map: probabilities 0 to 1 on the grid that the networks saw, in the scan's millimetres."""
    maps, affine = predictor.maps(volume)
    layout = predictor.layout
    names = {"one": ["all"], "level": list(layout.names), "landmark": [str(key) for key in layout.keys]}[layout.maps]
    return [
        write_volume(Volume(values[None], affine), folder / f"{name}_{file_stem(own)}.nii.gz")
        for own, values in zip(names, maps, strict=True)
    ]


def write_cutouts(volume: Volume, points: Iterable[Point], side: float, folder: Path, name: str) -> list[Path]:
    """The voxels of the scan within half a side of every point, along each axis of the grid; what lies outside of the scan is 0.

    Parameters
    ----------
    side : mm of the cube.

    Raises
    ------
    BadInput : the side is not above 0.
    """
    if not side > 0:
        raise BadInput(f"--cutouts {side:g} is not a length", None, "Give the side in mm, e.g. --cutouts 40")
    written = []
    for point in points:
        path = folder / f"{name}_{file_stem(point.name, *([point.side] if point.side else []))}.nii.gz"
        written.append(write_volume(cut_out(volume, point, side), path))
    return written


def cut_out(volume: Volume, point: Point, side: float) -> Volume:
    """The cube around one point: at least one voxel along every axis, the one nearest to the point in the middle."""
    middle = np.rint((np.linalg.inv(volume.affine) @ np.array([*point.position, 1.0]))[:3]).astype(int)
    half = np.floor(side / 2 / np.array(volume.spacing) + 1e-6).astype(int)
    start, stop = middle - half, middle + half + 1
    data = np.zeros((volume.channels, *(stop - start)), volume.data.dtype)
    low, high = np.clip(start, 0, volume.shape), np.clip(stop, 0, volume.shape)
    inside, source = (
        (slice(None), *(slice(a, b) for a, b in zip(x, y, strict=True)))
        for x, y in ((low - start, high - start), (low, high))
    )
    data[inside] = volume.data[source]
    affine = np.array(volume.affine)
    affine[:3, 3] = volume.affine[:3, :3] @ start + volume.affine[:3, 3]
    return Volume(data, affine)
