"""What every segmentation network offers beside ``forward``: its settings, and its encoder in stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from torch import nn

from voxloom.networks.settings import AnyNetworkSettings


class StagedNetwork(nn.Module, ABC):
    """A network whose encoder has stages, from the image on."""

    settings: Any

    @abstractmethod
    def encoder_stages(self) -> list[list[nn.Module]]:
        """The part that extracts features, from the input on; every module belongs to one stage. The rest is the head.

        Learning rates per layer group, freezing and weights of another run go by these stages.
        """

    def encoder_names(self) -> list[str]:
        """Names of the encoder's weights and buffers in ``state_dict``, from the input on."""
        names = {id(module): name for name, module in self.named_modules()}
        inside = [f"{names[id(module)]}." for stage in self.encoder_stages() for module in stage]
        return [key for prefix in inside for key in self.state_dict() if key.startswith(prefix)]

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Trainable weights: one group per encoder stage, from the input on, then the rest."""
        groups = [
            [weight for module in stage for weight in module.parameters() if weight.requires_grad]
            for stage in self.encoder_stages()
        ]
        taken = {id(weight) for group in groups for weight in group}
        rest = [weight for weight in self.parameters() if weight.requires_grad and id(weight) not in taken]
        return [group for group in (*groups, rest) if group]

    def encoder_modules(self) -> Iterator[nn.Module]:
        """Every module of the encoder, nested ones included."""
        for stage in self.encoder_stages():
            for module in stage:
                yield from module.modules()


class SegmentationNetwork(StagedNetwork):
    """A network from images (B, C, ...) to logits (B, L, ...) of the same size, any size.

    In training with deep supervision the result is a list of logits, finest first.
    """

    settings: AnyNetworkSettings
