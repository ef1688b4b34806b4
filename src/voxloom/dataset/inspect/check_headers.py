"""Checks of what files say of themselves: doubts about their geometry, units, names of segments, and how masks are numbered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from voxloom.dataset.inspect.fingerprint import Fingerprint
from voxloom.dataset.inspect.problem import Problem, about, counted
from voxloom.dataset.tables import name_some
from voxloom.notes import Note, grouped

#: What painting programs write for "inside" in a mask of one label.
_PAINTED = 255


def header_notes(found: Fingerprint) -> Iterator[Problem]:
    """What readers were not sure of, each remark once."""
    notes = [Note(case.id, text) for case in found.cases for text in case.notes]
    for text, cases in grouped(notes):
        cases = list(dict.fromkeys(cases))
        what = text if len(cases) == 1 else f"{text} in {counted(len(cases))}: {{cases}}"
        yield about("warning", cases, what, "Check that the images lie as they should, or correct the headers")


def mixed_units(found: Fingerprint) -> Iterator[Problem]:
    """Cases without a voxel size beside others that have one."""
    without = [case.id for case in found.readable if case.unit == "pixel"]
    if not without:
        return
    if len(without) == len(found.readable):
        yield Problem(
            "note",
            None,
            "the images have no voxel size: distances and volumes are counted in pixels, and nothing is anatomical",
            "If you know the size in mm, give it in a table with the columns case and pixel_spacing",
        )
        return
    yield about(
        "error",
        without,
        f"{counted(len(without))} without a voxel size, while others have one in mm: {{cases}}",
        "Give the size in a table with the columns case and pixel_spacing, or leave these cases out",
    )


def segment_names(found: Fingerprint) -> Iterator[Problem]:
    """Label files that name their segments otherwise than each other."""
    by_value: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for case in found.cases:
        for value, name in case.segments.items():
            by_value[value][name].append(case.id)
    for value, names in sorted(by_value.items()):
        if len(names) < 2:
            continue
        told = "; ".join(f"{name} in {name_some(cases)}" for name, cases in sorted(names.items()))
        other = {n for v, found_names in by_value.items() if v != value for n in found_names}
        swapped = any(name in other for name in names)
        yield Problem(
            "error" if swapped else "warning",
            None,
            f"label {value} has several names in the label files: {told}",
            "Number the segments alike in every file" if swapped else "Check that they mean one structure",
        )


def values_apart(found: Fingerprint) -> Iterator[Problem]:
    """Masks of one value each, which is not the same in all of them: 0 and 1 in some, 0 and 255 in others."""
    if found.labels is not None:
        return
    cases: dict[int, list[str]] = defaultdict(list)
    for case in found.labeled:
        inside = [value for value in case.label_values if value != 0]
        if len(inside) > 1:
            return
        for value in inside:
            cases[value].append(case.id)
    if len(cases) < 2:
        return
    told = " and ".join(f"{value} ({len(ids)})" for value, ids in sorted(cases.items())[:6])
    yield Problem(
        "error" if set(cases) == {1, _PAINTED} else "warning",
        None,
        f"every label map holds one value besides 0, but not the same one: {told}; they never occur in one file and would be "
        "trained as different labels",
        "If they mean one structure, write one value in all masks, or merge them: --set data.labels.mask="
        f"[{', '.join(str(value) for value in sorted(cases)[:6])}]",
    )
