"""Where an NRRD file says that its voxels lie: axes, spaces and units.

Knows which axes are space, channels, or neither (time, lists), the spaces of the standard, and the lengths' units. What the header
leaves open is told in notes. Does not know voxels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats.textheader import lps_affine, numbers, unit_mm

#: Which way each patient axis of a space points, against LPS.
_SPACES = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip
_TIMES = {"rast": "ras", "last": "las", "lpst": "lps"}
#: Spaces of the standard that say nothing of the patient.
_NO_PATIENT = ("scanner-xyz", "3d-right-handed", "3d-left-handed")
_IN_SPACE = ("domain", "space")
_UNKNOWN = ("???", "none")
_NO_GEOMETRY = "the header has no voxel size and no orientation: distances are in voxels, and LPS is assumed"
_NO_ORIENTATION = "the voxel sizes are known, the orientation is not: LPS is assumed"


@dataclass(frozen=True)
class Axes:
    """What each axis of a file is: ``channel`` (or None), those in ``space`` in file order, and ``notes`` on what was assumed.

    An axis of one item that lies in no space is neither.
    """

    channel: int | None
    space: tuple[int, ...]
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[int, ...]:
        """The axes that hold voxels, in file order."""
        return tuple(sorted((*self.space, *(() if self.channel is None else (self.channel,)))))


def axes_of(fields: Mapping[str, str], sizes: tuple[int, ...], path: Path) -> Axes:
    """Sort the axes. Raises BadInput for time, lists, complex voxels and for more than one axis of channels."""
    kinds = _kinds(fields, len(sizes))
    vectors = vectors_of(fields, len(sizes))
    if "complex" in kinds:
        raise BadInput("holds complex voxels", path, "Save magnitude or real values")
    outside = []
    for axis, (kind, size) in enumerate(zip(kinds, sizes, strict=True)):
        if kind == "time":
            refuse_series(size, "time frames (an axis of kind time)", path)
        elif kind == "list":
            refuse_series(size, "volumes in a list (an axis of kind list)", path)
        elif kind in _IN_SPACE or (kind in _UNKNOWN and not (vectors and vectors[axis] is None)):
            continue
        outside.append(axis)
    channels = [axis for axis in outside if sizes[axis] > 1]
    if len(channels) > 1:
        raise BadInput(f"has {len(channels)} axes that lie in no space, one is read", path, "Save scalars or vectors")
    guessed = [axis for axis in channels if kinds[axis] in _UNKNOWN]
    notes = [f"an axis of {sizes[axis]} has no direction and no kind: read as channels" for axis in guessed]
    space = tuple(axis for axis in range(len(sizes)) if axis not in outside)
    return Axes(channels[0] if channels else None, space, tuple(notes))


def refuse_series(size: int, what: str, path: Path) -> None:
    """Refuse an axis that would make the file several volumes (BadInput)."""
    if size > 1:
        raise BadInput(f"is 4D: {size} {what}, 3D is needed", path, "Save one volume, or one file per volume")


def _kinds(fields: Mapping[str, str], count: int) -> list[str]:
    kinds = fields["kinds"].lower().split() if "kinds" in fields else ["???"] * count
    if len(kinds) != count:
        raise ValueError(f"{len(kinds)} kinds for {count} axes")
    return kinds


def vectors_of(fields: Mapping[str, str], count: int) -> list[list[float] | None]:
    """``(1,0,0) none (0,1,0)`` as lists of numbers and None; empty without the field."""
    text = fields.get("space directions")
    if text is None:
        return []
    words = re.findall(r"none|\([^()]*\)", text)
    if len(words) != count or re.sub(r"none|\([^()]*\)|\s", "", text):
        raise ValueError(f"the space directions are {text!r}")
    return [None if word == "none" else numbers(word[1:-1].replace(",", " ")) for word in words]


def place_of(
    fields: Mapping[str, str], axes: Axes, count: int, path: Path
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """RAS affine (4, 4) in mm of the first three axes in space, and ``unit`` and ``geometry_note`` where there is a doubt.

    Raises BadInput for a space or a unit that is not known.
    """
    wanted = list(axes.space[:3])
    notes, unit = list(axes.notes), "mm"
    signs = _signs(fields, notes, path)
    if "space directions" in fields:
        columns, origin = _in_space(fields, wanted, count)
        scale = np.array(_space_units(fields, path))
        columns, origin = columns * scale[:, None], origin * scale
    else:
        columns, origin = _upright(fields, wanted, count, path)
        known = any(not math.isnan(v) for v in _of_axes(fields.get("spacings"), count, math.nan))
        notes.append(_NO_ORIENTATION if known else _NO_GEOMETRY)
        unit = "mm" if known else "pixel"
    if len(wanted) == 2 and len(_vector(fields, wanted[0], count)) > 2:
        normal = np.cross(columns[:, 0], columns[:, 1])
        columns[:, 2] = normal / (np.linalg.norm(normal) or 1.0)
    meta: dict[str, Any] = {"unit": "pixel"} if unit == "pixel" else {}
    if notes:
        meta["geometry_note"] = "; ".join(notes)
    return lps_affine(columns * signs[:, None], origin * signs), meta


def _vector(fields: Mapping[str, str], axis: int, count: int) -> list[float]:
    vectors = vectors_of(fields, count)
    return (vectors[axis] if vectors else None) or []


def _signs(fields: Mapping[str, str], notes: list[str], path: Path) -> NDArray[np.float64]:
    """Axis signs from the file's space to LPS; a space without a patient is told and taken for LPS, as ITK does."""
    given = fields.get("space", "")
    name = given.lower()
    name = _TIMES.get(name, name.removesuffix("-time"))
    if name not in _SPACES and "space directions" in fields:
        if name not in _NO_PATIENT and name:
            fix = "Save it in left-posterior-superior or right-anterior-superior"
            raise BadInput(f"its space is {given!r}, which is not known", path, fix)
        said = f"the space {given} says nothing of the patient" if name else "no space is named"
        notes.append(f"{said}: LPS is assumed")
    return np.array(_SPACES.get(name, (1, 1, 1)), dtype=np.float64)


