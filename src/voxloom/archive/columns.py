"""The columns of the instance table, and the header elements that they are read from.

Knows tags, value kinds and the names that rules use. Does not know how a file is parsed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "integer", "numbers"]


@dataclass(frozen=True)
class Element:
    """One header element that the catalogue keeps.

    Parameters
    ----------
    tag : group and element in one number, e.g. 0x00080018.
    columns : names of the columns; several for elements of several numbers.
    kind : "text" (several values joined by a backslash), "number" and "integer" (the first value), or "numbers"
        (as many as there are columns, or none).
    vrs : value representations in which the fast parser takes the element; in another one pydicom reads the file.
    """

    tag: int
    columns: tuple[str, ...]
    kind: Kind
    vrs: tuple[str, ...]


def _text(tag: int, column: str, vr: str = "LO") -> Element:
    return Element(tag, (column,), "text", (vr,))


def _number(tag: int, column: str, vr: str = "DS") -> Element:
    return Element(tag, (column,), "number", (vr,))


def _integer(tag: int, column: str, vr: str = "IS") -> Element:
    return Element(tag, (column,), "integer", (vr,))


def _numbers(tag: int, *columns: str) -> Element:
    return Element(tag, columns, "numbers", ("DS",))


CHARACTER_SET = 0x00080005
META_CLASS = 0x00020002
META_INSTANCE = 0x00020003
TRANSFER_SYNTAX = 0x00020010

#: Every element in ascending order of its tag.
ELEMENTS: tuple[Element, ...] = (
    _text(CHARACTER_SET, "character_set", "CS"),
    _text(0x00080008, "image_type", "CS"),
    _text(0x00080016, "sop_class_uid", "UI"),
    _text(0x00080018, "sop_instance_uid", "UI"),
    _text(0x00080020, "study_date", "DA"),
    _text(0x00080022, "acquisition_date", "DA"),
    _text(0x00080030, "study_time", "TM"),
    _text(0x00080032, "acquisition_time", "TM"),
    _text(0x00080033, "content_time", "TM"),
    _text(0x00080060, "modality", "CS"),
    _text(0x00080070, "manufacturer"),
    _text(0x00080080, "institution"),
    _text(0x00081030, "study_description"),
    _text(0x0008103E, "series_description"),
    _text(0x00081090, "model"),
    _text(0x00100010, "patient_name", "PN"),
    _text(0x00100020, "patient_id"),
    _text(0x00100030, "patient_birth_date", "DA"),
    _text(0x00100040, "patient_sex", "CS"),
    _text(0x00101010, "patient_age", "AS"),
    _text(0x00180010, "contrast_agent"),
    _text(0x00180015, "body_part_examined", "CS"),
    _text(0x00180020, "scanning_sequence", "CS"),
    _text(0x00180021, "sequence_variant", "CS"),
    _text(0x00180022, "scan_options", "CS"),
    _text(0x00180023, "acquisition_type", "CS"),
    _text(0x00180024, "sequence_name", "SH"),
    _number(0x00180050, "slice_thickness"),
    _number(0x00180060, "kvp"),
    _number(0x00180080, "repetition_time"),
    _number(0x00180081, "echo_time"),
    _number(0x00180082, "inversion_time"),
    _number(0x00180087, "field_strength_header"),
    _number(0x00180088, "spacing_between_slices"),
    _integer(0x00180091, "echo_train_length"),
    _text(0x00181030, "protocol_name"),
    _number(0x00181060, "trigger_time"),
    _number(0x00181120, "gantry_tilt"),
    _numbers(0x00181164, "detector_pixel_row", "detector_pixel_column"),
    _text(0x00181210, "kernel", "SH"),
    _number(0x00181314, "flip_angle"),
    _text(0x00185100, "patient_position", "CS"),
    _number(0x00189087, "b_value_standard", "FD"),
    _text(0x00190010, "creator_0019"),
    Element(0x0019100C, ("b_value_siemens",), "text", ("IS", "LO", "DS", "UN")),
    _text(0x0020000D, "study_uid", "UI"),
    _text(0x0020000E, "series_uid", "UI"),
    _integer(0x00200011, "series_number"),
    _integer(0x00200012, "acquisition_number"),
    _integer(0x00200013, "instance_number"),
    _numbers(0x00200032, "position_x", "position_y", "position_z"),
    _numbers(0x00200037, "row_x", "row_y", "row_z", "column_x", "column_y", "column_z"),
    _text(0x00200052, "frame_of_reference_uid", "UI"),
    _integer(0x00200100, "temporal_position"),
    _integer(0x00201002, "images_in_acquisition"),
    _integer(0x00280002, "samples", "US"),
    _text(0x00280004, "photometric", "CS"),
    _integer(0x00280008, "frames"),
    _integer(0x00280010, "rows", "US"),
    _integer(0x00280011, "columns", "US"),
    _numbers(0x00280030, "pixel_row", "pixel_column"),
    _integer(0x00280100, "bits_allocated", "US"),
    _text(0x00280301, "burned_in_annotation", "CS"),
)

#: Read further on, for MR of two vendors only: GE's and Philips' b-values, and who owns their blocks.
LATE_ELEMENTS: tuple[Element, ...] = (
    _text(0x00430010, "creator_0043"),
    Element(0x00431039, ("b_value_ge",), "text", ("IS", "LO", "DS", "UN")),
    _text(0x20010010, "creator_2001"),
    _number(0x20011003, "b_value_philips", "FL"),
)
ALL_ELEMENTS = (*ELEMENTS, *LATE_ELEMENTS)
LAST_TAG = ELEMENTS[-1].tag
LAST_LATE_TAG = LATE_ELEMENTS[-1].tag

#: Needed to know the private b-values, then dropped.
HELPERS = frozenset({
    "b_value_standard", "b_value_siemens", "b_value_ge", "b_value_philips", "creator_0019", "creator_0043",
    "creator_2001", "detector_pixel_row", "detector_pixel_column",
})  # fmt: skip

#: Columns that say where a row comes from.
PLACE = ("file", "member", "file_size", "file_time")
#: Columns that are made of several elements, or of the file.
MADE = ("transfer_syntax_uid", "b_value", "frame_locations")
#: Columns of whole numbers.
INTEGERS = frozenset(("file_size", "file_time", *(name for e in ELEMENTS if e.kind == "integer" for name in e.columns)))
#: Columns of real numbers.
NUMBERS = frozenset(
    (
        "b_value",
        *(name for e in ELEMENTS if e.kind in ("number", "numbers") for name in e.columns if name not in HELPERS),
    )
)
#: All columns of the instance table, in order.
COLUMNS = (*PLACE, *(name for e in ELEMENTS for name in e.columns if name not in HELPERS), *MADE)
