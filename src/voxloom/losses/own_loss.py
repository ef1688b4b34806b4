"""A loss of another package, in the place of one of Voxloom's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxloom.errors import BadInput
from voxloom.losses.settings import LOSSES, LossSettings
from voxloom.own import made, own_part

_KEY = "training.loss"


class OwnLoss(nn.Module):
    """Logits (B, L, ...) float32 and inner labels (B, ...) int64 to a scalar, by a class that is named in the recipe.

    The class gets, where it asks for them, ``count`` (L), ``ignore_index``, ``membership`` (L, inner labels; None unless labels are
    regions) and ``weights`` (L, or None), and the recipe's options. What a data set needs, it must ask for.

    Raises
    ------
    BadInput : there is no such class, it makes no ``torch.nn.Module``, or labels are ignored or are regions and it does not ask how.
    """

    def __init__(
        self,
        settings: LossSettings,
        *,
        count: int,
        ignore_index: int | None = None,
        membership: NDArray[np.bool_] | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        table = None if membership is None else torch.from_numpy(np.asarray(membership, dtype=np.float32).copy())
        given = weights if weights is not None else settings.weights
        known = {"count": count, "ignore_index": ignore_index, "membership": table, "weights": given}
        needed = tuple(name for name in ("ignore_index", "membership", "weights") if known[name] is not None)
        loss = made(own_part(settings.kind, LOSSES, _KEY), known, settings.options, _KEY, needed)
        if not isinstance(loss, nn.Module):
            raise BadInput(
                f"{settings.kind} makes no torch.nn.Module", f"`{_KEY}` of the recipe", "Name a class of one"
            )
        self.loss = loss

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """The loss (BadInput where the class gives no single number)."""
        found = self.loss(logits.float(), label.long())
        if not isinstance(found, Tensor) or found.numel() != 1:
            gave = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise BadInput(
                f"{self.settings.kind} gave {gave}", f"`{_KEY}` of the recipe", "Give one number, as a tensor"
            )
        return found.reshape(())
