"""RT Dose: planes of one grid, stored as frames that lie along their normal.

Knows GridFrameOffsetVector in its two forms and DoseGridScaling (DICOM PS3.3 C.8.8.3): dose is the stored number times
the scaling, in DoseUnits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from voxloom.errors import BadInput
from voxloom.formats.dicom.files import Found
from voxloom.formats.dicom.frame import Frame

_RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
_SAME_MM = 0.01


def is_dose(header: Any) -> bool:
    """Whether the object holds a dose grid."""
    return str(header.get("SOPClassUID") or "") == _RT_DOSE or str(header.get("Modality") or "") == "RTDOSE"


def planes_of(found: Found, first: Frame, count: int) -> Iterator[Frame]:
    """The ``count`` planes of a dose grid whose header describes the ``first``. Raises BadInput without their offsets."""
    if count == 1:
        yield first
        return
    if first.position is None or first.row is None or first.column is None:
        raise BadInput("is a dose grid without position or orientation", found.path, "Export it again")
    offsets = found.header.get("GridFrameOffsetVector")
    values = [float(v) for v in offsets] if offsets is not None and not isinstance(offsets, (float, str)) else []
    if len(values) != count:
        what = f"has {count} dose planes, but {len(values)} offsets (GridFrameOffsetVector)"
        raise BadInput(what, found.path, "Export it again")
    normal = np.cross(np.array(first.row), np.array(first.column))
    begin = 0.0
    if values[0] != 0:  # the second form gives z coordinates, and is meant for axial planes only
        begin = first.position[2]
        if abs(values[0] - begin) > _SAME_MM or abs(abs(normal[2]) - 1) > 1e-3:
            raise BadInput("GridFrameOffsetVector does not begin at the position", found.path, "Export it again")
        normal = np.array([0.0, 0.0, 1.0])
    for n, value in enumerate(values):
        place = np.array(first.position) + (value - begin) * normal
        yield replace(first, index=n, position=tuple(float(v) for v in place))
