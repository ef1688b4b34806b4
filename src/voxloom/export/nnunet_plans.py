"""``plans.json`` of nnU-Net v2 in Voxloom's words: network, axes, voxel size, normalization.

nnU-Net holds images as (z, y, x) and turns them by ``transpose_forward``; Voxloom's axes i, j, k are x, y, z of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.prepare import Statistics
from voxloom.prepare.settings import ChannelStatistics, Normalization

Triple = tuple[int, int, int]
#: nnU-Net's name of a normalization -> Voxloom's.
_NORMALIZATIONS: Mapping[str, Normalization] = {
    "CTNormalization": "ct",
    "NoNormalization": "none",
    "RescaleTo01Normalization": "minmax",
    "ZScoreNormalization": "zscore",
}
_ENCODERS = {"PlainConvUNet": "plain", "ResidualEncoderUNet": "residual"}


def configuration_of(plans: Mapping[str, Any], name: str, where: Path) -> dict[str, Any]:
    """The settings of a configuration, what it inherits included (BadInput for a cascade, or an unknown name)."""
    known = plans["configurations"]
    if name not in known:
        raise BadInput(f"plans.json has no configuration {name}", where, f"It has: {', '.join(known)}")
    settings = dict(known[name])
    if parent := settings.pop("inherits_from", None):
        settings = {**configuration_of(plans, parent, where), **settings}
    if settings.get("previous_stage"):
        fix = "Import the model of 3d_lowres or 3d_fullres"
        raise BadInput(f"{name} needs the prediction of {settings['previous_stage']} beside the scan", where, fix)
    return settings


@dataclass(frozen=True)
class Architecture:
    """The network of a configuration.

    Parameters
    ----------
    dims : 2 or 3.
    axes : the image's axis (0, 1, 2 for i, j, k) that is nnU-Net's first, second, ... axis of the network.
    options : of ``voxloom.networks.nnunet.NnUNet``.
    """

    dims: int
    axes: tuple[int, ...]
    options: dict[str, Any]

    @classmethod
    def of(cls, plans: Mapping[str, Any], settings: Mapping[str, Any], where: Path) -> Architecture:
        """From the plans, as nnU-Net 2.0 or 2.5 and later write them (BadInput for another network)."""
        described = settings["architecture"] if "architecture" in settings else _older(plans, settings)
        kind = described["network_class_name"].rpartition(".")[2]
        if kind not in _ENCODERS:
            raise BadInput(f"its network {kind} is not known", where, f"Known: {', '.join(_ENCODERS)}")
        given = described["arch_kwargs"]
        dims = len(settings["patch_size"])
        levels = int(given["n_stages"])
        blocks = given["n_conv_per_stage" if kind == "PlainConvUNet" else "n_blocks_per_stage"]
        _check(given, where)
        axes = axes_of(plans["transpose_forward"], dims, where)
        options = {
            "encoder": _ENCODERS[kind],
            "features": [int(n) for n in _each(given["features_per_stage"], levels)],
            "kernels": [_axes(one, dims) for one in given["kernel_sizes"]],
            "strides": [_axes(one, dims) for one in given["strides"]],
            "blocks": [int(n) for n in _each(blocks, levels)],
            "decoder_blocks": [int(n) for n in _each(given["n_conv_per_stage_decoder"], levels - 1)],
            "bias": bool(given["conv_bias"]),
            "norm": "batch" if "BatchNorm" in str(given["norm_op"]) else "instance",
            "slope": _slope(given),
            "axes": list(axes),
        }
        return cls(dims, axes, options)

    @property
    def divisible(self) -> tuple[int, ...]:
        """Voxels per axis of the image that the network's input must be a multiple of."""
        whole = [prod(stride[n] for stride in self.options["strides"]) for n in range(self.dims)]
        return tuple(whole[self.axes.index(axis)] for axis in range(self.dims))

    def patch(self, size: Sequence[int]) -> Triple:
        """nnU-Net's patch in the order of the image's axes."""
        i, j, k = (int(size[self.axes.index(axis)]) if axis < self.dims else 1 for axis in range(3))
        return (i, j, k)

    def spacing(self, mm: Sequence[float]) -> tuple[float | None, float | None, float | None]:
        """nnU-Net's voxel size in the order of the image's axes; None across the slices of a 2D network."""
        plane = list(mm)[-self.dims :]
        i, j, k = (float(plane[self.axes.index(axis)]) if axis < self.dims else None for axis in range(3))
        return (i, j, k)


