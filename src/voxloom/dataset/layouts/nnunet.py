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
from pathlib import Path
from typing import Any

from voxloom.dataset.case import Case, Split
from voxloom.dataset.labels import Labels
from voxloom.dataset.layouts.contents import (
    PICTURE_ENDINGS,
    RGB,
    Contents,
    file_in,
    images_of,
    join_participants,
    join_points,
    kind_of,
    list_images,
    read_json,
    refuse_absent_channels,
    refuse_unused_labels,
    require_labels,
    split_ending,
    unique_names,
)
from voxloom.dataset.sources import ImageSource
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput

NAME = "nnU-Net"
LOOKS_LIKE = "dataset.json with `channel_names`, or imagesTr/ with labelsTr/ (nnU-Net v2 raw)"
_SUFFIX = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")


def matches(root: Path) -> bool:
    """Whether the folder is an nnU-Net raw set, with or without its dataset.json."""
    path = root / "dataset.json"
    if path.is_file():
        return "channel_names" in read_json(path)
    return (root / "imagesTr").is_dir()


def read(root: Path) -> Contents:
    """The set in ``root`` (BadInput for a missing channel file, images without label, labels without image)."""
    where = root / "dataset.json"
    about = read_json(where) if where.is_file() else {}
    labels = _labels(about, where)
    ending = about.get("file_ending")
    if not isinstance(ending, str | None):
        raise BadInput(f"`file_ending` is {ending!r}", where, 'Write ".nii.gz"')
    files = _mapped(root, about["dataset"], where) if about.get("dataset") else _listed(root, ending)
    names = _channel_names(about, where) if about else _names_from_suffixes(files)
    channels = unique_names(names)
    cases = tuple(_case(root, name, found, label, split, channels) for name, found, label, split in files)
    notes = (
        () if about else ("no dataset.json: channels from the file names, labels from the values in the label files",)
    )
    refuse_absent_channels(cases, channels, root)
    contents = Contents(
        _name(root, about),
        cases,
        channels,
        labels,
        tuple(kind_of(name) for name in names),
        (*notes, *_count_note(about, cases)),
    )
    contents = join_points(contents, root)
    if about or any(case.label is not None for case in cases):
        require_labels(contents.cases, root)
    return join_participants(contents, root)


#: case, path by channel number (-1: a file without suffix), label, split
_Files = list[tuple[str, dict[int, str], str | None, Split]]


def _listed(root: Path, ending: str | None) -> _Files:
    files: _Files = []
    for images, masks, split in (("imagesTr", "labelsTr", "train"), ("imagesTs", "labelsTs", "test")):
        labels = list_images(root / masks)
        found: dict[str, dict[int, str]] = defaultdict(dict)
        for stem, path in list_images(root / images, ending).items():
            case, channel = _split_suffix(stem, labels)
            found[case][channel] = path
        refuse_unused_labels(set(labels) - set(found), root / masks)
        files += [(case, found[case], labels.get(case), split) for case in sorted(found)]  # type: ignore[misc]
    counts = Counter(case for case, *_ in files)
    if twice := sorted(case for case, n in counts.items() if n > 1):
        raise BadInput(f"in imagesTr and imagesTs at once: {name_some(twice)}", root, "Remove one of the two")
    return files


def _split_suffix(stem: str, labels: dict[str, str]) -> tuple[str, int]:
    match = _SUFFIX.match(stem)
    if match and stem not in labels:
        return match["case"], int(match["channel"])
    return stem, -1


def _mapped(root: Path, mapping: Any, where: Path) -> _Files:
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
    return files + [entry for entry in _listed_tests(root) if entry[0] not in mapping]


def _listed_tests(root: Path) -> Iterator[tuple[str, dict[int, str], str | None, Split]]:
    if (root / "imagesTs").is_dir():
        yield from (entry for entry in _listed(root, None) if entry[3] == "test")


def _channel_names(about: dict[str, Any], where: Path) -> list[str]:
    names = about["channel_names"]
    if isinstance(names, list):
        names = {str(n): name for n, name in enumerate(names)}
    if not isinstance(names, dict) or set(names) != {str(n) for n in range(len(names))} or not names:
        raise BadInput(f"`channel_names` is {names!r}", where, 'Number the channels from 0: {"0": "T1", "1": "FLAIR"}')
    return [str(names[str(n)]) for n in range(len(names))]


def _names_from_suffixes(files: _Files) -> list[str]:
    numbers = {number for _, found, _, _ in files for number in found if number >= 0}
    return [f"channel_{n}" for n in range(max(numbers) + 1)] if numbers and numbers != {0} else ["image"]


def _labels(about: dict[str, Any], where: Path) -> Labels | None:
    declared = about.get("labels")
    if not declared:
        return None
    if not isinstance(declared, dict):
        raise BadInput(f"`labels` is {declared!r}", where, 'Write {"background": 0, "name": 1}')
    try:
        return Labels.from_nnunet(declared, about.get("regions_class_order"))
    except BadInput as e:
        raise BadInput(e.what, where, e.fix) from e


def _case(
    root: Path, name: str, found: dict[int, str], label: str | None, split: Split, channels: tuple[str, ...]
) -> Case:
    if set(found) == {-1} and len(channels) == 1:
        found = {0: found[-1]}
    if set(found) == {0} and len(channels) == len(RGB) and split_ending(found[0])[1].lower() in PICTURE_ENDINGS:
        return Case(id=name, patient=name, images=images_of(found[0], channels), label=label, split=split)
    images: dict[str, ImageSource] = {}
    for number, channel in enumerate(channels):
        if number in found:
            images[channel] = found[number]
    if extra := sorted(set(found) - set(range(len(channels)))):
        raise BadInput(
            f"case {name} has {Path(found[extra[0]]).name}, but {len(channels)} channels are declared",
            root,
            "Declare the channel in dataset.json or remove the file",
        )
    if not images:
        raise BadInput(f"case {name} has no file of a declared channel", root, f"Name it {name}_0000 and so on")
    missing = tuple(n for n in range(len(channels)) if n not in found)
    return Case(id=name, patient=name, images=images, label=label, split=split, missing=missing)


def _name(root: Path, about: dict[str, Any]) -> str:
    folder = root.resolve().name
    return str(about.get("name") or re.sub(r"^Dataset\d{3}_", "", folder))


def _count_note(about: dict[str, Any], cases: tuple[Case, ...]) -> tuple[str, ...]:
    training = sum(case.split == "train" for case in cases)
    declared = about.get("numTraining", training)
    return () if declared == training else (f"dataset.json declares {declared} training cases, {training} are here",)
