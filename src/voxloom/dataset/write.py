"""Write a data set as nnU-Net v2 raw, so that users can leave at any time.

Knows nnU-Net's rules: one ending for all files, consecutive label values from 0 with ``ignore`` the highest, regions
with their order. Files that already fit are copied byte by byte, others are read and written. Does not know training.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxloom.dataset.case import Case
from voxloom.dataset.labels import Labels
from voxloom.dataset.layouts.contents import require_labels, split_ending
from voxloom.dataset.sources import ImageSource, read_source
from voxloom.errors import BadInput
from voxloom.files import new_folder, write_json
from voxloom.points import write_points

if TYPE_CHECKING:
    from voxloom.dataset.dataset import Dataset

#: Endings that nnU-Net reads; ``.mhd`` is left out because its voxels lie in a second file.
_NNUNET_ENDINGS = (".nii.gz", ".nrrd", ".mha", ".png", ".tif", ".tiff")
_DEFAULT_ENDING = ".nii.gz"


def write_nnunet(dataset: Dataset, folder: str | Path) -> Path:
    """Write ``dataset`` as nnU-Net v2 raw (2.8.1) into the new folder and return it.

    Training and validation cases go to imagesTr and labelsTr, test cases to imagesTs and labelsTs, landmarks to
    points. The ending is that of the source files where they share one that nnU-Net reads, else ``.nii.gz``. Label
    values become consecutive; the outer values are kept under ``voxloom_values`` in dataset.json.
    The folder appears only when it is complete.

    Raises
    ------
    BadInput : the folder exists, the set has no labels, a case id cannot be a file name, a case lacks
        a channel, or a file cannot be read.
    """
    labels = dataset.labels
    if labels is None:
        raise BadInput("nnU-Net needs label maps, the set has none", dataset.root, "Add labels")
    _check_ids(dataset)
    if lacking := next((case for case in dataset if case.missing), None):
        raise BadInput(f"case {lacking.id} lacks a channel, nnU-Net needs all", dataset.root, "Leave the case out")
    require_labels(dataset, dataset.root)
    ending = _ending(dataset)
    if Path(folder).exists():
        raise BadInput("exists already", folder, "Give a new folder; nothing is overwritten")
    with new_folder(Path(folder)) as target:
        for case in dataset:
            _write_case(case, labels, target, "Ts" if case.split == "test" else "Tr", ending)
            if case.points is not None:
                write_points(case.read_points(), target / "points" / f"{case.id}.csv", case.id)
        (target / "imagesTr").mkdir(exist_ok=True)
        (target / "labelsTr").mkdir(exist_ok=True)
        write_json(target / "dataset.json", describe_nnunet(dataset, labels, ending))
        write_participants(dataset, target)
    return Path(folder)


def describe_nnunet(dataset: Dataset, labels: Labels, ending: str) -> dict[str, Any]:
    """nnU-Net's ``dataset.json`` with consecutive label values."""
    inner = {outer: n for n, outer in enumerate(labels.declared)}
    mapping: dict[str, Any] = {"background": 0}
    for label in labels.foreground:
        values = [inner[v] for v in label.values]
        mapping[label.name] = values if labels.has_regions and len(values) > 1 else values[0]
    if labels.ignore_index is not None:
        mapping["ignore"] = labels.ignore_index
    about: dict[str, Any] = {
        "name": dataset.name,
        "channel_names": nnunet_channels(dataset.channels, dataset.channel_kinds),
        "labels": mapping,
        "numTraining": sum(case.split != "test" for case in dataset),
        "file_ending": ending,
        "converted_by": "Voxloom",
    }
    if labels.has_regions:
        about["regions_class_order"] = [inner[v] for v in labels.written_values]
    if labels.declared != tuple(range(len(labels.declared))):
        about["voxloom_values"] = {str(n): outer for n, outer in enumerate(labels.declared)}
    return about


def nnunet_channels(channels: Sequence[str], kinds: Sequence[str]) -> dict[str, str]:
    """nnU-Net's ``channel_names``: the name is the normalization where it is not the usual one."""
    pairs = zip(channels, kinds, strict=True)
    return {str(n): name if kind == "zscore" else kind for n, (name, kind) in enumerate(pairs)}


def _check_ids(dataset: Dataset) -> None:
    if bad := [case.id for case in dataset if Path(case.id).name != case.id or case.id.startswith(".")]:
        raise BadInput(f"case {bad[0]!r} cannot be a file name", dataset.root, "Rename the case")


def _ending(dataset: Dataset) -> str:
    """The ending of every written file: the sources' own where it is one that nnU-Net reads."""
    sources = [s for case in dataset for s in (*case.images.values(), case.label) if s is not None]
    endings = {split_ending(s)[1] if isinstance(s, str) and Path(s).is_file() else "" for s in sources}
    only = endings.pop() if len(endings) == 1 else ""
    return only if only in _NNUNET_ENDINGS else _DEFAULT_ENDING


def write_images(case: Case, folder: Path, ending: str) -> None:
    """Write the channels of a case as ``CASE_0000`` and so on; files that have the ending already are copied."""
    from voxloom.formats import write_volume

    folder.mkdir(exist_ok=True)
    for number, source in zip(case.channel_numbers, case.images.values(), strict=True):
        path = folder / f"{case.id}_{number:04d}{ending}"
        if _fits(source, ending):
            shutil.copyfile(str(source), path)
        else:
            write_volume(read_source(source), path)


def _write_case(case: Case, labels: Labels, target: Path, part: str, ending: str) -> None:
    from voxloom.formats import write_volume

    write_images(case, target / f"images{part}", ending)
    label = case.read_label()
    if label is None:
        return
    inner = labels.encode(label.data, label.meta.get("source"))
    path = target / f"labels{part}" / f"{case.id}{ending}"
    path.parent.mkdir(exist_ok=True)
    if case.label is not None and _fits(case.label, ending) and np.array_equal(inner, label.data):
        shutil.copyfile(str(case.label), path)
    else:
        write_volume(label.with_data(inner), path)


def _fits(source: ImageSource, ending: str) -> bool:
    return isinstance(source, str) and split_ending(source)[1] == ending and Path(source).is_file()


def write_participants(cases: Iterable[Case], target: Path) -> None:
    """``participants.csv`` with patient, group and attributes, where there is anything to say."""
    import csv

    cases = list(cases)
    names = sorted({name for case in cases for name in case.attributes})
    rows = [_row(case, names) for case in cases]
    columns = ["patient", "group", *names]
    told = [n for n in range(len(columns)) if _tells(n, rows)]
    if not told:
        return
    with (target / "participants.csv").open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["case", *(columns[n] for n in told)])
        writer.writerows([row[0], *(row[n + 1] for n in told)] for row in rows)


def _row(case: Case, names: Sequence[str]) -> list[Any]:
    return [case.id, case.patient, case.group or "", *(case.attributes.get(name, "") for name in names)]


def _tells(column: int, rows: list[list[Any]]) -> bool:
    """Whether a column says more than the case id or nothing."""
    return any(row[column + 1] not in ("", row[0]) for row in rows)
