"""One image plane of a DICOM object, as its header describes it. Does not read headers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Tile:
    """Where a plane begins inside a larger picture: ``column`` and ``row`` of its first pixel."""

    column: int
    row: int


@dataclass(frozen=True)
class Frame:
    """One image plane.

    Parameters
    ----------
    path, index : the file, and the plane's place in it (0 in single-frame files).
    series : SeriesInstanceUID.
    shape : columns (i) and rows (j).
    position : LPS millimetres of the center of the first pixel, None when the header has none.
    row, column : LPS unit vectors along which i and j grow, None when the header has none.
    spacing : pixel size in mm along i and j, None when the header has none.
    thickness : slice thickness in mm, if given; used for single slices only.
    slope, intercept : from stored values to real ones.
    scaled : whether the header gives them; else they are 1 and 0.
    photometric : PhotometricInterpretation.
    measured : scaled values are measurements of a known unit, such as HU, whatever they are shown like.
    padding : stored values from the first to the last of which are not part of the image, if given.
    bits_stored, high_bit : as in the header.
    tile : place in the decoded picture, None when the plane is all of it.
    echo_time : ms, if given.
    marks : further elements that may tell planes apart, as text.
    """

    path: Path
    index: int
    series: str
    sop_uid: str
    shape: tuple[int, int]
    position: tuple[float, ...] | None
    row: tuple[float, ...] | None
    column: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    thickness: float | None
    slope: float
    intercept: float
    echo_time: float | None
    scaled: bool = False
    photometric: str = "MONOCHROME2"
    measured: bool = False
    padding: tuple[int, int] | None = None
    bits_stored: int = 0
    high_bit: int = 0
    tile: Tile | None = None
    marks: dict[str, str] = field(default_factory=dict)
