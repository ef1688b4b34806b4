"""What a run does before and after its network, in MONAI's transforms.

Knows the names and arguments of MONAI's transforms. What they cannot say is named. Does not know files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxloom.export.bundle_folds import Copies
from voxloom.prepare import PrepareSettings
from voxloom.prepare.settings import LEARNED
from voxloom.run.run import Run
from voxloom.tasks.segmentation.postprocessing import used_steps


class NotInMonai(Exception):
    """Something of a run that MONAI has no words for; the message names it."""


def preprocessing(settings: PrepareSettings, about: dict[str, Any], copies: Copies) -> list[dict[str, Any]]:
    """MONAI transforms that do what the preparation did (NotInMonai where there are none)."""
    if about["network"]["dims"] == 2:
        raise NotInMonai("the slices of a 2D network")
    if any(isinstance(value, list) for value in about["labels"].values()) or "ignore" in about["labels"]:
        raise NotInMonai("labels of several values, regions or an ignore label")
    if about["labels"].get("background", 0) != 0:
        raise NotInMonai("a background that is not 0")
    unsaid = {
        "slices.spread": bool(about.get("slices", {}).get("spread")),
        "prepare.crop": settings.crop != "none",
        "prepare.n4": settings.n4,
        "prepare.resize_to": settings.resize_to is not None,
        "prepare.pad_to": settings.pad_to is not None,
        "prepare.crop_or_pad_to": settings.crop_or_pad_to is not None,
        "prepare.percentile_clip": settings.percentile_clip is not None,
        "prepare.image_order": settings.image_order != "linear",
        "prepare.orientation": settings.orientation not in (None, "RAS"),
    }
    for key, used in unsaid.items():
        if used:
            raise NotInMonai(f"{key} of this run")
    steps: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
    ]
    if settings.orientation is not None:
        steps.append({"_target_": "Orientationd", "keys": "image", "axcodes": settings.orientation, "labels": None})
    steps += intensity_transforms(settings, about, copies)
    if settings.spacing is not None:
        steps.append(
            {
                "_target_": "Spacingd",
                "keys": "image",
                "pixdim": [own or -1.0 for own in settings.spacing],
                "mode": "bilinear",
            }
        )
    return [*steps, {"_target_": "EnsureTyped", "keys": "image"}]


def intensity_transforms(settings: PrepareSettings, about: dict[str, Any], copies: Copies) -> list[dict[str, Any]]:
    """Normalization of every channel in MONAI's words; all channels must share one kind."""
    kinds = set(settings.normalizations(len(about["channels"])))
    if len(kinds) > 1:
        raise NotInMonai(f"channels that are normalized differently ({', '.join(sorted(kinds))})")
    kind = kinds.pop()
    steps: list[dict[str, Any]] = []
    if settings.hu_range is not None:
        low, high = settings.hu_range
        steps.append(_range(low, high, 0.0 if kind == "minmax" else low, 1.0 if kind == "minmax" else high))
    if kind in LEARNED:
        steps += copies.repetition()
        if kind == "ct":
            steps.append(copies.clip())
        mean, sd = [one.mean for one in copies.each()], [one.sd for one in copies.each()]
        steps.append(_normalize(subtrahend=mean, divisor=sd))
    elif kind in ("zscore", "zscore_nonzero"):
        steps.append(_normalize(nonzero=kind == "zscore_nonzero"))
    elif kind == "minmax" and settings.hu_range is None:
        steps.append({"_target_": "ScaleIntensityd", "keys": "image", "channel_wise": True})
    return steps


def _range(low: float, high: float, to_low: float, to_high: float) -> dict[str, Any]:
    ranges = {"a_min": low, "a_max": high, "b_min": to_low, "b_max": to_high}
    return {"_target_": "ScaleIntensityRanged", "keys": "image", **ranges, "clip": True}


def _normalize(subtrahend: Any = None, divisor: Any = None, nonzero: bool = False) -> dict[str, Any]:
    step: dict[str, Any] = {
        "_target_": "NormalizeIntensityd",
        "keys": "image",
        "nonzero": nonzero,
        "channel_wise": True,
    }
    return step if subtrahend is None else {**step, "subtrahend": subtrahend, "divisor": divisor}


def refuse_postprocessing(run: Run, described: Sequence[dict[str, Any]]) -> None:
    """Refuse what the run does around its networks and MONAI has no words for (NotInMonai)."""
    done = {
        "inference.postprocess of this run": bool(used_steps(run.summary)),
        "inference.mirror of this run": any(about["inference"]["mirror"] for about in described),
        "channels that may be missing": any(about.get("channel_dropout", 0) > 0 for about in described),
    }
    for what, used in done.items():
        if used:
            raise NotInMonai(what)


def label_values(about: dict[str, Any]) -> list[int]:
    """The values of a label file, background first, in the order of the network's outputs."""
    return [0, *sorted(int(value) for value in about["labels"].values() if value != 0)]


def postprocessing(run: Run, about: dict[str, Any], members: int) -> list[dict[str, Any]]:
    """Probabilities, mean over members, back to the scan's grid, label map, largest components, file."""
    keys = ["pred"] if members == 1 else [f"pred{n}" for n in range(members)]
    steps: list[dict[str, Any]] = [{"_target_": "Activationsd", "keys": keys, "softmax": True}]
    if members > 1:
        steps.append({"_target_": "MeanEnsembled", "keys": keys, "output_key": "pred"})
    inverse = {
        "_target_": "Invertd",
        "keys": "pred",
        "transform": "@preprocessing",
        "orig_keys": "image",
        "nearest_interp": False,
    }
    steps += [
        {**inverse, "to_tensor": True},
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
    ]
    values = label_values(about)
    names = sorted((name for name, value in about["labels"].items() if value != 0), key=lambda n: about["labels"][n])
    if kept := [names.index(name) + 1 for name in run.summary.get("largest_component", ())]:
        largest = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "is_onehot": False}
        steps.append({**largest, "applied_labels": kept})
    if values != list(range(len(values))):
        steps.append(
            {
                "_target_": "MapLabelValued",
                "keys": "pred",
                "orig_labels": list(range(len(values))),
                "target_labels": values,
            }
        )
    save = {
        "_target_": "SaveImaged",
        "keys": "pred",
        "output_dir": "@output_dir",
        "output_postfix": "seg",
        "separate_folder": False,
        "resample": True,  # onto the scan's own grid, where it lies already; without it MONAI 1.6 takes the affine for 2D
    }
    return [*steps, {**save, "output_dtype": "$torch.int32" if max(values) > 255 else "$torch.uint8"}]
