"""The layouts of data sets on disk, one module each, and which of them a path has.

Knows the order in which layouts are tried. A layout module has ``NAME``, ``LOOKS_LIKE`` (for people), ``matches(path)``
and ``read(path) -> Contents``.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from voxloom.dataset.layouts import bids, folders, medmnist, msd, nnunet, table
from voxloom.dataset.layouts.contents import Contents
from voxloom.errors import BadInput

#: In the order in which they are tried: declared layouts before those told by folder names.
LAYOUTS: tuple[ModuleType, ...] = (nnunet, msd, table, bids, folders, medmnist)


def is_dataset(path: Path) -> bool:
    """Whether a path has one of the layouts."""
    return any(layout.matches(path) for layout in LAYOUTS)


def open_layout(path: str | Path) -> tuple[str, Contents]:
    """Name and contents of the layout at ``path``.

    Raises BadInput when the path does not exist, the folder is empty, no layout fits, or there is no case in it.
    """
    path = Path(path)
    if not path.exists():
        raise BadInput("does not exist", path, "Check the path")
    if path.is_dir() and not any(not p.name.startswith(".") for p in path.iterdir()):
        raise BadInput("the folder is empty", path, "Give the folder that holds the data set")
    for layout in LAYOUTS:
        if layout.matches(path):
            contents: Contents = layout.read(path)
            if not contents.cases:
                raise BadInput(
                    f"a data set in {layout.NAME} layout without a case", path, "Add images, or check the path"
                )
            return layout.NAME, contents
    looked = "; ".join(layout.LOOKS_LIKE for layout in LAYOUTS)
    raise BadInput("no known layout of a data set", path, f"Looked for: {looked}")
