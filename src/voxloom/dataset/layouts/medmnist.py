"""MedMNIST: one ``.npz`` with ``train_images``, ``train_labels`` and the same for ``val`` and ``test``.

Knows 2D (gray and color) and 3D sets, classes and several findings per item. Reads the small label arrays, never the
images.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.dataset.case import Case, Split
from voxloom.dataset.layouts.contents import RGB, Contents
from voxloom.dataset.sources import ImageSource, NpzItem, npz_array, npz_shapes
from voxloom.errors import BadInput

NAME = "MedMNIST"
LOOKS_LIKE = "a MedMNIST .npz, or a folder with one"
_SPLITS: tuple[Split, ...] = ("train", "val", "test")


def matches(path: Path) -> bool:
    """Whether the path is an .npz or a folder whose only content of interest is one."""
    return _archive(path) is not None


def read(path: Path) -> Contents:
    """The set in the file; the target is the class number, or each finding an attribute ``finding_<n>``.

    Raises BadInput when the file cannot be read or images and labels differ in number.
    """
    archive = _archive(path)
    assert archive is not None, "read follows matches"
    shapes = npz_shapes(str(archive))
    splits = [s for s in _SPLITS if f"{s}_images" in shapes]
    if not splits:
        raise BadInput(
            f"has the arrays {', '.join(shapes)}, none of them train_images", archive, "Give a MedMNIST .npz"
        )
    channels = RGB if _is_color(shapes[f"{splits[0]}_images"]) else ("image",)
    cases = [case for split in splits for case in _cases(archive, split, shapes, channels)]
    missing = tuple(s for s in _SPLITS if s not in splits)
    notes = (f"the file has no {' and no '.join(missing)} split",) if missing else ()
    return Contents(archive.stem, tuple(cases), channels, notes=notes)


def _archive(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix.lower() == ".npz" else None
    found = sorted(path.glob("*.npz"))
    if len(found) > 1:
        raise BadInput(f"holds {len(found)} .npz files", path, f"Name one of them: {path / found[0].name}")
    return found[0] if found else None


def _is_color(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[-1] == len(RGB)


def _cases(
    archive: Path, split: Split, shapes: dict[str, tuple[int, ...]], channels: tuple[str, ...]
) -> Iterator[Case]:
    if not 3 <= len(shapes[f"{split}_images"]) <= 5:
        raise BadInput(f"{split}_images has the shape {shapes[f'{split}_images']}", archive, "Download it again")
    count, targets = shapes[f"{split}_images"][0], _targets(archive, split, shapes)
    if targets is not None and len(targets) != count:
        raise BadInput(f"{split}_images has {count} items, {split}_labels {len(targets)}", archive, "Download it again")
    for n in range(count):
        name = f"{split}_{n:05d}"
        array = f"{split}_images"
        images: dict[str, ImageSource] = {
            c: NpzItem(str(archive), array, n, i if len(channels) > 1 else None) for i, c in enumerate(channels)
        }
        yield Case(id=name, patient=name, images=images, split=split, **_target(targets, n))


def _target(targets: np.ndarray[Any, Any] | None, n: int) -> dict[str, Any]:
    if targets is None:
        return {}
    if targets.shape[1] == 1:
        return {"target": targets[n, 0].item()}
    return {"attributes": {f"finding_{i}": v.item() for i, v in enumerate(targets[n])}}


def _targets(archive: Path, split: str, shapes: dict[str, tuple[int, ...]]) -> np.ndarray[Any, Any] | None:
    name = f"{split}_labels"
    if name not in shapes:
        return None
    labels = npz_array(str(archive), name)
    return labels.reshape(len(labels), -1) if labels.size else None
