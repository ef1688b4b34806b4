"""Whether the steps of a training had finite gradients: on a graphics card this is learned two steps later, without waiting for it.

To read one number of a card, the CPU must wait until the card has done all that it was given; then the card waits for the
CPU. Here the numbers of a step travel while the next steps are computed. The step itself is left out on the card
(``optimizer.found_inf``). Knows numbers and batches; does not know what follows from them (``module``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from voxloom.training.job import Batch

#: Steps that may be on their way: a card always has one to compute while the CPU reads the verdict on an earlier one.
LAG = 2


class Travelling:
    """Numbers of a device on their way to the CPU."""

    def __init__(self, numbers: Tensor) -> None:
        make = getattr(getattr(torch, numbers.device.type, None), "Event", None)
        self._event: Any = make() if make is not None else None
        if self._event is None:  # a device without events: they are fetched when they are asked for
            self._held = numbers
            return
        self._held = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=numbers.is_cuda)
        self._held.copy_(numbers, non_blocking=True)
        self._event.record()

    def read(self) -> list[float]:
        """The numbers; waits for what was computed until they left, not for what came afterwards."""
        if self._event is not None:
            self._event.synchronize()
        found: list[float] = self._held.tolist()
        return found


@dataclass(frozen=True)
class Verdict:
    """What became of a step.

    Parameters
    ----------
    step : from 1.
    loss, norm : of the step; the gradient's norm is not finite where the step was left out.
    layers : names of the weights whose own gradient was not finite, in the order of the network.
    batch : that it was computed of.
    """

    step: int
    loss: float
    norm: float
    layers: tuple[str, ...]
    batch: Batch


class Verdicts:
    """The verdicts that are still on their way."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Travelling, Sequence[str], Batch]] = deque()

    def add(self, step: int, loss: Tensor, norm: Tensor, norms: Tensor, names: Sequence[str], batch: Batch) -> None:
        """Send off the numbers of a step: its loss, the norm of the whole gradient, and of that of every weight (P,)."""
        numbers = torch.cat([torch.stack([loss.detach().float(), norm.float()]), norms.float()])
        self._waiting.append((step, Travelling(numbers), names, batch))

    def due(self, lag: int = LAG) -> Iterator[Verdict]:
        """The verdicts that are more than ``lag`` steps old, oldest first."""
        while len(self._waiting) > lag:
            step, numbers, names, batch = self._waiting.popleft()
            loss, norm, *each = numbers.read()
            spoiled = tuple(name for name, one in zip(names, each, strict=True) if not abs(one) < float("inf"))
            yield Verdict(step, loss, norm, spoiled, batch)
