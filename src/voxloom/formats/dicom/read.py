"""Reads one DICOM series into a Volume.

Knows the order of the steps and what is kept in ``meta``. Does not know files, frames, geometry or pixels themselves;
the sister modules do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.formats.checks import check_finite
from voxloom.formats.dicom.files import Found, find_images, name_of
from voxloom.formats.dicom.frames import frames_of
from voxloom.formats.dicom.pixels import load_voxels
from voxloom.formats.dicom.series import check_one_contrast, one_series
from voxloom.formats.dicom.stack import TILT_HELP, Stack, check_complete, fault_of, stack_up
from voxloom.formats.dicom.tilt import straighten
from voxloom.formats.header import Header
from voxloom.volume import Volume

_META = {
    "modality": "Modality",
    "body_part": "BodyPartExamined",
    "patient_id": "PatientID",
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
    "series_description": "SeriesDescription",
    "frame_of_reference_uid": "FrameOfReferenceUID",
}
_SEGMENTATIONS = {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"}
_DICOM = {
    "sop_class_uid": "SOPClassUID",
    "manufacturer": "Manufacturer",
    "study_date": "StudyDate",
    "patient_sex": "PatientSex",
    "patient_age": "PatientAge",
    "repetition_time": "RepetitionTime",
    "units": "Units",
    "rescale_type": "RescaleType",
    "dose_units": "DoseUnits",
    "dose_summation_type": "DoseSummationType",
}


@dataclass(frozen=True, eq=False)
class Series:
    """A checked series: its objects, and their planes in order."""

    objects: tuple[Found, ...]
    stack: Stack
    where: str

    @property
    def first(self) -> Found:
        """The object whose header speaks for all."""
        return self.objects[0]

    @property
    def headers(self) -> dict[Path, Any]:
        """The elements that were read of every object, by its file."""
        return {found.path: found.header for found in self.objects}


def read(
    source: str | Path | Sequence[str | Path], *, resample_tilt: bool = False, series: str | None = None
) -> Volume:
    """Read one series: a folder (names and endings do not matter), one file, or a list of files.

    i grows along the rows of the image, j down its columns, k along their normal; every plane's slope and intercept is
    applied. ``meta["dicom"]`` lists files, SOP instance UIDs and frame numbers in the order of k. With
    ``resample_tilt`` a tilted or unequally spaced stack is resampled linearly. ``series`` names the wanted one of several
    series, by its UID, number or description.

    Raises
    ------
    BadInput : several series, echoes, sizes or directions; missing, double or unequally spaced slices; a tilted gantry;
        time frames; no pixel data; damaged files; NaN or infinite values.
    """
    with _damage_refused(source):
        opened, fault = open_series(source, resample_tilt=resample_tilt, series=series)
        stack = opened.stack
        data, notes = load_voxels(stack.frames)
        check_finite(data, opened.where)
        affine = stack.affine
        if fault is not None:
            data, affine = straighten(data, stack)
            notes = [f"resampled to an upright grid: {fault}", *notes]
        return Volume(data, affine, _meta(opened, notes))


def read_header(source: str | Path | Sequence[str | Path], *, series: str | None = None) -> Header:
    """Grid, channels and stored type of a series; pixels are not decoded. Raises BadInput as ``read``."""
    with _damage_refused(source):
        opened, _ = open_series(source, resample_tilt=False, series=series)
        stack, header = opened.stack, opened.first.header
        sign = "int" if int(header.get("PixelRepresentation") or 0) else "uint"
        i, j = stack.frames[0].shape
        palette = stack.frames[0].photometric == "PALETTE COLOR"
        shape, channels = (i, j, len(stack.frames)), 3 if palette else int(header.get("SamplesPerPixel") or 1)
        dtype = "uint8" if palette else f"{sign}{int(header.get('BitsAllocated') or 16)}"
        return Header(shape, channels, stack.affine, dtype, opened.where)


@contextlib.contextmanager
def _damage_refused(source: str | Path | Sequence[str | Path]) -> Iterator[None]:
    """Refuse a header that holds what no part of the reader expects (BadInput): pydicom hands out whatever there is."""
    try:
        yield
    except (BadInput, OSError, MemoryError):
        raise
    except Exception as error:
        what = f"the DICOM header is damaged ({type(error).__name__}: {error})"
        raise BadInput(what, name_of(source), "Export the series again") from error


def open_series(
    source: str | Path | Sequence[str | Path], *, resample_tilt: bool, series: str | None
) -> tuple[Series, str | None]:
    """The checked series, and the fault of its stack that ``resample_tilt`` is to mend.

    Raises BadInput as ``read``, but for faults of pixels.
    """
    where = name_of(source)
    images = one_series(_without_labels(find_images(source), where), where, series)
    opened = _LAST if _LAST is not None and _is_of(_LAST, images, where) else _checked(images, where)
    fault = fault_of(opened.stack)
    if fault is not None and not resample_tilt:
        raise BadInput(fault, where, TILT_HELP)
    return opened, fault


#: The series that was opened last: its results refer to it soon.
_LAST: Series | None = None


def _is_of(opened: Series, images: Sequence[Found], where: str) -> bool:
    """Whether a series was made of these very headers (``find_images`` parses files anew once they have changed)."""
    return (
        opened.where == where
        and len(opened.objects) == len(images)
        and all(
            old.path == new.path and old.header is new.header for old, new in zip(opened.objects, images, strict=True)
        )
    )


def _checked(images: Sequence[Found], where: str) -> Series:
    """The series of some objects, its planes in order (BadInput as ``read``)."""
    global _LAST
    frames = [frame for image in images for frame in frames_of(image)]
    check_one_contrast(frames, where)
    stack = stack_up(frames, where)
    check_complete(stack, where)
    _LAST = Series(tuple(images), stack, where)
    return _LAST


def _without_labels(found: Sequence[Found], where: str) -> list[Found]:
    """The images, segmentations that lie beside them left out (BadInput where there is nothing else)."""
    images = [one for one in found if str(one.header.get("SOPClassUID") or "") not in _SEGMENTATIONS]
    if not images:
        raise BadInput("is a segmentation, not an image", where, "Give it as a label, and its series as the image")
    return images


def _meta(series: Series, notes: Sequence[str]) -> dict[str, Any]:
    header, frames = series.first.header, series.stack.frames
    meta: dict[str, Any] = {"source": series.where, "geometry_from": "dicom"}
    meta |= {name: str(value) for name, key in _META.items() if (value := header.get(key)) not in (None, "")}
    if told := [*([series.stack.note] if series.stack.note else []), *notes, *_units(header)]:
        meta["geometry_note"] = "; ".join(told)
    meta["dicom"] = {
        **{name: str(value) for name, key in _DICOM.items() if (value := header.get(key)) not in (None, "")},
        "echo_time": frames[0].echo_time,
        "files": tuple(str(f.path) for f in frames),
        "sop_instance_uids": tuple(f.sop_uid for f in frames),
        "frame_numbers": tuple(f.index + 1 for f in frames),
    }
    return meta


def _units(header: Any) -> list[str]:
    """What the values of PET and dose measure, for people."""
    if header.get("Modality") == "PT":
        units = str(header.get("Units") or "an unknown unit")
        return [] if units == "GML" else [f"PET values in {units}, not SUV"]
    if header.get("DoseGridScaling") is not None:
        units = {"GY": "Gy", "RELATIVE": "shares of a reference"}.get(str(header.get("DoseUnits")), "an unknown unit")
        return [f"dose in {units}"]
    return []
