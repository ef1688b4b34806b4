"""Sentences on the network and its first weights, family by family. Knows the keys of ``network:``; builds nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.subject import Subject
from voxloom.report.cards.words import counted, listed, named, size

Keys = Mapping[str, Any]

ENCODERS = {"resnet34": "ResNet-34", "resnet50": "ResNet-50", "inceptionv4": "Inception-v4"}
DECODERS = {"encoder_unet": "U-Net", "fpn": "feature pyramid network", "linknet": "LinkNet", "pspnet": "PSPNet"}
POOLINGS = {"mean": "the mean", "max": "the maximum", "both": "the mean and the maximum side by side"}
DROPOUTS = {
    "all": "after every convolution",
    "contracting": "between the two convolutions of each contracting pair",
    "bottleneck": "between the two convolutions of the bottleneck",
}


def network(facts: RunFacts, subject: Subject) -> Iterator[str]:
    """Architecture, number of parameters and first weights."""
    n = facts.section("network")
    if n.get("kind"):
        yield f"The model was {family(n)}{ends(n)}{parameters(facts)}."
        if (n.get("deep_supervision") or 1) > 1:
            yield f"Its {n['deep_supervision']} finest resolutions were supervised."
    yield from subject.network(facts)
    if facts.section("training"):
        yield first_weights(facts)


def parameters(facts: RunFacts) -> str:
    """How many numbers were trained."""
    return f"; it had {facts.parameters:,} trained parameters" if facts.parameters else ""


def ends(n: Keys) -> str:
    """What goes in and comes out."""
    if not n.get("in_channels"):
        return ""
    covariates = f" and {counted(n['covariates'], 'covariate')}" if n.get("covariates") else ""
    return f", from {counted(n['in_channels'], 'input channel')}{covariates} to {counted(n.get('out_channels', 1), 'output')}"


def family(n: Keys) -> str:
    """The network with its own keys, a noun phrase."""
    return _FAMILIES.get(str(n["kind"]), _other)(n)


def _other(n: Keys) -> str:
    rest = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in n.items() if key != "kind")
    return f"a network of kind {n['kind']} ({rest})"


def _dims(n: Keys) -> str:
    return f"{n['dims']}D " if n.get("dims") else ""


def _levels(n: Keys) -> str:
    """Channels, steps from level to level, and kernels."""
    told = (
        f" with {counted(len(n['features']), 'level')} of {listed(n['features'])} channels" if n.get("features") else ""
    )
    strides, kernels = n.get("strides") or [], n.get("kernels") or []
    if strides and max(strides[0]) > 1 and n["kind"] != "encoder":
        told += f", computing on cells of {size(strides[0], 'voxels')}"
    if strides:
        told += f", strides {per_level(strides)}"
    if kernels:
        told += f", kernels {per_level(kernels)}"
    return told + (f", {n['norm']} normalization" if n.get("norm") else "")


def per_level(values: Sequence[Sequence[int]]) -> str:
    """``3 x 3 x 3 at every level``, or the value of each."""
    sizes = [size(value) for value in values]
    return f"{sizes[0]} at every level" if len(set(sizes)) == 1 else listed(sizes)


def _unet(n: Keys) -> str:
    kind = {"unet": "U-Net", "resunet": "residual U-Net"}[n["kind"]]
    where = f" {DROPOUTS.get(n.get('dropout_in', 'all'), '')}" if n.get("dropout") else ""
    dropout = f", dropout {n['dropout']:g}{where}" if n.get("dropout") else ""
    return f"a {_dims(n)}{kind}{_levels(n)}{dropout}"


def _encoder_unet(n: Keys) -> str:
    return f"a {_dims(n)}{DECODERS[n['kind']]} on the encoder {named(ENCODERS, n.get('encoder'))}, batch normalization"


def _dynamic(n: Keys) -> str:
    blur = ", smoothed after each" if n.get("blur") else ", not smoothed"
    dropout = f", dropout {n['dropout']:g} between encoder and decoder" if n.get("dropout") else ""
    return (
        f"a {_dims(n)}U-Net whose decoder follows from the encoder {named(ENCODERS, n.get('encoder'))}, with pixel "
        f"shuffles{blur}{dropout}"
    )


def _mixed_scale(n: Keys) -> str:
    form = {
        "original": "reflection padding and ReLU",
        "normalized": "zero padding, instance normalization and LeakyReLU",
    }
    return (
        f"a {_dims(n)}mixed-scale dense network of {counted(n['depth'], 'layer')} that add {counted(n['width'], 'channel')} "
        "each, dilations 1 "
        f"to {n['dilations']}, {named(form, n['form'])}"
    )


def _monai(n: Keys) -> str:
    units = (
        f"{counted(n['residual_units'], 'convolution')} in every residual unit"
        if n["residual_units"]
        else "plain units"
    )
    strides = listed([size([s]) if isinstance(s, int) else size(s) for s in n["strides"]])
    dropout = f", dropout {n['dropout']:g}" if n.get("dropout") else ""
    return (
        f"the {_dims(n)}residual U-Net of MONAI with {counted(len(n['features']), 'level')} of {listed(n['features'])} channels, "
        f"strides {strides}, {units}, {n['norm']} normalization{dropout}"
    )


def _cnn(n: Keys) -> str:
    return f"the small {_dims(n)}network {n['version']} of the cervical spine study"


def _case_encoder(n: Keys) -> str:
    residual = "residual connections" if n.get("residual") else "no residual connections"
    pooling = named(POOLINGS, n.get("pooling", "mean"))
    return (
        f"the contracting path of a {_dims(n)}U-Net{_levels(n)}, {residual}, {pooling} over the coarsest level and a linear "
        f"layer{_head(n)}"
    )


def _head(n: Keys) -> str:
    return f" (dropout {n['head_dropout']:g} before it)" if n.get("head_dropout") else ""


def _resnet(n: Keys) -> str:
    order = "norm and activation before the convolutions" if n.get("pre_activation") else "norm and activation after"
    pool = "a max pooling" if n.get("stem_pool") else "no pooling"
    return (
        f"a {_dims(n)}ResNet-{n['depth']} of width {n['width']}, {order}, a first convolution of stride {n['stem_stride']} and {pool} "
        f"after it, and a linear layer{_head(n)}"
    )


def _densenet(n: Keys) -> str:
    return f"a {_dims(n)}DenseNet-{n['depth']} (growth {n['growth']}, width {n['width']}) and a linear layer{_head(n)}"


def _efficientnet(n: Keys) -> str:
    return f"a {_dims(n)}EfficientNet-{n['version']} and a linear layer{_head(n)}"


def _timm(n: Keys) -> str:
    return f"the {_dims(n)}network {n['name']} of the timm library and a linear layer{_head(n)}"


_FAMILIES: dict[str, Callable[[Keys], str]] = {
    "unet": _unet,
    "resunet": _unet,
    **dict.fromkeys(DECODERS, _encoder_unet),
    "dynamic_unet": _dynamic,
    "msd": _mixed_scale,
    "monai_unet": _monai,
    "cnn": _cnn,
    "encoder": _case_encoder,
    "resnet": _resnet,
    "densenet": _densenet,
    "efficientnet": _efficientnet,
    "timm": _timm,
}


def first_weights(facts: RunFacts) -> str:
    """Where the weights came from before the first step."""
    first, seed = facts.section("init"), f"seed {facts.recipe.get('seed', 0)}"
    part = "all weights" if first.get("part") == "all" else "the encoder's weights"
    if first.get("run"):
        return (
            f"Its first weights came from fold {first.get('fold', 0)} of the run {Path(first['run']).name} ({part}); the rest "
            f"was random, {seed}."
        )
    if first.get("weights"):
        source = first["weights"] if first["weights"] == "imagenet" else Path(first["weights"]).name
        return f"Its first weights were pretrained ({source}; {part}); the rest was random, {seed}."
    return f"Its first weights were random, {seed}."
