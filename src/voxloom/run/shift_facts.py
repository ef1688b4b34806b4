"""The facts of cases that a shift report compares, from their fingerprints. Knows ``CaseFacts``; judges nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from voxloom.dataset.inspect import CaseFacts
from voxloom.evaluation.shift import Side

#: Percentiles of every channel that are compared: dark end, middle, bright end.
_PERCENTILES = (0.5, 50.0, 99.5)
_AXES = ("left-right", "front-back", "feet-head")


def side_of(
    cases: Sequence[CaseFacts], patients: Mapping[str, str], channels: Sequence[str], labels: Sequence[str]
) -> Side:
    """Facts of readable cases.

    Parameters
    ----------
    patients : case -> patient.
    channels, labels : names of those that are compared.
    """
    unit = "pixels" if cases and all(case.unit == "pixel" for case in cases) else "mm"
    numbers: dict[str, list[float]] = {}
    for n, axis in enumerate(_AXES):
        numbers[f"voxel size, {axis} ({unit})"] = [case.ras_spacing[n] for case in cases]
        numbers[f"extent, {axis} ({unit})"] = [case.ras_spacing[n] * case.ras_shape[n] for case in cases]
    for name in channels:
        for q in _PERCENTILES:
            numbers[f"{name}, {q:g}th percentile"] = [_percentile(case, name, q) for case in cases]
        numbers[f"{name}, SD"] = [case.channels[name].whole.sd if name in case.channels else math.nan for case in cases]
        inside = [case.channels[name].foreground if name in case.channels else None for case in cases]
        numbers[f"{name}, mean inside labels"] = [math.nan if one is None else one.mean for one in inside]
    ml = "ml" if unit == "mm" else "pixels"
    for name in labels:
        numbers[f"volume of {name} ({ml})"] = [
            case.label_voxels[name] * case.voxel_ml if name in case.label_voxels else math.nan for case in cases
        ]
    words = {
        "modality": [case.modality for case in cases],
        "orientation of the voxels": [case.orientation for case in cases],
        "channels there are": [", ".join(n for n in channels if n in case.channels) for case in cases],
    }
    return Side([patients.get(case.id, case.id) for case in cases], numbers, words)


def _percentile(case: CaseFacts, channel: str, q: float) -> float:
    return case.channels[channel].whole.percentile(q) if channel in case.channels else math.nan
