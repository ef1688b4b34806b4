"""Voxloom: from medical images to trained, evaluated models.

Names are loaded when they are first used, so that ``import voxloom`` stays cheap.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from voxloom.cpu import set_thread_policy

if TYPE_CHECKING:
    from voxloom.dataset import Labels as Labels
    from voxloom.formats import read_volume as read_volume
    from voxloom.formats import write_volume as write_volume
    from voxloom.recipe.recipe import Recipe as Recipe
    from voxloom.verbs.dataset import Dataset as Dataset
    from voxloom.verbs.python import Run as Run
    from voxloom.verbs.python import find_lr as find_lr
    from voxloom.verbs.python import import_run as import_run
    from voxloom.verbs.python import train as train
    from voxloom.volume import Volume as Volume

__version__ = "0.1.0"

#: PyTorch takes large tensors on Linux in pages of 2 MiB: a page of 4 KiB is a fault of its own, and they were half of the time of
#: windowed prediction. Read at its first allocation; 0 in the environment turns it off.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

set_thread_policy(os.environ)

_HOMES = {
    "Dataset": "voxloom.verbs.dataset",
    "Labels": "voxloom.dataset",
    "Recipe": "voxloom.recipe.recipe",
    "Run": "voxloom.verbs.python",
    "Volume": "voxloom.volume",
    "read_volume": "voxloom.formats",
    "find_lr": "voxloom.verbs.python",
    "import_run": "voxloom.verbs.python",
    "train": "voxloom.verbs.python",
    "write_volume": "voxloom.formats",
}
__all__ = [*sorted(_HOMES), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'voxloom' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
