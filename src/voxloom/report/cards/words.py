"""Numbers and lists in plain English, and what the settings of a recipe are called. Knows no run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
SCHEDULES = {"one_cycle": "one-cycle", "poly": "polynomial", "flat_cosine": "flat-then-cosine"}
NORMALIZATIONS = {
    "zscore": "z-scored over the volume",
    "zscore_nonzero": "z-scored over non-zero voxels",
    "zscore_mask": "z-scored with the training foreground's mean and SD",
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


def size(values: Sequence[float], unit: str = "") -> str:
    """``1 × 1 × 2.5 mm``."""
    return f"{' × '.join(f'{v:g}' for v in values)}{' ' + unit if unit else ''}"


def named(names: Mapping[str, str], value: Any) -> str:
    """The words for a setting; an unknown one is its own name."""
    return names.get(str(value), str(value).replace("_", " "))


def shown(figures: Mapping[str, Any], digits: int = 3) -> str:
    """``0.893 (95 % CI 0.887 to 0.899)`` from the figures of ``summarize``."""
    low, high = figures["ci"]
    return f"{float(figures['mean']):.{digits}f} (95 % CI {float(low):.{digits}f} to {float(high):.{digits}f})"


def augmentations(settings: Mapping[str, Any]) -> list[str]:
    """The random changes that have a chance, with their range and chance."""
    ranges = {
        "rotation": lambda v: f"rotation by up to {size(v)} degrees",
        "scale": lambda v: f"scaling by up to {100 * v:g} %",
        "shift": lambda v: f"shift by up to {size(v, 'mm')}",
        "elastic": lambda v: f"elastic deformation (SD {v:g} mm)",
        "noise": lambda v: f"Gaussian noise (SD up to {v:g})",
        "blur": lambda v: f"Gaussian blur (SD {v[0]:g} to {v[1]:g} voxels)",
        "gamma": lambda v: f"gamma (logarithm up to {v:g})",
        "low_resolution": lambda v: f"resolution lowered to {100 * v:g} % at least",
        "bias_field": lambda v: f"bias field (up to {100 * v:g} %)",
    }
    told = [
        f"{phrase(settings[name])} with probability {settings[f'{name}_chance']:g}"
        for name, phrase in ranges.items()
        if settings.get(f"{name}_chance") and settings.get(name)
    ]
    if settings.get("intensity_chance"):
        change = f"brightness (up to {settings['brightness']:g}) and contrast (up to {100 * settings['contrast']:g} %)"
        told.append(f"{change} with probability {settings['intensity_chance']:g}")
    if settings.get("mirror"):
        told.append(f"mirroring along axes {listed('ijk'[axis] for axis in settings['mirror'])}")
    return told
