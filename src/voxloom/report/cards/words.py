"""Numbers and lists in plain English, and what the settings of a recipe are called. Knows no run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from voxloom.evaluation.statistics.interval import NO_INTERVAL, TOO_FEW, interval_text

LOSSES = {
    "dice_ce": "the sum of soft Dice loss and cross-entropy",
    "dice": "soft Dice loss",
    "negative_dice": "the negative of soft Dice",
    "jaccard": "Jaccard loss",
    "tanimoto": "Tanimoto loss",
    "focal_tversky": "focal Tversky loss",
    "ce": "cross-entropy",
    "balanced_ce": "class-balanced cross-entropy",
    "bce": "binary cross-entropy",
    "focal": "focal loss",
    "dice_focal": "the sum of soft Dice loss and focal loss",
    "tanimoto_ce": "Tanimoto loss mixed with cross-entropy",
}
OPTIMIZERS = {
    "adamw": "AdamW",
    "adam": "Adam",
    "sgd": "stochastic gradient descent with Nesterov momentum",
    "muon": "Muon",
    "ranger": "Ranger",
}
SCHEDULES = {"one_cycle": "one-cycle", "poly": "polynomial", "flat_cosine": "flat-then-cosine", "constant": "constant"}
NORMALIZATIONS = {
    "zscore": "z-scored over the volume",
    "zscore_nonzero": "z-scored over non-zero voxels",
    "zscore_mask": "z-scored with the training foreground's mean and SD",
    "zscore_sample": "z-scored with the mean and SD of a random sample of all training voxels",
    "minmax": "scaled to 0 to 1",
    "ct": "clipped to the training foreground's percentiles 0.5 and 99.5 and z-scored with its mean and SD",
    "none": "left as it was",
}


def listed(items: Iterable[object]) -> str:
    """``a, b and c``."""
    words = [str(item) for item in items]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def counted(count: int, one: str, many: str | None = None) -> str:
    """``1 case``, ``3 cases``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def size(values: Sequence[float | None], unit: str = "") -> str:
    """``1 × 1 × 2.5 mm``; None is an axis that stays ``as scanned``."""
    return f"{' × '.join('as scanned' if v is None else f'{v:g}' for v in values)}{' ' + unit if unit else ''}"


def share(value: float) -> str:
    """``33 %``."""
    return f"{100 * value:.3g} %"


