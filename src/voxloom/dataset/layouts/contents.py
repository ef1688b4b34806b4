"""What a layout finds in a folder, and what all layouts check. Shared by all layouts; knows none of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxloom import files
from voxloom.dataset.case import Case
from voxloom.dataset.columns import Meanings
from voxloom.dataset.labels import Labels
from voxloom.dataset.listing import is_picture, refuse_dead_link
from voxloom.dataset.names import split_ending
from voxloom.dataset.sources import FileChannel, ImageSource, source_header
from voxloom.dataset.tables import find_table, join, name_some
from voxloom.errors import BadInput
from voxloom.points import point_ending
from voxloom.points.table import cases_of

__all__ = [
    "RGB",
    "Contents",
    "channels_of",
    "check_files",
    "file_in",
    "images_of",
    "join_participants",
    "join_points",
    "kind_of",
    "read_json",
    "refuse_absent_channels",
    "refuse_unused_labels",
    "require_labels",
    "split_ending",
    "unique_names",
    "unlabeled_notes",
]

RGB = ("red", "green", "blue")
_KINDS = {"ct": "CT", "nonorm": "noNorm", "rescale_to_0_1": "rescale_to_0_1", "rgb_to_0_1": "rgb_to_0_1"}


@dataclass(frozen=True)
class Contents:
    """A data set as a layout describes it. ``labels`` None: not declared. ``notes``: what a reader should be told. ``columns``: what
    each column of its table was taken for."""

    name: str
    cases: tuple[Case, ...]
    channels: tuple[str, ...]
    labels: Labels | None = None
    channel_kinds: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    columns: Meanings = ()


def kind_of(channel: str) -> str:
    """nnU-Net's name of the normalization that a channel name asks for; ``zscore`` where it asks for none."""
    return "rgb_to_0_1" if channel in RGB else _KINDS.get(channel.lower(), "zscore")


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with the channel number added where one occurs twice."""
    seen = Counter(names)
    return tuple(f"{name}_{n:04d}" if seen[name] > 1 else name for n, name in enumerate(names))


def channels_of(path: str, name: str) -> tuple[str, ...]:
    """Channel names of single-file cases like ``path``: red, green, blue for a color picture, else ``name``.

    Opens the header of this one file, and only of pictures.
    """
    if is_picture(path) and source_header(path).channels == len(RGB):
        return RGB
    return (name,)


def images_of(path: str, channels: tuple[str, ...]) -> dict[str, ImageSource]:
    """The sources of the channels of one file, as ``channels_of`` named them."""
    if len(channels) == 1:
        return {channels[0]: path}
    return {channel: FileChannel(path, n) for n, channel in enumerate(channels)}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object (BadInput when the file is not one)."""
    content = files.read_json(path)
    if not isinstance(content, dict):
        raise BadInput("is not a JSON object", path, "Correct the file")
    return content


def file_in(root: Path, name: Any, where: Path) -> str:
    """The path of a file that a document names, relative to ``root`` (BadInput when it is not a name of a file)."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise BadInput(f"{name!r} is not the name of a file", where, "Write the path relative to the folder")
    return str(root / name)


def check_files(cases: Iterable[Case], where: Path) -> None:
    """Refuse files and DICOM folders that are named but not there (BadInput), with one listing per folder."""
    listed: dict[Path, set[str]] = {}
    for case in cases:
        points = [] if case.points is None else [str(case.points)]
        for source in (*case.images.values(), *([] if case.label is None else [case.label]), *points):
            if not isinstance(source, (str, FileChannel)):
                continue
            path = Path(source if isinstance(source, str) else source.path)
            if path.parent not in listed:
                listed[path.parent] = set(os.listdir(path.parent)) if path.parent.is_dir() else set()
            if path.is_symlink():
                refuse_dead_link(path)
            if path.name not in listed[path.parent]:
                raise BadInput(f"file of case {case.id} is missing: {path}", where, "Copy the file or remove the entry")


def require_labels(cases: Iterable[Case], where: Path) -> None:
    """Refuse training cases without a label (BadInput naming them); a set of points needs none."""
    cases = list(cases)
    if all(case.label is None for case in cases) and any(case.points is not None for case in cases):
        return
    if missing := [case.id for case in cases if case.label is None and case.split != "test"]:
        raise BadInput(
            f"no label for {name_some(missing)}",
            where,
            "Add the label files, remove the images, or move unlabeled images to imagesTs",
        )


def unlabeled_notes(cases: Iterable[Case]) -> tuple[str, ...]:
    """A note on training cases that have neither label map nor points, where others have them; such cases are not trained on."""
    cases = [case for case in cases if case.split != "test"]
    without = [case.id for case in cases if case.label is None and case.points is None]
    if not without or len(without) == len(cases):
        return ()
    return (f"no label for {name_some(without)}: read as unlabeled ({len(without)} of {len(cases)}), not trained on",)


def refuse_absent_channels(cases: Sequence[Case], channels: Sequence[str], where: Path) -> None:
    """Refuse a channel that no case has (BadInput); some cases may lack one (``Case.missing``)."""
    for number, channel in enumerate(channels):
        if cases and all(number in case.missing for case in cases):
            raise BadInput(
                f"no case has a file for channel {number} ({channel})",
                where,
                "Add the files, or declare fewer channels",
            )


def refuse_unused_labels(unused: Iterable[str], where: Path) -> None:
    """Refuse labels that belong to no image (BadInput naming them)."""
    if names := sorted(unused):
        raise BadInput(f"no image for the label of {name_some(names)}", where, "Add the image or remove the label")


def join_points(contents: Contents, root: Path) -> Contents:
    """The contents with the landmarks of ``points/<case>.csv`` (``.mrk.json``, ``.fcsv``, a label map) or ``points.csv``.

    Raises BadInput for two files of one case, or a file in ``points/`` that belongs to none.
    """
    files, table = _point_files(root / "points"), root / "points.csv"
    if unused := sorted(set(files) - {case.id for case in contents.cases}):
        raise BadInput(f"no image for the points of {name_some(unused)}", root / "points", "Add the image")
    if table.is_file():
        files = {**dict.fromkeys(cases_of(table), table), **files}
    cases = tuple(replace(c, points=files[c.id]) if c.id in files else c for c in contents.cases)
    return replace(contents, cases=cases)


def _point_files(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        ending = point_ending(path)
        if not ending or path.name.startswith("."):
            continue
        stem = path.name[: -len(ending)]
        if stem in found:
            raise BadInput(f"two files of points for {stem}: {found[stem].name} and {path.name}", folder, "Keep one")
        found[stem] = path
    return found


def join_participants(contents: Contents, folder: Path) -> Contents:
    """The contents with ``participants.csv`` or ``.tsv`` of the folder joined on the case id, where there is one."""
    table = find_table(folder, ("participants",))
    if table is None:
        return contents
    joined = join(contents.cases, table)
    notes = (*contents.notes, *joined.notes)
    return replace(contents, cases=tuple(joined.cases), notes=notes, columns=joined.columns)
