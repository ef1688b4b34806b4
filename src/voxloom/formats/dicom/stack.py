"""Image planes in order along their normal, and the affine that follows from their positions.

Knows missing slices, unequal gaps, double positions and gantry tilt. Distances come from the positions alone, never
from SliceThickness or SpacingBetweenSlices; only a single slice has to believe its thickness. Does not know pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats.dicom.frame import Frame
from voxloom.formats.dicom.frames import DISTINGUISHING
from voxloom.formats.itk import LPS_RAS

#: Planes closer than this along the normal (mm) lie at one position.
SAME_POSITION_MM = 1e-3
#: A stack that leans by less than this (degrees), or by less than a quarter pixel in all, is upright.
TILT_TOLERANCE_DEGREES = 0.1
#: How to read a stack that ``fault_of`` objects to.
TILT_HELP = "Read it with --resample-tilt (in Python: resample_tilt=True; in the rules of select: resample_tilt: true)"


@dataclass(frozen=True, eq=False)
class Stack:
    """Planes of one direction in ascending order along their normal.

    Parameters
    ----------
    frames : the planes.
    axes : (3, 3) columns are the unit vectors of i, j and the normal, in LPS.
    spacing : pixel size in mm along i and j.
    positions : (n, 3) LPS millimetres of each plane's first pixel.
    """

    frames: tuple[Frame, ...]
    axes: NDArray[np.float64]
    spacing: tuple[float, float]
    positions: NDArray[np.float64]
    note: str | None = None

    @property
    def heights(self) -> NDArray[np.float64]:
        """Position of every plane along the normal, mm."""
        heights: NDArray[np.float64] = self.positions @ self.axes[:, 2]
        return heights

    @property
    def shifts(self) -> NDArray[np.float64]:
        """(n, 2) how far every plane lies beside the first one, along i and j, mm."""
        shifts: NDArray[np.float64] = (self.positions - self.positions[0]) @ self.axes[:, :2]
        return shifts

    @property
    def tilt_degrees(self) -> float:
        """Angle between the normal and the line through first and last plane."""
        beside = float(np.linalg.norm(self.shifts[-1]))
        return float(np.degrees(np.arctan2(beside, self.heights[-1] - self.heights[0])))

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index to RAS millimetres; exact for equal steps, the mean step else."""
        lps = np.eye(4)
        lps[:3, 0] = self.axes[:, 0] * self.spacing[0]
        lps[:3, 1] = self.axes[:, 1] * self.spacing[1]
        n = len(self.positions)
        if n > 1:
            lps[:3, 2] = (self.positions[-1] - self.positions[0]) / (n - 1)
        else:
            lps[:3, 2] = self.axes[:, 2] * (self.frames[0].thickness or 1.0)
        lps[:3, 3] = self.positions[0]
        return LPS_RAS @ lps


def stack_up(frames: Sequence[Frame], where: str) -> Stack:
    """Order planes along their normal. Raises BadInput without positions and for two planes at one position."""
    first = frames[0]
    if any(f.position is None or f.row is None for f in frames):
        if len(frames) > 1:
            raise BadInput("the slices carry no position or orientation", where, "Give a CT or MR series")
        return _flat(first)
    if any(f.spacing is None or min(f.spacing) <= 0 for f in frames) or first.spacing is None:
        raise BadInput("the slices carry no pixel size", where, "Give a series with PixelSpacing")
    row, column = np.array(first.row), np.array(first.column)
    normal = np.cross(row, column)
    if not all(0.9 < np.linalg.norm(v) < 1.1 for v in (row, column, normal)):
        raise BadInput(
            "ImageOrientationPatient is not a pair of perpendicular unit vectors", where, "Repair the header"
        )
    axes = np.stack([v / np.linalg.norm(v) for v in (row, column, normal)], axis=1)
    positions = np.array([f.position for f in frames], dtype=np.float64)
    order = np.argsort(positions @ axes[:, 2], kind="stable")
    stack = Stack(tuple(frames[n] for n in order), axes, first.spacing, positions[order])
    _check_doubles(stack, where)
    return stack


