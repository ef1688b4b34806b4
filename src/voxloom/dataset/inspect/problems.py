"""Everything that is wrong, or at least remarkable, with a data set.

Knows which checks there are and the order of their results. Each check is a function of facts; none reads a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxloom.dataset.inspect.check_cases import (
    broken_cases,
    duplicates,
    equal_channels,
    few_cases,
    ids_alike,
    shared_labels,
    split_patients,
    unlabeled_cases,
)
from voxloom.dataset.inspect.check_headers import header_notes, mixed_units, segment_names, values_apart
from voxloom.dataset.inspect.check_images import (
    bright_specks,
    constant_channels,
    intensity_outliers,
    intensity_scales,
    masks_as_channels,
    missing_channels,
    nonfinite_values,
    number_types,
    odd_grids,
    thick_slices,
    unlikely_ct,
)
from voxloom.dataset.inspect.check_labels import (
    class_balance,
    empty_labels,
    rare_labels,
    scattered_labels,
    small_labels,
)
from voxloom.dataset.inspect.fingerprint import Fingerprint
from voxloom.dataset.inspect.problem import Problem

if TYPE_CHECKING:
    from voxloom.dataset.dataset import Dataset

__all__ = ["Problem", "find_problems"]
_ORDER = {"error": 0, "warning": 1, "note": 2}


def find_problems(dataset: Dataset, found: Fingerprint) -> list[Problem]:
    """All problems, errors first, then warnings, then notes."""
    problems = [
        *broken_cases(found),
        *duplicates(dataset, found),
        *ids_alike(found),
        *shared_labels(dataset),
        *equal_channels(found),
        *split_patients(dataset),
        *unlabeled_cases(dataset),
        *nonfinite_values(found),
        *missing_channels(found),
        *constant_channels(found),
        *masks_as_channels(found),
        *intensity_scales(found, dataset.channel_kinds),
        *unlikely_ct(found, dataset.channel_kinds),
        *intensity_outliers(found),
        *bright_specks(found),
        *number_types(found),
        *odd_grids(found),
        *thick_slices(found),
        *header_notes(found),
        *mixed_units(found),
        *segment_names(found),
        *values_apart(found),
        *empty_labels(found),
        *rare_labels(found),
        *small_labels(found),
        *scattered_labels(found),
        *class_balance(found),
        *few_cases(dataset),
        *(Problem("note", None, note, "Check whether this is meant") for note in dataset.notes),
    ]
    return sorted(problems, key=lambda p: _ORDER[p.severity])
