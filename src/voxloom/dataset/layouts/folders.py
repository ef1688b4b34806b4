"""A folder pair: images/ with masks/ (labels/, segs/ ...), volumes or pictures, matched by file name.

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
    refuse_unused_labels,
    split_ending,
    unlabeled_notes,
)
from voxloom.dataset.listing import images_by_stem, list_folder
from voxloom.dataset.names import is_clutter
from voxloom.dataset.tables import TABLE_ENDINGS, Row, describe, name_some, read_table
from voxloom.errors import BadInput

NAME = "folder pair"
LOOKS_LIKE = "folders images/ and masks/, labels/ or segs/ with files of the same names"
_IMAGES = ("images", "image", "imgs", "img", "scans", "volumes")
_MASKS = (
    *("masks", "labels", "mask", "label", "segmentations", "segmentation", "segs", "seg", "annotations", "annotation"),
    *("lbls", "lbl", "truth", "truths", "groundtruth", "ground_truth", "gt", "gts", "annots", "annot"),
)
_MASK_SUFFIXES = ("_mask", "_seg", "_label", "_segmentation", "-mask", "-seg", "-label")
_KEYS = ("file", "filename", "case", "image", "id")


def matches(root: Path) -> bool:
    """Whether there is a folder of images."""
    return bool(_find(root, _IMAGES))


def read(root: Path) -> Contents:
    """The set in ``root``.

    Raises BadInput for masks without image, two files of one name, two folders of one kind, or a table that does not fit.
    """
    images_folder, masks_folder = _only(root, _IMAGES, "images"), _only(root, _MASKS, "masks")
    images, notes = images_by_stem(images_folder) if images_folder else ({}, [])
    if not images:
        raise BadInput("holds no image", images_folder, "Put .nii.gz, .mha, .nrrd, .png, .jpg or .tif files into it")
    masks, more = _masks(masks_folder, set(images)) if masks_folder else ({}, [])
    notes += [*more, *_other_folders(root, images_folder, masks_folder)]
    channels = channels_of(next(iter(images.values())), "image")
    cases = [
        Case(id=stem, patient=stem, images=images_of(path, channels), label=masks.get(stem))
        for stem, path in images.items()
    ]
    cases, told = _describe(cases, _tables(root))
    contents = join_points(Contents(root.resolve().name, tuple(cases), channels), root)
    return replace(contents, notes=(*notes, *unlabeled_notes(contents.cases), *told))


def _find(root: Path, names: Iterable[str]) -> list[Path]:
    """The folders that have one of the names, in any case of letters."""
    if not root.is_dir():
        return []
    return sorted(p for p in root.iterdir() if p.name.lower() in names and p.is_dir())


def _only(root: Path, names: Iterable[str], kind: str) -> Path | None:
    found = [p for p in _find(root, names) if any(not is_clutter(child.name) for child in p.iterdir())]
    if len(found) > 1:
        listed = " and ".join(f"{p.name}/" for p in found)
        raise BadInput(f"{listed} could both hold the {kind}", root, "Keep one of them here, or give a table of cases")
    return next(iter(found or _find(root, names)), None)


def _other_folders(root: Path, *used: Path | None) -> list[str]:
    """A note on further folders of images, which are not read."""
    listing = list_folder(root)
    names = [name for name in (*listing.closed, *listing.series) if root / name not in used and name != "points"]
    return [f"folders beside that were not read: {name_some(names)}"] if names else []


def _masks(folder: Path, images: set[str]) -> tuple[dict[str, str], list[str]]:
    masks: dict[str, str] = {}
    found, notes = images_by_stem(folder)
    for stem, path in found.items():
        plain = next((stem.removesuffix(s) for s in _MASK_SUFFIXES if stem.endswith(s)), stem)
        name = stem if stem in images else plain
        if name in masks:
            raise BadInput(f"two masks for {name}: {Path(masks[name]).name} and {Path(path).name}", folder, "Keep one")
        masks[name] = path
    refuse_unused_labels(set(masks) - images, folder)
    return masks, notes


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