def axes_of(transpose: Sequence[int], dims: int, where: Path) -> tuple[int, ...]:
    """See ``Architecture.axes``."""
    of_image = tuple(2 - int(axis) for axis in transpose)
    if dims == 3:
        return of_image
    if of_image[0] != 2:
        what = f"its 2D slices lie across axis {'ijk'[of_image[0]]} of the file, and Voxloom's across k"
        raise BadInput(what, where, "Import a 3D model")
    return of_image[1:]


def _older(plans: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The network of plans before nnU-Net 2.5, which name it by a few numbers."""
    kernels, strides = settings["conv_kernel_sizes"], settings["pool_op_kernel_sizes"]
    most, base = settings["unet_max_num_features"], settings["UNet_base_num_features"]
    plain = settings["UNet_class_name"] == "PlainConvUNet"
    return {
        "network_class_name": settings["UNet_class_name"],
        "arch_kwargs": {
            "n_stages": len(kernels),
            "features_per_stage": [min(most, base * 2**n) for n in range(len(kernels))],
            "kernel_sizes": kernels,
            "strides": strides,
            "n_conv_per_stage" if plain else "n_blocks_per_stage": settings["n_conv_per_stage_encoder"],
            "n_conv_per_stage_decoder": settings["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": "InstanceNorm",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "nonlin": "LeakyReLU",
        },
    }


def _check(given: Mapping[str, Any], where: Path) -> None:
    """Refuse what ``NnUNet`` has no option for."""
    norm = given.get("norm_op_kwargs") or {}
    odd = {
        "squeeze and excitation": given.get("squeeze_excitation"),
        "bottleneck blocks": given.get("bottleneck_channels") or "Bottleneck" in str(given.get("block", "")),
        "pooling": given.get("pool_type", "conv") != "conv" or given.get("pool", "conv") != "conv",
        "normalization after the activation": given.get("nonlin_first"),
        "another stem": given.get("stem_channels") or given.get("disable_default_stem"),
        f"normalization {given['norm_op']}": not any(
            word in str(given["norm_op"]) for word in ("InstanceNorm", "BatchNorm")
        ),
        f"settings of the normalization {norm}": norm.get("eps", 1e-5) != 1e-5 or norm.get("affine") is False,
        f"activation {given['nonlin']}": not str(given["nonlin"]).endswith(("LeakyReLU", ".ReLU")),
    }
    if found := [name for name, there in odd.items() if there]:
        raise BadInput(f"its network has {found[0]}, which is not known", where, "Predict with nnU-Net itself")


def _slope(given: Mapping[str, Any]) -> float:
    if str(given["nonlin"]).endswith(".ReLU"):
        return 0.0
    return float((given.get("nonlin_kwargs") or {}).get("negative_slope", 0.01))


def _each(given: int | Sequence[int], count: int) -> Sequence[int]:
    return [given] * count if isinstance(given, int) else given


def _axes(given: int | Sequence[int], dims: int) -> list[int]:
    return [given] * dims if isinstance(given, int) else [int(n) for n in given]


def normalizations_of(settings: Mapping[str, Any], where: Path) -> tuple[list[Normalization], list[str]]:
    """Normalization of every channel, and what is not quite nnU-Net's."""
    found: list[Normalization] = []
    told = []
    masked = settings.get("use_mask_for_norm") or [False] * len(settings["normalization_schemes"])
    for name, inside in zip(settings["normalization_schemes"], masked, strict=True):
        if name not in _NORMALIZATIONS:
            raise BadInput(f"its normalization {name} is not known", where, f"Known: {', '.join(_NORMALIZATIONS)}")
        kind = _NORMALIZATIONS[name]
        if inside and kind == "zscore":
            kind = "zscore_nonzero"
            told.append("Voxels of 0 inside the head or body are left out of the mean, which nnU-Net counts")
        found.append(kind)
    return found, sorted(set(told))


def statistics_of(plans: Mapping[str, Any], channels: int) -> Statistics:
    """Intensities of the training foreground, as the plans keep them."""
    given = plans["foreground_intensity_properties_per_channel"]
    rows = [given[str(n)] for n in range(channels)]
    return Statistics(
        tuple(
            ChannelStatistics(
                float(r["mean"]), float(r["std"]), float(r["percentile_00_5"]), float(r["percentile_99_5"])
            )
            for r in rows
        )
    )
