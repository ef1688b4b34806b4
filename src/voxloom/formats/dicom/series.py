"""Whether image planes belong to one series of one contrast: the refusals of mixed folders.

Knows series, echoes, sizes and directions. Does not know the order of planes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from voxloom.errors import BadInput
from voxloom.formats.checks import format_shape
from voxloom.formats.dicom.choose import group_series, list_series, named_series
from voxloom.formats.dicom.files import Found
from voxloom.formats.dicom.frame import Frame
from voxloom.notes import tell

#: Echo times closer than this (ms) are one echo.
ECHO_TOLERANCE_MS = 0.1
#: Direction cosines closer than this are one direction.
DIRECTION_TOLERANCE = 1e-3
_CHOOSE = "Choose one: --series NAME, or train --set data.series=NAME (UID, number or description)"
#: Values of ImageType that tell which part of the signal an image shows.
_PARTS = {
    "M", "P", "R", "I", "MAGNITUDE", "PHASE", "REAL", "IMAGINARY", "W", "F", "IP", "OP", "WATER", "FAT", "IN_PHASE", "OUT_PHASE",
    "OPP_PHASE",
}  # fmt: skip
_ONE = "Give the files of one series, or a folder that holds only these"


def one_series(images: Sequence[Found], where: str, wanted: str | None = None) -> list[Found]:
    """The objects of the wanted series; of the only one where none is named.

    Raises BadInput, listing the series, where several could be meant, and for a series of several patients.
    """
    if wanted is not None:
        chosen = named_series(images, where, (wanted,))
    else:
        series = group_series(images)
        if len(series) > 1:
            raise BadInput(f"holds {len(series)} series: {list_series(series)}", where, _CHOOSE)
        chosen = list(images)
    _check_one_patient(chosen, where)
    if any(found.header.get("PixelSpacing") is None and found.header.get("ImagerPixelSpacing") for found in chosen):
        tell(where, "the pixel size is that of the detector, which is larger than in the patient", warning=True)
    return chosen


def _check_one_patient(images: Sequence[Found], where: str) -> None:
    """Refuse objects of several patients under one series (BadInput); tell where they name several frames of reference."""
    patients = {str(found.header.get("PatientID") or "") for found in images}
    if len(patients) > 1:
        what = f"holds images of {len(patients)} patients under one series (PatientID differs)"
        raise BadInput(what, where, "Export the series of every patient again")
    frames = {str(found.header.get("FrameOfReferenceUID") or "") for found in images}
    if len(frames) > 1:
        text = f"the slices name {len(frames)} frames of reference: they may not lie where the header says"
        tell(where, text, warning=True)


def check_one_contrast(frames: Sequence[Frame], where: str) -> None:
    """Refuse planes of several echoes, sizes, pixel sizes or directions (BadInput)."""
    echoes = _clusters([f.echo_time for f in frames if f.echo_time is not None])
    if len(echoes) > 1:
        listed = ", ".join(f"{time:g} ms ({count} images)" for time, count in echoes)
        raise BadInput(f"mixes {len(echoes)} echoes in one series: {listed}", where, "Give the files of one echo")
    shapes = sorted({f.shape for f in frames})
    if len(shapes) > 1:
        listed = ", ".join(format_shape(s) for s in shapes[:5])
        raise BadInput(f"mixes images of {len(shapes)} sizes: {listed}", where, _ONE)
    spacings = {tuple(round(s, 4) for s in f.spacing) if f.spacing else None for f in frames}
    if len(spacings) > 1:
        raise BadInput(f"mixes {len(spacings)} pixel sizes", where, _ONE)
    _check_scales(frames, where)
    _check_parts(frames, where)
    stacks = sorted({f.marks.get("StackID", "") for f in frames})
    count = _directions(frames)
    if len(stacks) > 1:
        listed = ", ".join(name or "none" for name in stacks[:5])
        what = f"holds {len(stacks)} stacks of slices in one series (StackID {listed})"
        raise BadInput(what, where, "Export the stacks as series of their own")
    if count > 1:
        raise BadInput(f"mixes images of {count} directions (a localizer?)", where, _ONE)


def _check_parts(frames: Sequence[Frame], where: str) -> None:
    """Refuse planes of which some are magnitude and some phase, water and fat, ... at places of their own (BadInput)."""
    if len({f.position for f in frames}) < len(frames):
        return  # several at one place are told by what tells them apart
    kinds = {_kind_of(f) for f in frames}
    if len(kinds) > 1:
        listed = " and ".join(sorted(kind or "none" for kind in kinds))
        raise BadInput(f"mixes images of the kinds {listed} (ImageType)", where, "Give the files of one kind")


def _kind_of(frame: Frame) -> str:
    """The values of ImageType that say which part of the signal a plane shows."""
    return " ".join(sorted(_PARTS & set(re.findall(r"[A-Z_]+", frame.marks.get("ImageType", "")))))


def _check_scales(frames: Sequence[Frame], where: str) -> None:
    """Refuse planes whose numbers mean different things (BadInput): with and without a scale, grey and color."""
    lacking = [f for f in frames if not f.scaled]
    if 0 < len(lacking) < len(frames):
        what = f"{len(lacking)} of {len(frames)} slices lack RescaleSlope and RescaleIntercept, such as {lacking[0].path.name}"
        raise BadInput(what, where, "Export the series again")
    kinds = sorted({f.photometric for f in frames} - {"MONOCHROME1", "MONOCHROME2"})
    if kinds and len({f.photometric for f in frames}) > 1 and len({_is_grey(f) for f in frames}) > 1:
        raise BadInput(f"mixes grey images and {', '.join(kinds)}", where, _ONE)


def _is_grey(frame: Frame) -> bool:
    return frame.photometric.startswith("MONOCHROME")


def _clusters(times: Sequence[float]) -> list[tuple[float, int]]:
    """Echo times, each with the number of planes; near ones are counted as one."""
    found: list[tuple[float, int]] = []
    for time in sorted(times):
        if found and time - found[-1][0] <= ECHO_TOLERANCE_MS:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((time, 1))
    return found


def _directions(frames: Sequence[Frame]) -> int:
    known: list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]] = []
    for cosines in {(f.row or ()) + (f.column or ()) for f in frames}:
        vector = np.array(cosines, dtype=np.float64)
        if not any(len(k) == len(vector) and np.abs(k - vector).max(initial=0) < DIRECTION_TOLERANCE for k in known):
            known.append(vector)
    return len(known)
