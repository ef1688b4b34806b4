"""Medical Segmentation Decathlon: ``dataset.json`` that lists its files, with MONAI's ``fold`` and ``validation``.

Knows ``training``, ``validation``, ``test``, ``modality`` and ``labels`` {"0": name}. A file may hold several
modalities (4D), or ``image`` may be a list of one file per modality (MONAI). Voxels are not opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from voxloom.dataset.case import Case, Split
from voxloom.dataset.columns import Roles, find_roles, meanings_of
from voxloom.dataset.labels import Label, Labels
from voxloom.dataset.layouts.contents import (
    Contents,
    check_files,
    file_in,
    join_participants,
    kind_of,
    read_json,
    require_labels,
    split_ending,
    unique_names,
)
from voxloom.dataset.sources import FileChannel, ImageSource
from voxloom.dataset.tables import columns_of, describe
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
    channels = _channels(modality, where)
    rows = [{k: v for k, v in entry.items() if k not in _OWN} for entry in _entries(about)]
    roles = find_roles(rows, where)
    cases = list(_cases(root, about, channels, roles))
    check_files(cases, where)
    labels = _labels(about.get("labels"), where)
    if labels is not None:
        require_labels(cases, where)
    kinds = tuple(kind_of(name) for name in _names(modality))
    columns = meanings_of(columns_of(rows), {**_not_used(rows), **roles.meanings})
    notes = (*roles.notes, *(f"`{key}` of the cases is {why}" for key, why in _not_used(rows).items()))
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


def _names(modality: Any) -> list[str]:
    if isinstance(modality, dict) and modality:
        return [str(modality[key]) for key in sorted(modality, key=lambda k: (len(str(k)), str(k)))]
    return [str(modality)] if isinstance(modality, str) else ["image"]


def _channels(modality: Any, where: Path) -> tuple[str, ...]:
    if not isinstance(modality, (dict, str)):
        raise BadInput(f"`modality` is {modality!r}", where, 'Write {"0": "MRI"}')
    return unique_names(_names(modality))


def _labels(declared: Any, where: Path) -> Labels | None:
    """Labels of {"0": "background", "1": name} or of nnU-Net's {name: value}; None when there is only background."""
    if not declared:
        return None
    if not isinstance(declared, dict):
        raise BadInput(f"`labels` is {declared!r}", where, 'Write {"0": "background", "1": "name"}')
    if not all(str(key).isdecimal() for key in declared):
        return Labels.from_nnunet(declared)
    named = {int(key): str(name) for key, name in declared.items()}
    foreground = tuple(Label(name, (v,)) for v, name in named.items() if v != 0 and name.lower() != "ignore")
    ignore = next((v for v, name in named.items() if name.lower() == "ignore"), None)
    return Labels(foreground, ignore=ignore) if foreground else None


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
    name = split_ending(Path(paths[0]).name)[0]
    images: dict[str, ImageSource]
    if len(paths) == len(channels):
        images = dict(zip(channels, paths, strict=True))
        name = name.removesuffix("_0000")
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
