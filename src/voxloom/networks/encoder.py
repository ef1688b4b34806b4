"""ResNet and Inception encoders of segmentation_models_pytorch: built, cut to depth and divided into stages.

Knows the names that library gives to its layers. Does not know where weights come from.
"""

from __future__ import annotations

from typing import Any

from segmentation_models_pytorch.encoders import encoders as known_encoders
from torch import nn

from voxloom.networks.settings import EncoderName

#: The encoder halves the image five times.
MULTIPLE = 32
#: Layers of Inception-v4's ``features`` that end a stage; each stage halves the image.
_INCEPTION_ENDS = (3, 5, 9, 15, 22)
_RESNET_LAYERS = ("layer1", "layer2", "layer3", "layer4")


def stages_of(encoder: nn.Module) -> list[list[nn.Module]]:
    """The encoder's modules in five stages (fewer where it was cut), from the input on."""
    if hasattr(encoder, "features"):
        layers = list(encoder.features)  # type: ignore[arg-type]
        starts = (0, *_INCEPTION_ENDS[:-1])
        stages = [layers[a:b] for a, b in zip(starts, _INCEPTION_ENDS, strict=True)]
        return [stage for stage in stages if stage]
    rest: list[Any] = [getattr(encoder, name) for name in _RESNET_LAYERS]
    return [[encoder.conv1, encoder.bn1], *([layer] for layer in rest if not isinstance(layer, nn.Identity))]  # type: ignore[list-item]


def cut(encoder: nn.Module, depth: int) -> None:
    """Remove the stages that are beyond ``depth``: they would be carried along, and run, without an effect."""
    if hasattr(encoder, "features"):
        encoder.features = encoder.features[: _INCEPTION_ENDS[depth - 1]]  # type: ignore[index]
        return
    for name in _RESNET_LAYERS[depth - 1 :]:
        setattr(encoder, name, nn.Identity())


def first_convolution(encoder: nn.Module) -> str:
    """Name of the weight that sees the image."""
    name = next(name for name, module in encoder.named_modules() if isinstance(module, nn.Conv2d))
    return f"{name}.weight"


def hub_address(name: EncoderName) -> tuple[str, str]:
    """(repository, revision) of the encoder's ImageNet weights on the Hugging Face hub."""
    about: dict[str, Any] = known_encoders[name]["pretrained_settings"]["imagenet"]
    return about["repo_id"], about["revision"]
