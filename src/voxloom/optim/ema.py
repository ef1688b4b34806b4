"""The exponential moving average of weights (Polyak and Juditsky 1992): steadier than the last step's weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


class EMA:
    """Averages a module's weights.

    Parameters
    ----------
    module : whose weights are averaged; buffers are copied.
    decay : weight of the past; while fewer steps were taken, (1 + n) / (10 + n) where that is smaller.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.average = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards the module's present weights."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        floats, targets = [], []
        for name, tensor in module.state_dict().items():
            average = self.average[name]
            if average.device != tensor.device:
                average = self.average[name] = average.to(tensor.device)
            if tensor.is_floating_point():
                floats.append(average)
                targets.append(tensor)
            else:
                average.copy_(tensor)
        torch._foreach_lerp_(floats, targets, share)

    @contextlib.contextmanager
    def applied_to(self, module: nn.Module) -> Iterator[None]:
        """Within the block the module has the averaged weights; afterwards its own again, bit for bit."""
        own = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        module.load_state_dict(self.average)
        try:
            yield
        finally:
            module.load_state_dict(own)

    def state_dict(self) -> dict[str, object]:
        """Average and number of steps."""
        return {"steps": self.steps, "average": self.average}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Continue from ``state_dict``."""
        self.steps = int(state["steps"])  # type: ignore[call-overload]
        average: Mapping[str, Tensor] = state["average"]  # type: ignore[assignment]
        self.average = {name: tensor.clone() for name, tensor in average.items()}