def _space_units(fields: Mapping[str, str], path: Path) -> list[float]:
    """Millimetres per unit along each of the three axes of the space."""
    return _units(fields.get("space units"), 3, path)


def _units(text: str | None, count: int, path: Path) -> list[float]:
    words = re.findall(r'"([^"]*)"', text or "") or (text or "").split()
    return [unit_mm(word, path) for word in [*words, *[""] * count][:count]]


def _in_space(fields: Mapping[str, str], wanted: list[int], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Axes as columns (3, 3) and origin (3,) in the file's own space and units."""
    vectors = vectors_of(fields, count)
    axes, origin = np.eye(3), np.zeros(3)
    for n, axis in enumerate(wanted):
        vector = vectors[axis]
        if not vector:
            raise ValueError(f"the space directions are {fields['space directions']!r}")
        axes[:, n] = [*vector, 0.0, 0.0][:3]
    if "space origin" in fields:
        place = numbers(fields["space origin"].strip("()").replace(",", " "))[:3]
        origin[: len(place)] = place
    return axes, origin


def _upright(fields: Mapping[str, str], wanted: list[int], count: int, path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Axes and origin of a file without directions: spacings, and minima of voxels (``cell``) or of centers (``node``)."""
    scale = _units(fields.get("units"), count, path)
    steps = _of_axes(fields.get("spacings"), count, math.nan)
    lowest = _of_axes(fields.get("axis mins", fields.get("axismins")), count, math.nan)
    centers = fields.get("centers", fields.get("centerings", "")).lower().split() or ["cell"] * count
    if len(centers) != count:
        raise ValueError(f"{len(centers)} centers for {count} axes")
    axes, origin = np.eye(3), np.zeros(3)
    for n, axis in enumerate(wanted):
        step = 1.0 if math.isnan(steps[axis]) else steps[axis] * scale[axis]
        inside = 0.0 if centers[axis] == "node" else step / 2
        axes[n, n], origin[n] = step, 0.0 if math.isnan(lowest[axis]) else lowest[axis] * scale[axis] + inside
    return axes, origin


def _of_axes(text: str | None, count: int, otherwise: float) -> list[float]:
    """One number per axis; ``nan`` means that it is not known."""
    values = [otherwise] * count if text is None else [float(word) for word in text.split()]
    if len(values) != count or any(map(math.isinf, values)):
        raise ValueError(f"{text!r} is not {count} numbers")
    return [otherwise if math.isnan(v) else v for v in values]
