"""Points as a fiducial label map: every landmark is a value, every blob of it a mark.

Read and written by ITK-SNAP, the Spinal Cord Toolbox and anything that paints labels; names travel in ITK-SNAP's label
description file beside the map. Also the centroid of a label, the landmark of a segmentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxloom.connected import connected
from voxloom.errors import BadInput
from voxloom.files import write_text
from voxloom.points.point import Key, Point, marks_by_key
from voxloom.points.slicer import split_label
from voxloom.volume import Volume

_LINE = re.compile(r'^\s*(?P<value>\d+)\s.*"(?P<name>[^"]*)"\s*$')


def points_of_map(volume: Volume, names: Mapping[int, str] | None = None) -> tuple[Point, ...]:
    """One point per connected blob (26 neighbors) of every value, at its centroid; values ascending.

    Parameters
    ----------
    volume : label map (1, I, J, K).
    names : of values, e.g. ``{3: "C3", 20: "L1 left"}``; a value that is not named is called by its number.
    """
    import cc3d

    found = []
    values = volume.data[0]
    for value in np.unique(values[values > 0]).astype(int).tolist():
        mask = values == value
        name, side = split_label((names or {}).get(value, str(value)))
        components = cc3d.statistics(connected(mask))
        found += [Point(name, side, _to_ras(volume.affine, at)) for at in components["centroids"][1:]]
    return tuple(found)


def label_centroids(volume: Volume, names: Mapping[int, str]) -> tuple[Point, ...]:
    """The center of mass of every named value that occurs in a label map (1, I, J, K), as a point in RAS mm."""
    found = []
    for value, label in names.items():
        voxels = np.argwhere(volume.data[0] == value)
        if len(voxels):
            name, side = split_label(label)
            found.append(Point(name, side, _to_ras(volume.affine, voxels.mean(axis=0))))
    return tuple(found)


def fiducial_map(
    points: Iterable[Point], grid: Volume, values: Mapping[Key, int] | None = None
) -> tuple[Volume, dict[int, Key]]:
    """A label map (1, I, J, K) uint16 on a scan's grid with one voxel per mark, and what its values mean.

    Parameters
    ----------
    values : value of each landmark; None numbers them from 1 in order of occurrence.

    Raises
    ------
    BadInput : a point lies outside the grid, or two landmarks meet in one voxel.
    """
    marks = marks_by_key(points)
    numbers = dict(values) if values is not None else {key: n for n, key in enumerate(marks, start=1)}
    data = np.zeros(grid.shape, np.uint16)
    to_voxel = np.linalg.inv(grid.affine)
    where = grid.meta.get("source")
    for key, group in marks.items():
        for mark in group:
            voxel = np.rint((to_voxel @ np.array([*mark.position, 1.0]))[:3]).astype(int)
            if (voxel < 0).any() or (voxel >= grid.shape).any():
                raise BadInput(f"point {key} lies outside the scan", where, "Check that the points belong to this scan")
            i, j, k = voxel.tolist()
            if data[i, j, k] not in (0, numbers[key]):
                raise BadInput(f"point {key} shares a voxel with another landmark", where, "Write CSV instead")
            data[i, j, k] = numbers[key]
    return Volume(data[None], grid.affine), {numbers[key]: key for key in marks}


def write_fiducial_map(points: Iterable[Point], grid: Volume, path: str | Path) -> list[Path]:
    """Write the label map and, beside it, ITK-SNAP's label description file ``<name>.labels.txt``."""
    from voxloom.formats import write_volume

    volume, meaning = fiducial_map(points, grid)
    written = write_volume(volume, path)
    names = names_file(Path(path))
    lines = ["# ITK-SnAP Label Description File", '    0     0    0    0        0  0  0    "Clear Label"']
    for value, key in meaning.items():
        red, green, blue = (int(v) for v in _color(value))
        lines.append(f'{value:5d}   {red:3d}  {green:3d}  {blue:3d}        1  1  1    "{key}"')
    write_text(names, "\n".join(lines) + "\n")
    return [written, names]


def names_file(path: Path) -> Path:
    """Where the names of a label map are: ``<name>.labels.txt`` beside it."""
    stem = re.sub(r"\.(nii\.gz|nii|mha|mhd|nrrd)$", "", path.name, flags=re.IGNORECASE)
    return path.with_name(f"{stem}.labels.txt")


def read_label_names(path: str | Path) -> dict[int, str]:
    """Names of values in an ITK-SNAP label description file (BadInput when it has none)."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput(f"cannot be read ({e})", path, "Save the label descriptions again") from e
    lines = [_LINE.match(line) for line in text.splitlines() if not line.lstrip().startswith("#")]
    names = {int(match["value"]): match["name"] for match in lines if match}
    if not names:
        raise BadInput("is not a label description file of ITK-SNAP", path, "Save it from Segmentation > Label Editor")
    return {value: name for value, name in names.items() if value}


def _to_ras(affine: NDArray[np.float64], voxel: NDArray[np.floating]) -> tuple[float, float, float]:
    x, y, z = (affine @ np.array([*voxel, 1.0]))[:3].tolist()
    return (x, y, z)


def _color(value: int) -> NDArray[np.float64]:
    """A color that differs from its neighbors' (golden-angle hues)."""
    hue = (value * 0.381966) % 1.0
    return np.clip(np.abs((hue + np.array([0, 1 / 3, 2 / 3])) % 1.0 * 6 - 3) - 1, 0, 1) * 200 + 55
