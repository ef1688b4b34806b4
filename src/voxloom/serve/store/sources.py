"""Which cases a served path has: those of a data set, or the scans of a folder. Reads nothing but names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from voxloom.dataset import Case, Dataset
from voxloom.dataset.labels import Labels
from voxloom.dataset.layouts import is_dataset
from voxloom.dataset.sources import FileChannel, ImageSource
from voxloom.errors import BadInput
from voxloom.run.find_scans import find_scans
from voxloom.run.scans import Scan


def served_dataset(path: Path, channels: int = 1) -> Dataset:
    """The data set at a path; of a folder without any layout its scans, as cases without truth.

    Parameters
    ----------
    channels : of every scan of such a folder.

    Raises
    ------
    BadInput : there is no scan, or files do not fit together.
    """
    if is_dataset(path):
        return Dataset(path)
    if path.is_file():
        raise BadInput("is not a data set", path, "Give a data set, or the folder that holds the scans")
    names = [f"channel_{n}" for n in range(channels)] if channels > 1 else ["image"]
    cases = [case_of(scan, names) for scan in find_scans([path], channels)]
    return Dataset.from_cases(path.resolve().name, cases, names, root=path)


def case_of(scan: Scan, names: list[str]) -> Case:
    """A scan as a case."""
    sources: list[ImageSource] = (
        [FileChannel(str(scan.source[0]), n) for n in range(len(names))]
        if scan.whole
        else [str(p) for p in scan.source]
    )
    present = [name for n, name in enumerate(names) if n not in scan.missing]
    images = dict(zip(present, sources, strict=True))
    return Case(id=scan.name, patient=scan.name, images=images, missing=scan.missing)


def with_id(case: Case, name: str) -> Case:
    """The case under another id; a patient named after the case stays who that was."""
    return replace(case, id=name)


def declared(dataset: Dataset) -> Labels | None:
    """Labels of a data set where it says what they are, without reading its label maps."""
    found = dataset.declared_labels
    return found if isinstance(found, Labels) else None
