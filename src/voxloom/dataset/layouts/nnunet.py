"""nnU-Net v2 raw: imagesTr, labelsTr, imagesTs, labelsTs, ``{case}_{channel:04d}{ending}`` and dataset.json.

Knows the file names, ``channel_names``, ``labels`` (regions, ignore), ``regions_class_order``, ``file_ending`` and the
optional mapping ``dataset``. Without dataset.json the channels come from the suffixes and the labels from the files.
A case may also be a folder of DICOM slices, ``imagesTr/{case}/``.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from voxloom.dataset.case import Case, Split
from voxloom.dataset.layouts.contents import (
    RGB,
    Contents,
    file_in,
    images_of,
    join_participants,
    join_points,
    kind_of,
    read_json,
    refuse_absent_channels,
    refuse_unused_labels,
    unique_names,
    unlabeled_notes,
)
from voxloom.dataset.layouts.declared import declared_labels, modality_names, unread_keys
from voxloom.dataset.listing import images_by_stem, is_picture, labels_by_stem
from voxloom.dataset.names import NO_NUMBER, number_channels
from voxloom.dataset.sources import ImageSource
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput

NAME = "nnU-Net"
LOOKS_LIKE = "dataset.json with `channel_names`, or imagesTr/ or imagesTs/ with labelsTr/ or labelsTs/ (nnU-Net v2 raw)"
#: Folders of images, of their labels, and what they are for; Va and Val are those of AMOS and of others.
_FOLDERS: tuple[tuple[str, str, Split], ...] = (
    ("imagesTr", "labelsTr", "train"),
    ("imagesVa", "labelsVa", "val"),
    ("imagesVal", "labelsVal", "val"),
    ("imagesTs", "labelsTs", "test"),
)


def matches(root: Path) -> bool:
    """Whether the folder is an nnU-Net raw set, with or without its dataset.json, or one that lists no file in it."""
    path = root / "dataset.json"
    about = read_json(path) if path.is_file() else {}
    if "channel_names" in about:
        return True
    return not about.get("training") and any((root / images).is_dir() for images, _, _ in _FOLDERS)


def read(root: Path) -> Contents:
    """The set in ``root`` (BadInput for a missing channel file, labels without image, files that cannot be told apart)."""
    where = root / "dataset.json"
    about = read_json(where) if where.is_file() else {}
    labels = declared_labels(about.get("labels"), where, about.get("regions_class_order"))
    ending = about.get("file_ending")
    if not isinstance(ending, str | None):
        raise BadInput(f"`file_ending` is {ending!r}", where, 'Write ".nii.gz"')
    names = _declared_channels(about, where)
    count = None if names is None else len(names)
    mapped = about.get("dataset")
    files, notes = _mapped(root, mapped, where, count) if mapped else _listed(root, ending, count)
    found_names = names or _names_from_suffixes(files)
    channels = unique_names(found_names)
    cases = tuple(_case(root, name, found, label, split, channels) for name, found, label, split in files)
    refuse_absent_channels(cases, channels, root)
    kinds = tuple(kind_of(name) for name in found_names)
    told = (*_undeclared_notes(about, names), *notes, *_count_note(about, cases), *unread_keys(about))
    contents = join_points(Contents(_name(root, about), cases, channels, labels, kinds, told), root)
    contents = replace(contents, notes=(*told, *unlabeled_notes(contents.cases)))
    return join_participants(contents, root)


#: case, path by channel number (``NO_NUMBER``: a file without), label, split
_Files = list[tuple[str, dict[int, str], str | None, Split]]


def _listed(root: Path, ending: str | None, channels: int | None) -> tuple[_Files, list[str]]:
    """The cases in the folders, and notes on what was not taken."""
    images, labels, notes = {}, {}, []
    for folder, masks, _ in _FOLDERS:
        images[folder], told = images_by_stem(root / folder, ending)
        labels[masks], also = labels_by_stem(root / masks)
        notes += [*told, *also]
    stems = [stem for found in images.values() for stem in found]
    numbers = number_channels(stems, channels, {name for found in labels.values() for name in found})
    files: _Files = []
    for folder, masks, split in _FOLDERS:
        cases: dict[str, dict[int, str]] = defaultdict(dict)
        for stem, path in images[folder].items():
            case, number = numbers[stem]
            cases[case][number] = path
        refuse_unused_labels(set(labels[masks]) - set(cases), root / masks)
        files += [(case, cases[case], labels[masks].get(case), split) for case in sorted(cases)]
    _refuse_twice(files, root)
    return files, notes


def _refuse_twice(files: _Files, root: Path) -> None:
    """Refuse a case that lies in two folders, and one whose files lie with and without a number (BadInput)."""
    counts = Counter(case for case, *_ in files)
    if twice := sorted(case for case, n in counts.items() if n > 1):
        folders = " and ".join(f for f, _, _ in _FOLDERS if (root / f).is_dir())
        raise BadInput(f"in {folders} at once: {name_some(twice)}", root, "Keep each case in one of them")
    for case, found, _, _ in files:
        if NO_NUMBER in found and len(found) > 1:
            listed = " and ".join(sorted(Path(path).name for path in found.values()))
            raise BadInput(f"case {case} has files with and without a channel number: {listed}", root, "Keep one kind")


def _mapped(root: Path, mapping: Any, where: Path, channels: int | None) -> tuple[_Files, list[str]]:
    if not isinstance(mapping, dict):
        raise BadInput(f"`dataset` is {mapping!r}", where, "Write {case: {images, label}}")
    files: _Files = []
    for case, entry in mapping.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("images"), list) or not entry["images"]:
            raise BadInput(f"`dataset` of case {case} is not {{images, label}}", where, "Correct the entry")
        paths = {n: file_in(root, image, where) for n, image in enumerate(entry["images"])}
        label = file_in(root, entry["label"], where) if entry.get("label") else None
        for path in [*paths.values(), *([label] if label else [])]:
            if not os.path.exists(path):
                raise BadInput(f"file of case {case} is missing: {path}", where, "Copy the file or remove the entry")
        files.append((str(case), paths, label, "train"))
    if not (root / "imagesTs").is_dir():
        return files, []
    tests, notes = _listed(root, None, channels)
    return files + [entry for entry in tests if entry[3] == "test" and entry[0] not in mapping], notes


def _declared_channels(about: dict[str, Any], where: Path) -> list[str] | None:
    """The names in ``channel_names``, or in the ``modality`` of version 1 and the Decathlon; None where there is neither."""
    if "channel_names" not in about:
        return modality_names(about["modality"], where) if "modality" in about else None
    names = about["channel_names"]
    if isinstance(names, list):
        names = {str(n): name for n, name in enumerate(names)}
    if not isinstance(names, dict) or set(names) != {str(n) for n in range(len(names))} or not names:
        raise BadInput(f"`channel_names` is {names!r}", where, 'Number the channels from 0: {"0": "T1", "1": "FLAIR"}')
    return [str(names[str(n)]) for n in range(len(names))]


def _names_from_suffixes(files: _Files) -> list[str]:
    numbers = {number for _, found, _, _ in files for number in found if number >= 0}
    return [f"channel_{n}" for n in range(max(numbers) + 1)] if numbers and numbers != {0} else ["image"]


def _case(
    root: Path, name: str, found: dict[int, str], label: str | None, split: Split, channels: tuple[str, ...]
) -> Case:
    single = found.get(NO_NUMBER, found.get(0)) if len(found) == 1 else None
    if single is not None and len(channels) == len(RGB) and is_picture(single):
        return Case(id=name, patient=name, images=images_of(single, channels), label=label, split=split)
    if NO_NUMBER in found and len(channels) == 1:
        found = {0: found[NO_NUMBER]}
    images: dict[str, ImageSource] = {}
    for number, channel in enumerate(channels):
        if number in found:
            images[channel] = found[number]
    if extra := sorted(set(found) - set(range(len(channels)))):
        raise BadInput(
            f"case {name} has {Path(found[extra[0]]).name}, but {_channels_told(len(channels))}",
            root,
            "Declare the channel in dataset.json, or correct the name of the file",
        )
    if not images:
        raise BadInput(f"case {name} has no file of a declared channel", root, f"Name it {name}_0000 and so on")
    missing = tuple(n for n in range(len(channels)) if n not in found)
    return Case(id=name, patient=name, images=images, label=label, split=split, missing=missing)


def _channels_told(count: int) -> str:
    return "one channel is declared: 0" if count == 1 else f"{count} channels are declared: 0 to {count - 1}"


def _undeclared_notes(about: dict[str, Any], names: list[str] | None) -> Iterator[str]:
    """What dataset.json does not say, and where it was taken from."""
    if not about:
        yield "no dataset.json: channels from the file names, labels from the values in the label files"
        return
    if "channel_names" not in about:
        source = "from `modality`" if names is not None else "from the file names"
        yield f"dataset.json lists no files and has no `channel_names`: files from the folders, channels {source}"


def _name(root: Path, about: dict[str, Any]) -> str:
    folder = root.resolve().name
    return str(about.get("name") or re.sub(r"^Dataset\d{3}_", "", folder))


def _count_note(about: dict[str, Any], cases: tuple[Case, ...]) -> tuple[str, ...]:
    training = sum(case.split == "train" for case in cases)
    declared = about.get("numTraining", training)
    return () if declared == training else (f"dataset.json declares {declared} training cases, {training} are here",)