def fault_of(stack: Stack) -> str | None:
    """Why the planes form no rectangular grid: tilt, unequal gaps, planes beside their line; None when they do."""
    n = len(stack.frames)
    uneven = n > 2 and not _is_even(stack.heights)
    listed = ", ".join(f"{g:g}" for g in np.unique(np.round(np.diff(stack.heights), 2))[:6])
    if _is_tilted(stack):
        also = f", and its slices are {listed} mm apart" if uneven else ""
        return f"the gantry was tilted by {stack.tilt_degrees:.1f} degrees{also}"
    if uneven:
        return f"the slices are unequally spaced: {listed} mm apart"
    if n < 3:
        return None
    share = (stack.heights - stack.heights[0]) / (stack.heights[-1] - stack.heights[0])
    off = np.linalg.norm(stack.shifts - share[:, None] * stack.shifts[-1], axis=1).max()
    return f"the slices do not lie on one line (off by {off:.1f} mm)" if off > 0.1 else None


def check_complete(stack: Stack, where: str) -> None:
    """Refuse a stack whose gaps are whole multiples of the smallest one: slices are missing (BadInput)."""
    heights = stack.heights
    gaps = np.diff(heights)
    if len(gaps) < 2 or _is_even(heights):
        return
    step = float(np.median(gaps[gaps < 1.5 * gaps.min()]))
    times = gaps / step
    if np.abs(times - np.rint(times)).max() > 0.1:
        return
    lost = [heights[n] + step * m for n, count in enumerate(np.rint(times).astype(int)) for m in range(1, count)]
    listed = ", ".join(f"{h:.1f}" for h in lost[:8]) + (", ..." if len(lost) > 8 else "")
    subject = "1 slice is" if len(lost) == 1 else f"{len(lost)} slices are"
    raise BadInput(
        f"{subject} missing, at {listed} mm along the normal (step {step:.2f} mm)", where, "Copy what is missing"
    )


def _is_tilted(stack: Stack) -> bool:
    """Whether the planes are sheared against their normal by more than measurement error."""
    beside = float(np.linalg.norm(stack.shifts[-1]))
    return stack.tilt_degrees > TILT_TOLERANCE_DEGREES and beside > 0.25 * min(stack.spacing)


def _is_even(heights: NDArray[np.float64]) -> bool:
    """Whether heights are equally spaced, to 0.1 mm and a tenth of a step (headers are rounded)."""
    even = np.linspace(heights[0], heights[-1], len(heights))
    return bool(np.abs(heights - even).max() <= 0.1 * min(1.0, (heights[-1] - heights[0]) / (len(heights) - 1)))


def _check_doubles(stack: Stack, where: str) -> None:
    close = np.flatnonzero(np.diff(stack.heights) < SAME_POSITION_MM)
    if not len(close):
        return
    places = np.unique(np.round(stack.heights, 2))
    for key, name in DISTINGUISHING.items():
        values = sorted({f.marks.get(key, "") for f in stack.frames})
        if len(values) > 1 and len(values) * len(places) == len(stack.frames):
            listed = ", ".join(values[:5]) + (", ..." if len(values) > 5 else "")
            what = f"is 4D: every position {len(values)} times, with {name} {listed}"
            raise BadInput(what, where, "Give the files of one of them")
    a, b = stack.frames[close[0]], stack.frames[close[0] + 1]
    names = f"{a.path.name} and {b.path.name}" if a.path != b.path else f"frames {a.index + 1} and {b.index + 1}"
    count = "1 slice lies" if len(close) == 1 else f"{len(close)} slices lie"
    what = f"{count} at the position of another, such as {names} at {stack.heights[close[0]]:.1f} mm"
    raise BadInput(what, where, "Remove the duplicates, or give the files of one volume")


def _flat(frame: Frame) -> Stack:
    """A single picture whose header does not tell where it lies."""
    note = "the header gives no position: the orientation is assumed"
    spacing = frame.spacing or (1.0, 1.0)
    return Stack((replace(frame),), np.eye(3), spacing, np.zeros((1, 3)), note)
