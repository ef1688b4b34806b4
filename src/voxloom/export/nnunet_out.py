"""A run as a folder of results of nnU-Net v2, which its ``nnUNetv2_predict_from_modelfolder`` takes.

Weights are the run's, their axes turned to nnU-Net's (z, y, x). What nnU-Net has no words for is refused; what it does a little
differently is told and kept in ``voxloom.json``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voxloom.dataset import Labels
from voxloom.errors import BadInput
from voxloom.files import new_folder, refuse_existing, write_json
from voxloom.networks.unet_levels import SLOPE
from voxloom.prepare import PrepareSettings, Statistics
from voxloom.run.run import Run
from voxloom.tasks.abilities import need
from voxloom.training.weights import load_weights

_SCHEMES = {
    "ct": ("CTNormalization", False), "none": ("NoNormalization", False), "minmax": ("RescaleTo01Normalization", False),
    "zscore": ("ZScoreNormalization", False), "zscore_nonzero": ("ZScoreNormalization", True),
}  # fmt: skip
_RESAMPLING = "resample_data_or_seg_to_shape"


def write_nnunet(run: Run, out: Path) -> Path:
    """Write ``dataset.json``, ``plans.json`` and ``fold_K/checkpoint_final.pth`` of a run into the new folder ``out``.

    Raises
    ------
    BadInput : the folder is there, or nnU-Net has no words for the run's network, preparation or labels.
    """
    need(run, "export --to nnunet")
    refuse_existing(out)
    loaded = [load_weights(fold.folder) for fold in run.folds]
    about = loaded[0][1]
    refuse(run, about)
    name = "2d" if about["network"]["dims"] == 2 else "3d_fullres"
    statistics = [said["statistics"] for _, said in loaded]
    with new_folder(out) as building:
        write_json(building / "dataset.json", dataset_of(about))
        write_json(building / "plans.json", plans_of(run, about, statistics, name))
        write_json(building / "voxloom.json", {"run": out.name, "differs": differences(run, about, statistics)})
        for fold, (weights, _) in zip(run.folds, loaded, strict=True):
            (building / fold.folder.name).mkdir()
            checkpoint = checkpoint_of(weights, about, name, fold.number)
            torch.save(checkpoint, building / fold.folder.name / "checkpoint_final.pth")
    return out


def refuse(run: Run, about: Mapping[str, Any]) -> None:
    """BadInput for what nnU-Net cannot do."""
    network, prepare = about["network"], PrepareSettings.model_validate(about["prepare"])
    plain = PrepareSettings(
        orientation="RAS",
        spacing=prepare.spacing,
        image_order=prepare.image_order,
        crop=prepare.crop,
        normalize=prepare.normalize,
    )
    differing = [key for key in PrepareSettings.model_fields if getattr(prepare, key) != getattr(plain, key)]
    spacing = prepare.spacing or (None,) * 3
    slices = about.get("slices") or {}
    odd = {
        f"a network of the kind {network['kind']}": network["kind"] != "unet",
        "a network on cells coarser than voxels": network["kind"] == "unet" and max(network["strides"][0]) > 1,
        f"`prepare.{differing[0] if differing else ''}`": bool(differing),
        f"`prepare.crop: {prepare.crop}`": prepare.crop not in ("none", "nonzero"),
        "voxels of the scan's own size": None in spacing[: network["dims"]],
        "neighboring slices": bool(slices.get("neighbors") or slices.get("spread")),
        "regions": about["regions_order"] is not None or any(isinstance(one, list) for one in about["labels"].values()),
        "the scan's own normalization": any(
            one not in _SCHEMES for one in prepare.normalizations(len(about["channels"]))
        ),
    }
    if found := [what for what, there in odd.items() if there]:
        fix = "Share it as it is (--to zip), or as a MONAI bundle"
        raise BadInput(f"nnU-Net has no words for {found[0]}", run.folder, fix)


def dataset_of(about: Mapping[str, Any]) -> dict[str, Any]:
    """``dataset.json``; values of labels follow one another there."""
    names = Labels.from_nnunet(about["labels"]).names
    return {
        "channel_names": {str(n): name for n, name in enumerate(about["channels"])},
        "labels": {"background": 0, **{name: n for n, name in enumerate(names, start=1)}},
        "numTraining": len(about.get("trained_on", [])),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "NibabelIOWithReorient",
    }


def plans_of(run: Run, about: Mapping[str, Any], statistics: Sequence[Any], name: str) -> dict[str, Any]:
    """``plans.json``."""
    network, dims = about["network"], about["network"]["dims"]
    prepare = PrepareSettings.model_validate(about["prepare"])
    schemes = [_SCHEMES[one] for one in prepare.normalizations(len(about["channels"]))]
    spacing = [1.0 if mm is None else mm for mm in reversed(prepare.spacing or (1.0,) * 3)]
    patch = list(reversed(about["patch"]))[-dims:]
    order = {
        "is_seg": False,
        "order": 3 if prepare.image_order == "cubic" else 1,
        "order_z": 0,
        "force_separate_z": None,
    }
    return {
        "dataset_name": f"Dataset001_{run.folder.resolve().name}",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": spacing,
        "original_median_shape_after_transp": list(reversed(about["patch"])),
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "Voxloom",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": intensities(statistics, len(about["channels"])),
        "configurations": {
            name: {
                "data_identifier": f"nnUNetPlans_{name}",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 2,
                "patch_size": patch,
                "median_image_size_in_voxels": patch,
                "spacing": spacing[-dims:],
                "normalization_schemes": [scheme for scheme, _ in schemes],
                "use_mask_for_norm": [masked for _, masked in schemes],
                "resampling_fn_data": _RESAMPLING,
                "resampling_fn_seg": _RESAMPLING,
                "resampling_fn_probabilities": _RESAMPLING,
                "resampling_fn_data_kwargs": order,
                "resampling_fn_seg_kwargs": {**order, "is_seg": True, "order": 1},
                "resampling_fn_probabilities_kwargs": {**order, "order": 1},
                "architecture": architecture_of(network),
                "batch_dice": True,
            }
        },
    }


def architecture_of(network: Mapping[str, Any]) -> dict[str, Any]:
    """nnU-Net's words for the run's U-Net."""
    dims, levels = network["dims"], len(network["features"])
    norm = "instancenorm.InstanceNorm" if network["norm"] == "instance" else "batchnorm.BatchNorm"
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": levels,
            "features_per_stage": list(network["features"]),
            "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
            "kernel_sizes": [list(reversed(one)) for one in network["kernels"]],
            "strides": [list(reversed(one)) for one in network["strides"]],
            "n_conv_per_stage": [2] * levels,
            "n_conv_per_stage_decoder": [2] * (levels - 1),
            "conv_bias": False,
            "norm_op": f"torch.nn.modules.{norm}{dims}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True, "negative_slope": SLOPE},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def intensities(statistics: Sequence[Any], channels: int) -> dict[str, dict[str, float]]:
    """Mean over the folds of what each learned; zeros where nothing was learned."""
    learned = [Statistics.from_dict(one).channels for one in statistics if one is not None]
    names = {
        "mean": "mean",
        "std": "sd",
        "percentile_00_5": "lo",
        "percentile_99_5": "hi",
        "median": "mean",
        "min": "lo",
        "max": "hi",
    }
    return {
        str(n): {
            key: sum(float(getattr(one[n], own)) for one in learned) / len(learned) if learned else 0.0
            for key, own in names.items()
        }
        for n in range(channels)
    }


def differences(run: Run, about: Mapping[str, Any], statistics: Sequence[Any]) -> list[str]:
    """What nnU-Net will do a little differently, a sentence each."""
    found = [
        "nnU-Net resamples scans and answers by its own interpolation; scans on the plans' grid are not touched by it"
    ]
    if about["prepare"]["crop"] == "none":
        found.append("nnU-Net cuts borders of 0 off before it normalizes")
    if any(one != statistics[0] for one in statistics):
        found.append("the folds learned different intensities; nnU-Net takes their mean")
    values = [value for name, value in about["labels"].items() if name not in ("background", "ignore")]
    if sorted(values) != list(range(1, len(values) + 1)):
        pairs = zip(sorted(values), range(1, len(values) + 1), strict=True)
        found.append("values of labels: " + ", ".join(f"{own} is {there} in nnU-Net" for own, there in pairs))
    if run.summary.get("largest_component") or run.summary.get("postprocess"):
        found.append("post-processing of the run is not done by nnU-Net")
    return found


def checkpoint_of(weights: Mapping[str, Tensor], about: Mapping[str, Any], name: str, fold: int) -> dict[str, Any]:
    """What nnU-Net saves of a finished fold."""
    mirror = [about["network"]["dims"] - 1 - axis for axis in about["inference"]["mirror"]]
    return {
        "network_weights": peer_weights(weights, about["network"]),
        "optimizer_state": {}, "grad_scaler_state": None, "logging": {}, "_best_ema": None, "current_epoch": 0,
        "init_args": {"configuration": name, "fold": fold}, "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": tuple(sorted(mirror)) or None,
    }  # fmt: skip


def peer_weights(weights: Mapping[str, Tensor], network: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights under all names that nnU-Net's modules have for them, axes turned."""
    levels = len(network["features"])
    turned = {name.removeprefix("net."): _turned(tensor) for name, tensor in weights.items()}
    found: dict[str, Tensor] = {}

    def blocks(own: str, peer: str) -> None:
        for n in (1, 2):
            place = f"{peer}.convs.{n - 1}"
            for kind, number in (("conv", 0), ("norm", 1)):
                prefix = f"{own}.{kind}{n}." + ("conv." if kind == "conv" else "")
                for key in [key for key in turned if key.startswith(prefix)]:
                    for alias in (f"{place}.{kind}.", f"{place}.all_modules.{number}."):
                        found[alias + key.removeprefix(prefix)] = turned[key]

    for level in range(levels):
        own = "input_block" if level == 0 else "bottleneck" if level == levels - 1 else f"downsamples.{level - 1}"
        for place in ("encoder", "decoder.encoder"):
            blocks(own, f"{place}.stages.{level}.0")
    for n in range(levels - 1):
        blocks(f"upsamples.{n}.conv_block", f"decoder.stages.{n}")
        found[f"decoder.transpconvs.{n}.weight"] = turned[f"upsamples.{n}.transp_conv.conv.weight"]
        width = network["features"][levels - 2 - n]
        head = turned["output_block.conv.conv.weight"], turned["output_block.conv.conv.bias"]
        last = n == levels - 2
        zeros = torch.zeros(head[0].shape[0], width, *head[0].shape[2:])
        found[f"decoder.seg_layers.{n}.weight"] = head[0] if last else zeros
        found[f"decoder.seg_layers.{n}.bias"] = head[1] if last else torch.zeros_like(head[1])
    return found


def _turned(tensor: Tensor) -> Tensor:
    """A kernel (D, C, i, j, k) as (D, C, k, j, i); others as they are."""
    return tensor.permute(0, 1, *range(tensor.ndim - 1, 1, -1)).contiguous() if tensor.ndim > 2 else tensor
