"""What a run does before and after its network, in MONAI's transforms.

Knows the names and arguments of MONAI's transforms. What they cannot say is refused. Does not know files.
"""

from __future__ import annotations

from typing import Any

from voxloom.errors import BadInput
from voxloom.export.bundle_folds import Copies
from voxloom.prepare import PrepareSettings
from voxloom.prepare.settings import LEARNED
from voxloom.run.run import Run
from voxloom.tasks.segmentation.postprocessing import used_mendings


def preprocessing(settings: PrepareSettings, about: dict[str, Any], copies: Copies) -> list[dict[str, Any]]:
    """MONAI transforms that do what the preparation did."""
    if any(isinstance(value, list) for value in about["labels"].values()) or "ignore" in about["labels"]:
        raise BadInput(
            "a MONAI bundle cannot express regions or an ignore label", None, "Export a run with plain labels"
        )
    for key in ("neighbors", "spread"):
        if about.get("slices", {}).get(key):
            raise BadInput(f"a MONAI bundle cannot express slices.{key} of this run", None, "Export a run without it")
    unsaid = {
        "crop": settings.crop != "none",
        "n4": settings.n4,
        "resize_to": settings.resize_to is not None,
        "pad_to": settings.pad_to is not None,
        "percentile_clip": settings.percentile_clip is not None,
        "image_order": settings.image_order != "linear",
        "orientation": settings.orientation not in (None, "RAS"),
    }
    for key, used in unsaid.items():
        if used:
            raise BadInput(f"a MONAI bundle cannot express prepare.{key} of this run", None, "Export a run without it")
    steps: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
    ]
    if settings.orientation is not None and about["network"]["dims"] == 3:
        steps.append({"_target_": "Orientationd", "keys": "image", "axcodes": settings.orientation, "labels": None})
    steps += intensity_transforms(settings, about, copies)
    if settings.spacing is not None and about["network"]["dims"] == 3:
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
        raise BadInput(f"a MONAI bundle cannot normalize channels differently ({', '.join(sorted(kinds))})", None)
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


def refuse_postprocessing(run: Run, about: dict[str, Any]) -> None:
    """Refuse what the run does to its predictions and a bundle would leave out."""
    done = {
        "inference.postprocess": bool(used_mendings(run.summary)),
        "inference.mirror": bool(about["inference"]["mirror"]),
    }
    for key, used in done.items():
        if used:
            raise BadInput(f"a MONAI bundle cannot express {key} of this run", run.folder, "Export a run without it")


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
    names = [name for name, value in about["labels"].items() if value != 0]
    if kept := [names.index(name) + 1 for name in run.summary.get("largest_component", ())]:
        largest = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "is_onehot": False}
        steps.append({**largest, "applied_labels": kept})
    values = [0, *(int(value) for value in about["labels"].values() if value != 0)]
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
    }
    return [*steps, {**save, "output_dtype": "$torch.int32" if max(values) > 255 else "$torch.uint8"}]