def span(values: Sequence[float], digits: int | None = None) -> str:
    """``598 to 611``, or the one number that all are; whole, or with so many digits that count."""
    ends = [f"{v:,.0f}" if digits is None else f"{v:.{digits}g}" for v in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def duration(seconds: float) -> str:
    """``1 h 5 min``, ``3 min 20 s``, ``41 s``."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def named(names: Mapping[str, str], value: Any) -> str:
    """The words for a setting; an unknown one is its own name, one of another package as it is written."""
    return names.get(str(value), str(value) if ":" in str(value) else str(value).replace("_", " "))


def shown(figures: Mapping[str, Any], digits: int = 3) -> str:
    """``0.893 (95 % CI 0.887 to 0.899)`` from the figures of ``summarize``, or what stands in the place of an interval."""
    mean = f"{float(figures['mean']):.{digits}f}"
    ends = interval_text(figures["ci"], digits, " to ")
    return f"{mean} ({TOO_FEW})" if ends == NO_INTERVAL else f"{mean} (95 % CI {ends})"


def scaling(settings: Mapping[str, Any]) -> str:
    """How far examples are scaled, a share or the smallest and largest size; and whether all axes alike."""
    value = settings["scale"]
    if isinstance(value, (int, float)):
        told = f"scaling by up to {100 * value:g} %"
    else:
        told = f"scaling to {100 * value[0]:g} to {100 * value[1]:g} % of the size"
    return told + (", each axis for itself," if settings.get("scale_axes") == "apart" else "")


def bending(settings: Mapping[str, Any]) -> str:
    """Elastic deformation: how far control points move, and where they lie."""
    points = settings.get("elastic_points")
    how = "up to" if settings.get("elastic_draw") == "uniform" else "SD"
    where = (
        f"{points} control points per axis" if points else f"control points {settings['elastic_spacing']:g} mm apart"
    )
    return f"elastic deformation ({how} {settings['elastic']:g} mm, {where})"


#: The words for the value of an augmentation, by its key.
_CHANGES: Mapping[str, Callable[[Any], str]] = {
    "rotation": lambda v: f"rotation by up to {size(v)} degrees",
    "shift": lambda v: f"shift by up to {size(v, 'mm')}",
    "noise": lambda v: f"Gaussian noise (SD {deviations(v)})",
    "blur": lambda v: f"Gaussian blur (SD {v[0]:g} to {v[1]:g} voxels)",
    "gamma": lambda v: f"gamma (logarithm up to {v:g})",
    "low_resolution": lambda v: f"resolution lowered to {100 * v:g} % at least",
    "bias_field": lambda v: f"bias field (up to {100 * v:g} %)",
    "remap": lambda v: f"a random curve of brightness (up to {100 * v:g} % of the range)",
    "box_blur": lambda v: f"mean over {v} voxels",
    "motion_blur": lambda v: f"blur along a line (up to {v:g} voxels)",
    "slice_skip": lambda v: f"skipping {100 * v:g} % of the slices",
    "slice_interpolation": lambda v: f"interpolating {100 * v:g} % of the slices",
    "ghosting": lambda v: f"ghosts (strength {v[0]:g} to {v[1]:g})",
    "spike": lambda v: f"spikes in k-space (strength {v[0]:g} to {v[1]:g})",
    "anisotropy": lambda v: f"sampling {v[0]:g} to {v[1]:g} times as coarse along an axis",
}


def deviations(noise: float | Sequence[float]) -> str:
    """``augment.noise`` in words: up to one deviation, between two, or always one."""
    if isinstance(noise, (int, float)):
        return f"up to {noise:g}"
    least, most = noise
    return f"{most:g}" if least == most else f"{least:g} to {most:g}"


def augmentations(settings: Mapping[str, Any]) -> list[str]:
    """The random changes that have a chance, with their range and chance."""
    told = [
        f"{phrase(settings[name])} with probability {settings[f'{name}_chance']:g}"
        for name, phrase in _CHANGES.items()
        if settings.get(f"{name}_chance") and settings.get(name)
    ]
    if settings.get("scale_chance") and settings.get("scale"):
        told.insert(1, f"{scaling(settings)} with probability {settings['scale_chance']:g}")
    if settings.get("elastic_chance") and settings.get("elastic"):
        told.append(f"{bending(settings)} with probability {settings['elastic_chance']:g}")
    if settings.get("intensity_chance"):
        change = f"brightness (up to {settings['brightness']:g}) and contrast (up to {100 * settings['contrast']:g} %)"
        told.append(f"{change} with probability {settings['intensity_chance']:g}")
    if settings.get("motion_chance"):
        change = f"motion (up to {settings['motion_degrees']:g} degrees and {settings['motion_mm']:g} mm)"
        told.append(f"{change} with probability {settings['motion_chance']:g}")
    if settings.get("invert_chance"):
        told.append(f"inverted brightness with probability {settings['invert_chance']:g}")
    if settings.get("channel_dropout"):
        told.append(f"dropping each channel with probability {settings['channel_dropout']:g}, never all of them")
    for entry in settings.get("own", ()):
        own: Mapping[str, Any] = {"kind": entry} if isinstance(entry, str) else entry
        keys = ", ".join(f"{name} {value}" for name, value in own.get("options", {}).items())
        told.append(f"{own['kind']}{f' ({keys})' if keys else ''} with probability {own.get('chance', 1):g}")
    if settings.get("mirror"):
        told.append(f"mirroring along axes {listed('ijk'[axis] for axis in settings['mirror'])}")
    return told


#: The words for a step of post-processing, by its name and amount.
_MENDINGS: Mapping[str, Callable[[float], str]] = {
    "fill_holes": lambda v: "holes were filled" if math.isinf(v) else f"holes up to {v:g} ml were filled",
    "smooth": lambda v: f"borders were smoothed (Gaussian of {v:g} mm)",
    "interpolate": lambda v: f"gaps of up to {counted(int(v), 'slice')} were filled from their neighbors",
    "remove_small": lambda v: f"pieces below {v:g} ml were removed",
    "remove_fraction": lambda v: f"pieces of at most {100 * v:g} % of the mean volume of one structure were removed",
    "name_in_order": lambda v: "structures in a row were given the likeliest names that follow one another",
    "largest_activation": lambda v: "the piece with the largest mean probability was kept",
}


def postprocessing_steps(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The steps of post-processing that a run uses, each with its labels, in their order."""
    steps: dict[tuple[str, float], list[str]] = {}
    for entry in entries:
        if entry.get("used"):
            steps.setdefault((entry["step"], float(entry["amount"])), []).append(entry["label"])
    return [f"{_MENDINGS[step](amount)} ({listed(labels)})" for (step, amount), labels in steps.items()]
