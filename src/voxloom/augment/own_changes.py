"""Changes of intensities that other packages bring, behind Voxloom's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from voxloom.augment.sending import sent
from voxloom.augment.settings import AUGMENTATIONS, AugmentSettings
from voxloom.errors import BadInput
from voxloom.own import made, own_part

_KEY = "augment.own"
#: Patches (B, C, I, J, K) float32 and a generator on the CPU to patches of the same shape.
Change = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class OwnChanges:
    """The changes by name, in the order of the recipe."""

    changes: tuple[tuple[str, Change], ...] = ()

    def apply(self, image: Tensor, chosen: Tensor | None, seed: int) -> Tensor:
        """Change the chosen patches; what is drawn follows from the seed and the place of the change.

        Parameters
        ----------
        image : (B, C, I, J, K).
        chosen : (B, n) which patch gets which change; None for none.

        Raises
        ------
        BadInput : a change gives something of another shape.
        """
        if chosen is None:
            return image
        for number, (name, change) in enumerate(self.changes):
            rows = sent(torch.nonzero(chosen[:, number])[:, 0], image.device)
            if len(rows) == 0:
                continue
            patches = image[rows]
            found = change(patches.clone(), torch.Generator().manual_seed(seed + 1 + number))
            if not isinstance(found, Tensor) or found.shape != patches.shape:
                gave = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                what = f"{name} gave {gave} for patches {tuple(patches.shape)}"
                raise BadInput(what, f"`{_KEY}` of the recipe", "Give a tensor of the same shape")
            image = image.index_copy(0, rows, found.to(image.dtype))
        return image


def own_changes(settings: AugmentSettings, channels: int) -> OwnChanges:
    """The changes that a recipe names (BadInput where one cannot be made); each may ask for ``channels``."""
    changes = []
    for one in settings.own:
        change = made(own_part(one.kind, AUGMENTATIONS, _KEY), {"channels": channels}, one.options, _KEY)
        if not callable(change):
            raise BadInput(f"{one.kind} makes nothing that can be called", f"`{_KEY}` of the recipe", "Add __call__")
        changes.append((one.kind, change))
    return OwnChanges(tuple(changes))
