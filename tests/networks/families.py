"""One small member of every family and size of network, for the contract."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from voxloom.networks import AnyNetworkSettings

ENCODERS = ("resnet34", "resnet50", "inceptionv4")
DECODERS = ("encoder_unet", "fpn", "linknet", "pspnet")
#: Every decoder; all twelve pairs would take over a minute (``test_encoders.py`` has the others).
PAIRS = (("encoder_unet", "resnet34"), ("fpn", "resnet34"), ("linknet", "resnet34"), ("pspnet", "inceptionv4"))
OTHER_PAIRS = tuple(pair for pair in itertools.product(DECODERS, ENCODERS) if pair not in PAIRS)
CNNS = ("v1", "v2", "v3_large32", "v3_large64", "v3_small32", "v3_small64")


def _unet(dims: int, **more: Any) -> dict[str, Any]:
    strides, kernels = [[1] * dims, [2] * dims, [2] * dims], [[3] * dims] * 3
    return {"kind": "unet", "dims": dims, "features": [8, 16, 32], "strides": strides, "kernels": kernels, **more}


def name_of(values: dict[str, Any]) -> str:
    keys = ("kind", "dims", "norm", "encoder", "version", "form", "dropout_in")
    return "-".join(str(values[key]) for key in keys if key in values)


FAMILIES: dict[str, dict[str, Any]] = {
    name_of(values): {"in_channels": 2, "out_channels": 3, **values}
    for values in (
        *(_unet(dims, norm=norm) for dims, norm in itertools.product((2, 3), ("instance", "batch"))),
        *(_unet(dims, kind="resunet", deep_supervision=2) for dims in (2, 3)),
        _unet(2, dropout=0.2, dropout_in="contracting"),
        *({"kind": kind, "encoder": encoder} for kind, encoder in PAIRS),
        {"kind": "dynamic_unet", "encoder": "resnet34"},
        *(
            {"kind": "monai_unet", "dims": dims, "features": [8, 16, 32], "strides": [2, 2], "norm": norm}
            for dims, norm in ((2, "batch"), (3, "instance"))
        ),
        *({"kind": "cnn", "version": version} for version in CNNS),
        *(
            {"kind": "msd", "dims": dims, "form": form, "depth": 12}
            for dims, form in itertools.product((2, 3), ("original", "normalized"))
        ),
    )
}


def documented_weights(settings: AnyNetworkSettings) -> str:
    """The number of weights that ``docs/networks.md`` gives this network."""
    key = next(
        str(getattr(settings, name)) for name in ("encoder", "version", "form", "norm") if hasattr(settings, name)
    )
    start = f"| `{settings.kind}`{f' {settings.dims}D' if settings.kind in ('msd', 'monai_unet') else ''} | `{key}` | "
    page = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith(start)]
    return row.removeprefix(start).removesuffix(" |")
