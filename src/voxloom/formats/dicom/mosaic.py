"""Siemens mosaics: all slices of a volume side by side in one picture.

Knows the private CSA header (number of slices, direction of the slices), read by nibabel, and that the position of a
mosaic is that of a picture of its size around the center of the first slice. Without that header a mosaic is refused:
the order and the direction of its slices would be guessed.

References
----------
nibabel documentation, "Siemens mosaic format"; DICOM conformance statement of Siemens syngo MR (CSA Image Header).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from voxloom.errors import BadInput
from voxloom.formats.dicom.files import Found, read_dataset
from voxloom.formats.dicom.frame import Frame, Tile

_FIX = "Convert the original files to NIfTI with dcm2niix, and give that"


def is_mosaic(header: Any) -> bool:
    """Whether ImageType says that the picture holds many slices."""
    kind = header.get("ImageType") or ()
    return "MOSAIC" in ([kind] if isinstance(kind, str) else list(kind))


def tiles_of(found: Found, picture: Frame) -> Iterator[Frame]:
    """One plane per slice of the mosaic ``picture``, each with its place in the picture and in the patient.

    Raises BadInput when the header lacks what tells the slices apart.
    """
    count, normal, step = _layout(found)
    side = math.ceil(math.sqrt(count))
    columns, rows = picture.shape
    if picture.position is None or picture.row is None or picture.column is None or picture.spacing is None:
        raise BadInput("is a mosaic without position, orientation or pixel size", found.path, _FIX)
    if columns % side or rows % side:
        raise BadInput(f"is a mosaic of {count} slices that do not divide {columns} x {rows}", found.path, _FIX)
    size = (columns // side, rows // side)
    row, column = np.array(picture.row), np.array(picture.column)
    if abs(abs(float(np.cross(row, column) @ normal)) - 1) > 0.01:
        raise BadInput("is a mosaic whose slices are not at right angles to their normal", found.path, _FIX)
    beside = row * picture.spacing[0] * (columns - size[0]) / 2 + column * picture.spacing[1] * (rows - size[1]) / 2
    first = np.array(picture.position) + beside
    for n in range(count):
        place = tuple(float(v) for v in first + n * step * normal)
        tile = Tile(n % side * size[0], n // side * size[1])
        yield replace(picture, shape=size, position=place, tile=tile)


def _layout(found: Found) -> tuple[int, Any, float]:
    """Number of slices, unit vector (LPS) along which they follow one another, and their distance in mm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on import: that its readers of whole series are experimental
        from nibabel.nicom import csareader
    header = read_dataset(found.path, headers_only=True, everything=True)
    try:
        csa = csareader.get_csa_header(header, "image")
        count, normal = (csareader.get_n_mosaic(csa), csareader.get_slice_normal(csa)) if csa else (None, None)
        step = abs(float(header.get("SpacingBetweenSlices") or 0))
    except Exception as error:  # a damaged private header lets the reader raise nearly anything
        raise BadInput(f"is a Siemens mosaic with a damaged CSA header ({error})", found.path, _FIX) from None
    if not count or normal is None or not step:
        what = "is a Siemens mosaic, many slices in one picture, and its header does not say how they lie"
        raise BadInput(f"{what} (the CSA header or SpacingBetweenSlices is missing)", found.path, _FIX)
    return int(count), np.asarray(normal, np.float64), step
