"""Label maps and probabilities as DICOM SEG, through highdicom.

Knows the three kinds of Segmentation (DICOM PS3.3 C.8.20): BINARY, one bit per voxel and segment; LABELMAP, one number per voxel;
FRACTIONAL, probabilities in 255 steps. Frames lie on the planes of the source, whatever order or direction its files have.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.boxes import Box, bounding_box
from voxloom.errors import BadInput
from voxloom.formats.dicom.results.colors import color_of
from voxloom.formats.dicom.results.source import SourceSeries
from voxloom.formats.dicom.results.terms import Author, Code, Segment
from voxloom.formats.dicom.results.write import MAKER, characters, described, line, new_uid, refused, saved, software
from voxloom.formats.planes import planes_of

Kind = Literal["BINARY", "LABELMAP", "FRACTIONAL"]
#: How a segment keeps the label value of the map it came from, where that is not its number.
VALUE_NOTE = "label value"
_NUMBERS = {"BINARY": 901, "LABELMAP": 902, "FRACTIONAL": 903}
_MOST = 65535


def write_seg(
    mask: NDArray[Any],
    segments: Sequence[Segment],
    source: SourceSeries,
    path: Path,
    author: Author,
    *,
    kind: Literal["BINARY", "LABELMAP"] = "BINARY",
) -> Path:
    """Write a label map as DICOM SEG.

    Parameters
    ----------
    mask : label values (I, J, K) on the grid of ``source``.
    segments : every value of ``mask`` but 0 must have one; a segment without voxels is declared all the same.
    kind : BINARY numbers segments from 1 in the order of their values; LABELMAP keeps the values.

    Raises
    ------
    BadInput : a value without segment, another grid, values beyond 65535, or a source that a SEG cannot refer to.
    """
    ordered = sorted(segments, key=lambda one: one.value)
    box = check_mask(mask, ordered, source)
    numbers = [one.value if kind == "LABELMAP" else n for n, one in enumerate(ordered, start=1)]
    table = np.zeros(ordered[-1].value + 1, np.uint8 if max(numbers) < 256 else np.uint16)
    table[[one.value for one in ordered]] = numbers
    pixels = np.zeros(mask.shape[::-1], table.dtype)
    if box is not None:  # turning all of a large scan over would take longer than writing the object
        pixels[box[::-1]] = planes_of(table[mask[box]])
    return _write(pixels, list(zip(numbers, ordered, strict=True)), source, path, author, kind)


def write_probabilities(
    probabilities: NDArray[np.floating[Any]],
    segments: Sequence[Segment],
    source: SourceSeries,
    path: Path,
    author: Author,
) -> Path:
    """Write probabilities (L, I, J, K), one per segment, as FRACTIONAL SEG: in 255 steps. Raises BadInput as ``write_seg``."""
    if probabilities.shape[1:] != source.shape or len(probabilities) != len(segments):
        raise BadInput("probabilities do not lie on their series", source.where, "Give the series they were made from")
    steps = np.rint(np.clip(probabilities.transpose(3, 2, 1, 0).astype(np.float32), 0, 1) * 255) / 255
    numbered = list(enumerate(segments, start=1))
    return _write(np.ascontiguousarray(steps.astype(np.float32)), numbered, source, path, author, "FRACTIONAL")


def check_mask(mask: NDArray[Any], ordered: Sequence[Segment], source: SourceSeries) -> Box | None:
    """Refuse a map (I, J, K) that is not on the grid of its series, or holds what no segment, in ascending order, names (BadInput).

    Returns
    -------
    The box of all that is not 0; None for an empty map.
    """
    if mask.shape != source.shape:
        raise BadInput("the mask does not lie on its series", source.where, "Give the series it was made from")
    if not ordered:
        raise BadInput("a segmentation needs a label", source.where, "Name the labels")
    values = [one.value for one in ordered]
    if values[0] < 1 or values[-1] > _MOST:
        raise BadInput(f"label values must lie between 1 and {_MOST}", source.where, "Number the labels anew")
    box = bounding_box(mask)
    held = mask[box] if box is not None else mask[:0]  # few voxels of a scan
    if int(held.min(initial=0)) < 0:
        raise BadInput("the mask holds negative values", source.where, "Number the labels from 1, with 0 for none")
    top = int(held.max(initial=0))
    inside = held[held != 0]
    present = np.flatnonzero(np.bincount(inside)).tolist() if top <= _MOST else [top]
    if lost := sorted(set(present) - {0, *values}):
        what = f"the mask holds values without a label ({', '.join(map(str, lost[:5]))})"
        raise BadInput(what, source.where, "Name every value of the mask")
    return box


def _write(
    pixels: NDArray[Any],
    numbered: Sequence[tuple[int, Segment]],
    source: SourceSeries,
    path: Path,
    author: Author,
    kind: Kind,
) -> Path:
    """Pixels (K, J, I), or (K, J, I, L), of numbered segments as one object."""
    from highdicom.seg import Segmentation

    first, further, placed = _on_planes(pixels, source)
    with refused(source.where, "segmentation"):
        seg = Segmentation(
            source_images=first,
            pixel_array=placed,
            segmentation_type=kind,
            segment_descriptions=[_description(number, segment, author) for number, segment in numbered],
            series_instance_uid=new_uid(),
            series_number=_NUMBERS[kind],
            sop_instance_uid=new_uid(),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=line(author.name),
            software_versions=line(f"{MAKER} {software()}"),
            device_serial_number=line(author.version or "none"),
            content_label="SEGMENTATION",
            content_description=line(author.says),
            series_description=described("Segmentation", author),
            specific_character_set=characters(
                source.header, (author.name, author.note, *(one.name for _, one in numbered))
            ),
            further_source_images=further,
        )
        _keep_values(seg, numbered)
        return saved(seg, path)


def _on_planes(pixels: NDArray[Any], source: SourceSeries) -> tuple[list[Any], list[Any] | None, Any]:
    """Source images, further ones, and the pixels in their order, or with a geometry of their own."""
    if source.order is not None:
        straight = bool((source.order == np.arange(len(source.order))).all())
        return list(source.headers), None, pixels if straight else pixels[source.order]
    from highdicom import ChannelDescriptor
    from highdicom import Volume as Placed

    affine = source.lps[:, [2, 1, 0, 3]]
    channels: Any = {ChannelDescriptor("SegmentNumber"): range(1, pixels.shape[3] + 1)} if pixels.ndim == 4 else None
    uid = source.header.FrameOfReferenceUID
    volume = Placed(pixels, affine, coordinate_system="PATIENT", frame_of_reference_uid=uid, channels=channels)
    single = source.header.get("NumberOfFrames") in (None, "", 0, 1)
    return (
        (list(source.headers), None, volume) if single else ([source.header], list(source.headers[1:]) or None, volume)
    )


def _description(number: int, segment: Segment, author: Author) -> Any:
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    meaning = segment.meaning
    described = SegmentDescription(
        segment_number=number,
        segment_label=line(segment.name),
        segmented_property_category=concept(meaning.category),
        segmented_property_type=concept(meaning.type),
        algorithm_type="MANUAL" if author.by_hand else "AUTOMATIC",
        algorithm_identification=None if author.by_hand else algorithm(author),
        anatomic_regions=[concept(meaning.region)] if meaning.region else None,
        display_color=CIELabColor.from_rgb(*(meaning.color or color_of(segment.value))),
    )
    if meaning.modifiers:
        kind = described.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [concept(one) for one in meaning.modifiers]
    return described


def _keep_values(seg: Any, numbered: Sequence[tuple[int, Segment]]) -> None:
    """Note label values that are not the numbers of their segments, so that a map reads back as it was."""
    values = {number: segment.value for number, segment in numbered}
    if all(number == value for number, value in values.items()):
        return
    for item in seg.SegmentSequence:
        if (number := int(item.SegmentNumber)) in values:
            item.SegmentDescription = f"{VALUE_NOTE} {values[number]}"


def concept(code: Code) -> Any:
    """A code as the library has it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)


def algorithm(author: Author) -> Any:
    """Identification of a run: its name, and the hash of its weights as version."""
    from highdicom import AlgorithmIdentificationSequence
    from pydicom.sr.codedict import codes

    return AlgorithmIdentificationSequence(
        name=line(author.name),
        family=codes.DCM.ArtificialIntelligence,
        version=line(author.version or "none"),
        source=line(f"{MAKER} {software()}"),
        parameters=dict(author.parameters) or None,
    )
