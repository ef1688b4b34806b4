"""Medical Segmentation Decathlon: ``dataset.json`` that lists its files, with MONAI's ``fold`` and ``validation``.

Knows ``training``, ``validation``, ``test``, ``modality`` and ``labels`` {"0": name}. A file may hold several
modalities (4D), or ``image`` may be a list of one file per modality (MONAI). nnU-Net 1 lists ``case.nii.gz`` where the files are
``case_0000.nii.gz``, ``case_0001.nii.gz``. Voxels are not opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from voxloom.dataset.case import Case, Split
from voxloom.dataset.columns import Roles, find_roles, meanings_of
from voxloom.dataset.layouts.contents import (
    Contents,
    check_files,
    file_in,
    join_participants,
    kind_of,
    read_json,
    split_ending,
    unique_names,
    unlabeled_notes,
)
from voxloom.dataset.layouts.declared import declared_labels, modality_names, unread_keys
from voxloom.dataset.listing import images_by_stem
from voxloom.dataset.names import composed
from voxloom.dataset.sources import FileChannel, ImageSource
from voxloom.dataset.tables import columns_of, describe, name_some
from voxloom.errors import BadInput

NAME = "MSD"
LOOKS_LIKE = "dataset.json with a list `training` (Medical Segmentation Decathlon)"
#: Keys of an entry that are files of the case.
_OWN = ("image", "label")
_SECTIONS: tuple[tuple[str, Split], ...] = (("training", "train"), ("validation", "val"), ("test", "test"))


def matches(root: Path) -> bool:
    """Whether the folder's dataset.json lists its training files."""
    path = root / "dataset.json"
    return path.is_file() and "channel_names" not in (about := read_json(path)) and "training" in about


def read(root: Path) -> Contents:
    """The set of ``root/dataset.json`` (BadInput for missing files, cases listed twice, training without labels)."""
    where = root / "dataset.json"
    about = read_json(where)
    modality = about.get("modality", {"0": "image"})
    names = modality_names(modality, where)
    channels = unique_names(names)
    rows = [{k: v for k, v in entry.items() if k not in _OWN} for entry in _entries(about)]
    roles = find_roles(rows, where)
    cases = list(_cases(root, about, channels, roles))
    check_files(cases, where)
    labels = declared_labels(about.get("labels"), where)
    kinds = tuple(kind_of(name) for name in names)
    columns = meanings_of(columns_of(rows), {**_not_used(rows), **roles.meanings})
    told = (f"`{key}` of the cases is {why}" for key, why in _not_used(rows).items())
    notes = (*unlabeled_notes(cases), *_unlisted_notes(cases), *roles.notes, *told, *unread_keys(about))
    contents = Contents(str(about.get("name") or root.resolve().name), tuple(cases), channels, labels, kinds, notes)
    joined = join_participants(contents, root)
    return replace(joined, columns=(*columns, *joined.columns))


def _entries(about: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The entries of all sections that are objects."""
    for section, _ in _SECTIONS:
        entries = about.get(section)
        yield from (e for e in (entries if isinstance(entries, list) else ()) if isinstance(e, dict))


def _not_used(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Keys of entries that hold files or structures, and why they are not used."""
    told: dict[str, str] = {}
    for key in columns_of(rows):
        values = [row[key] for row in rows if row.get(key) is not None]
        if any(isinstance(v, (dict, list)) for v in values):
            told[key] = "not read: lists and objects say nothing to Voxloom"
        elif any(isinstance(v, str) and split_ending(v)[1] for v in values):
            told[key] = "not used: holds image files; an input stands in `image`, the label map in `label`"
    return told


def _unlisted_notes(cases: list[Case]) -> Iterator[str]:
    """A note on images that lie beside the listed ones, but that dataset.json does not list."""
    listed = {path for case in cases for path in map(_path_of, case.images.values())}
    for folder in sorted({path.parent for path in listed}):
        found, _ = images_by_stem(folder, split_ending(next(p.name for p in listed if p.parent == folder))[1])
        if unlisted := sorted({Path(path) for path in found.values()} - listed - _labels_of(cases)):
            yield f"{folder.name}: not in dataset.json, and not taken: {name_some(path.name for path in unlisted)}"


def _path_of(source: ImageSource) -> Path:
    return Path(source.path if isinstance(source, FileChannel) else str(source))


def _labels_of(cases: list[Case]) -> set[Path]:
    """Label files, which may lie in the folder of the images."""
    return {Path(str(case.label)) for case in cases if case.label is not None}


def _cases(root: Path, about: dict[str, Any], channels: tuple[str, ...], roles: Roles) -> Iterator[Case]:
    seen: set[str] = set()
    for section, split in _SECTIONS:
        entries = about.get(section) or []
        if not isinstance(entries, list):
            raise BadInput(f"`{section}` is not a list", root / "dataset.json", "Write a list of {image, label}")
        for entry in entries:
            case = _case(root, entry if isinstance(entry, dict) else {"image": entry}, split, channels, roles)
            if case.id in seen:
                raise BadInput(f"case {case.id} is listed twice", root / "dataset.json", "Keep one entry per case")
            seen.add(case.id)
            yield case


def _case(root: Path, entry: dict[str, Any], split: Split, channels: tuple[str, ...], roles: Roles) -> Case:
    files = entry.get("image")
    files = [files] if isinstance(files, str) else files
    if not isinstance(files, list) or not files or not all(isinstance(f, str) for f in files):
        raise BadInput(f"an entry has no image: {entry!r}", root / "dataset.json", "Write {image, label}")
    paths = [file_in(root, f, root / "dataset.json") for f in files]
    name, label = composed(split_ending(Path(paths[0]).name)[0]), entry.get("label")
    if len(paths) == 1:
        paths = _numbered(paths[0], len(channels)) or paths
    images: dict[str, ImageSource]
    if len(paths) == len(channels):
        images = dict(zip(channels, paths, strict=True))
        same = isinstance(label, str) and composed(split_ending(Path(label).name)[0]) == name
        name = name if same else name.removesuffix("_0000")
    elif len(paths) == 1:
        images = {channel: FileChannel(paths[0], n) for n, channel in enumerate(channels)}
    else:
        raise BadInput(
            f"case {name} has {len(paths)} files for {len(channels)} modalities",
            root / "dataset.json",
            "List one per modality",
        )
    where, label = root / "dataset.json", entry.get("label")
    label = label[0] if isinstance(label, list) and len(label) == 1 else label
    if label is not None and not isinstance(label, str):
        raise BadInput(f"the label of case {name} is {label!r}, not one file", where, "Name one label map")
    known = {k: v for k, v in entry.items() if k not in _OWN and isinstance(v, (str, int, float))}
    case = describe(Case(id=name, patient=name, images=images, split=split), known, where, roles)
    return replace(case, label=file_in(root, label, where)) if label else case


def _numbered(path: str, count: int) -> list[str]:
    """The files ``CASE_0000`` ... that nnU-Net 1 means by CASE, where CASE itself is not there and they all are; else none."""
    stem, ending = split_ending(path)
    numbered = [f"{stem}_{n:04d}{ending}" for n in range(count)]
    return numbered if ending and not os.path.exists(path) and all(map(os.path.exists, numbered)) else []
