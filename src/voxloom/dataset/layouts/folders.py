"""A folder pair: images/ with masks/ (or labels/), volumes or pictures, matched by file name.

Knows the usual folder names, the endings ``_mask``, ``_seg`` and ``_label`` of mask names, and a table (``*.csv``) with
a column of file names beside the folders that gives patient, group, split, target and attributes. Color pictures become
the channels red, green and blue. Does not open voxels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from voxloom.dataset.case import Case
from voxloom.dataset.layouts.contents import (
    Contents,
    channels_of,
    images_of,
    join_points,
    list_images,
    refuse_unused_labels,
    require_labels,
    split_ending,
)
from voxloom.dataset.tables import TABLE_ENDINGS, Row, describe, name_some, read_table
from voxloom.errors import BadInput

NAME = "folder pair"
LOOKS_LIKE = "folders images/ and masks/ or labels/ with files of the same names"
_IMAGES = ("images", "image", "imgs", "img")
_MASKS = ("masks", "labels", "mask", "label", "segmentations", "annotations")
_MASK_SUFFIXES = ("_mask", "_seg", "_label", "_segmentation", "-mask", "-seg", "-label")
_KEYS = ("file", "filename", "case", "image", "id")


def matches(root: Path) -> bool:
    """Whether there is a folder of images."""
    return _find(root, _IMAGES) is not None


def read(root: Path) -> Contents:
    """The set in ``root``.

    Raises BadInput for images without mask, masks without image, two files of one name, or a table that does not fit.
    """
    images_folder, masks_folder = _find(root, _IMAGES), _find(root, _MASKS)
    images = list_images(images_folder) if images_folder else {}
    if not images:
        raise BadInput("holds no image", images_folder, "Put .nii.gz, .mha, .nrrd, .png or .tif files into it")
    masks = _masks(masks_folder, set(images)) if masks_folder else {}
    channels = channels_of(next(iter(images.values())), "image")
    cases = [
        Case(id=stem, patient=stem, images=images_of(path, channels), label=masks.get(stem))
        for stem, path in images.items()
    ]
    if masks_folder is not None:
        require_labels(cases, masks_folder)
    cases, notes = _describe(cases, _tables(root))
    return join_points(Contents(root.resolve().name, tuple(cases), channels, notes=tuple(notes)), root)


def _find(root: Path, names: Iterable[str]) -> Path | None:
    if not root.is_dir():
        return None
    folders = {p.name.lower(): p for p in root.iterdir() if p.is_dir()}
    return next((folders[name] for name in names if name in folders), None)


def _masks(folder: Path, images: set[str]) -> dict[str, str]:
    masks: dict[str, str] = {}
    for stem, path in list_images(folder).items():
        plain = next((stem.removesuffix(s) for s in _MASK_SUFFIXES if stem.endswith(s)), stem)
        name = stem if stem in images else plain
        if name in masks:
            raise BadInput(f"two masks for {name}: {Path(masks[name]).name} and {Path(path).name}", folder, "Keep one")
        masks[name] = path
    refuse_unused_labels(set(masks) - images, folder)
    return masks


def _tables(root: Path) -> list[tuple[Path, str, list[Row]]]:
    """Tables of the folder that have a column of files or cases, with the name of that column."""
    found = []
    for path in sorted(p for p in root.iterdir() if p.suffix.lower() in TABLE_ENDINGS and p.is_file()):
        rows = read_table(path)
        key = next((k for k in _KEYS if k in rows[0]), None)
        if key is not None:
            found.append((path, key, rows))
    return found


def _describe(cases: list[Case], tables: list[tuple[Path, str, list[Row]]]) -> tuple[list[Case], list[str]]:
    notes = []
    for path, key, rows in tables:
        by_case: dict[str, Row] = {}
        for row in rows:
            name = split_ending(Path(str(row.get(key, ""))).name)[0]
            if name in by_case:
                raise BadInput(f"two rows for {name}", path, "Keep one row per image")
            by_case[name] = row
        missing = [case.id for case in cases if case.id not in by_case]
        unused = sorted(set(by_case) - {case.id for case in cases})
        notes += [f"{path.name} has no row for {name_some(missing)}"] if missing else []
        notes += [f"{path.name} names no image: {name_some(unused)}"] if unused else []
        cases = [describe(c, by_case[c.id], path, (key,)) if c.id in by_case else replace(c) for c in cases]
    return cases, notes
