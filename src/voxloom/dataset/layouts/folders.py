"""A folder pair: images/ with masks/ (labels/, segs/ ...), volumes or pictures, matched by file name.

Knows the usual folder names, the endings ``_mask``, ``_seg`` and ``_label`` of mask names, and a table (``*.csv``) with
a column of file names beside the folders that gives patient, group, split, target and attributes. Color pictures become
the channels red, green and blue. A folder or table that is not used is told. Does not open voxels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from voxloom.dataset.case import Case
from voxloom.dataset.columns import FILE, Meanings, called, find_roles, meanings_of, plain
from voxloom.dataset.layouts.contents import (
    Contents,
    channels_of,
    images_of,
    join_points,
    refuse_unused_labels,
    split_ending,
    unlabeled_notes,
)
from voxloom.dataset.listing import images_by_stem, labels_by_stem, list_folder
from voxloom.dataset.names import is_clutter
from voxloom.dataset.tables import TABLE_ENDINGS, Row, Rows, columns_of, describe, name_some, read_table
from voxloom.errors import BadInput

NAME = "folder pair"
LOOKS_LIKE = "folders images/ and masks/, labels/ or segs/ with files of the same names"
_IMAGES = ("images", "image", "imgs", "img", "scans", "volumes")
_MASKS = (
    *("masks", "labels", "mask", "label", "segmentations", "segmentation", "segs", "seg", "annotations", "annotation"),
    *(
        "groundtruth",
        "gt",
        "gts",
        "truth",
        "truths",
        "labelmaps",
        "msk",
        "msks",
        "lbl",
        "lbls",
        "rois",
        "contours",
        "annots",
        "annot",
    ),
)
_MASK_SUFFIXES = tuple(f"{s}{w}" for w in ("mask", "seg", "label", "segmentation", "labels", "gt") for s in "_-")
_KEYS = (*FILE, "case", "caseid", "casename", "image", "imageid", "imagename", "imagefile", "id", "scanid", "path")


def matches(root: Path) -> bool:
    """Whether there is a folder of images."""
    return bool(_find(root, _IMAGES))


def read(root: Path) -> Contents:
    """The set in ``root``.

    Raises BadInput for masks without image, two files of one name, two folders of one kind, or a table that does not fit.
    """
    images_folder, masks_folder = _one(root, _IMAGES, "images"), _one(root, _MASKS, "masks")
    images, notes = images_by_stem(images_folder) if images_folder else ({}, [])
    if not images:
        raise BadInput("holds no image", images_folder, "Put .nii.gz, .mha, .nrrd, .png, .jpg or .tif files into it")
    _refuse_masks_among(images, images_folder)
    masks, more = _masks(masks_folder, set(images)) if masks_folder else ({}, [])
    notes += [*more, *_other_folders(root, images_folder, masks_folder)]
    channels = channels_of(next(iter(images.values())), "image")
    cases = [
        Case(id=stem, patient=stem, images=images_of(path, channels), label=masks.get(stem))
        for stem, path in images.items()
    ]
    tables, told = _tables(root)
    cases, more, columns = _describe(cases, tables)
    contents = join_points(Contents(root.resolve().name, tuple(cases), channels, columns=columns), root)
    return replace(contents, notes=(*notes, *unlabeled_notes(contents.cases), *told, *more))


def _find(root: Path, names: Iterable[str]) -> list[Path]:
    """The folders with one of these names, in any case and with any separators, in the order of the names."""
    folders = [p for p in sorted(root.iterdir()) if p.is_dir()] if root.is_dir() else []
    return [p for name in names for p in folders if plain(p.name) == name]


def _one(root: Path, names: Sequence[str], meant: str) -> Path | None:
    """The folder of this kind (BadInput when two could be meant and none has the usual name)."""
    found = [folder for folder in _find(root, names) if any(not is_clutter(p.name) for p in folder.iterdir())]
    if len(found) > 1 and found[0].name != meant:
        told = " and ".join(f"{p.name}/" for p in found)
        raise BadInput(f"the folders {told} could both hold the {meant}", root, f"Name the right one {meant}")
    return found[0] if found else next(iter(_find(root, names)), None)


def _refuse_masks_among(images: Mapping[str, str], folder: Path | None) -> None:
    """Refuse a mask that lies among the images beside its scan, where it would be a case of its own."""
    for stem in images:
        scan = next((stem.removesuffix(s) for s in _MASK_SUFFIXES if stem.endswith(s)), "")
        if scan in images:
            what = f"{Path(images[stem]).name} is named like the mask of {Path(images[scan]).name}"
            raise BadInput(what, folder, "Move the masks into a folder masks/ beside it")


def _other_folders(root: Path, *used: Path | None) -> list[str]:
    """A note on further folders of images, which are not read."""
    listing = list_folder(root)
    names = [name for name in (*listing.closed, *listing.series) if root / name not in used and name != "points"]
    return [f"folders beside that were not read: {name_some(names)}"] if names else []


def _masks(folder: Path, images: set[str]) -> tuple[dict[str, str], list[str]]:
    masks: dict[str, str] = {}
    found, notes = labels_by_stem(folder)
    for stem, path in found.items():
        plain = next((stem.removesuffix(s) for s in _MASK_SUFFIXES if stem.endswith(s)), stem)
        name = stem if stem in images else plain
        if name in masks:
            raise BadInput(f"two masks for {name}: {Path(masks[name]).name} and {Path(path).name}", folder, "Keep one")
        masks[name] = path
    refuse_unused_labels(set(masks) - images, folder)
    return masks, notes


def _tables(root: Path) -> tuple[list[tuple[Path, str, Rows]], list[str]]:
    """Tables of the folder with the name of their column of files or cases, and notes on the tables without one."""
    found, notes = [], []
    for path in sorted(p for p in root.iterdir() if p.suffix.lower() in TABLE_ENDINGS and p.is_file()):
        if path.name == "points.csv":
            continue  # read by join_points
        rows = read_table(path)
        key = next(iter(called(columns_of(rows), _KEYS)), None)
        if key is not None:
            found.append((path, key, rows))
        else:
            notes.append(f"{path.name} is not read: it has no column `file` or `case`")
    return found, notes


def _describe(cases: list[Case], tables: list[tuple[Path, str, Rows]]) -> tuple[list[Case], list[str], Meanings]:
    notes: list[str] = []
    told: list[tuple[str, str]] = []
    for path, key, rows in tables:
        by_case: dict[str, Row] = {}
        for row in rows:
            name = split_ending(Path(str(row.get(key, "")).replace("\\", "/")).name)[0]
            if name in by_case:
                raise BadInput(f"two rows for {name}", path, "Keep one row per image")
            by_case[name] = row
        missing = [case.id for case in cases if case.id not in by_case]
        unused = sorted(set(by_case) - {case.id for case in cases})
        notes += [f"{path.name} has no row for {name_some(missing)}"] if missing else []
        notes += [f"{path.name} names no image: {name_some(unused)}"] if unused else []
        roles = find_roles(rows, path, (key,))
        notes += roles.notes
        told += meanings_of(columns_of(rows), {**roles.meanings, key: "file of the case"})
        cases = [describe(c, by_case[c.id], path, roles, (key,)) if c.id in by_case else c for c in cases]
    return cases, notes, tuple(told)
