"""Callbacks of Lightning that another package brings, from the recipe's names to objects."""

from __future__ import annotations

from collections.abc import Sequence

from lightning import Callback

from voxloom.errors import BadInput
from voxloom.own import made, own_part
from voxloom.training.settings import CALLBACKS, OwnCallback

_KEY = "training.callbacks"


def own_callbacks(named: Sequence[OwnCallback]) -> list[Callback]:
    """One object per entry, in order.

    Raises
    ------
    BadInput : a class does not take its options, or makes no ``lightning.Callback``.
    """
    found = [made(own_part(one.kind, CALLBACKS, _KEY), {}, one.options, _KEY) for one in named]
    for one, entry in zip(found, named, strict=True):
        if not isinstance(one, Callback):
            raise BadInput(
                f"{entry.kind} makes no lightning.Callback", f"`{_KEY}` of the recipe", "Name a class of one"
            )
    return found
