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
from voxloom.errors import BadInput

NAME = "MSD"
LOOKS_LIKE = "dataset.json with a list `training` (Medical Segmentation Decathlon)"
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
    cases = list(_cases(root, about, channels))
    check_files(cases, where)
    labels = _labels(about.get("labels"), where)
    if labels is not None:
        require_labels(cases, where)
    kinds = tuple(kind_of(name) for name in _names(modality))
    contents = Contents(str(about.get("name") or root.resolve().name), tuple(cases), channels, labels, kinds)
    return join_participants(contents, root)


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


def _cases(root: Path, about: dict[str, Any], channels: tuple[str, ...]) -> Iterator[Case]:
    seen: set[str] = set()
    for section, split in _SECTIONS:
        entries = about.get(section) or []
        if not isinstance(entries, list):
            raise BadInput(f"`{section}` is not a list", root / "dataset.json", "Write a list of {image, label}")
        for entry in entries:
            case = _case(root, entry if isinstance(entry, dict) else {"image": entry}, split, channels)
            if case.id in seen:
                raise BadInput(f"case {case.id} is listed twice", root / "dataset.json", "Keep one entry per case")
            seen.add(case.id)
            yield case


def _case(root: Path, entry: dict[str, Any], split: Split, channels: tuple[str, ...]) -> Case:
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
    label = entry.get("label")
    known = {"image", "label", "patient", "group"}
    attributes = {k: v for k, v in entry.items() if k not in known and isinstance(v, (str, int, float))}
    case = Case(id=name, patient=str(entry.get("patient", name)), images=images, attributes=attributes, split=split)
    case = replace(case, group=str(entry["group"])) if "group" in entry else case
    return (
        replace(case, label=file_in(root, label, root / "dataset.json")) if isinstance(label, str) and label else case
    )
