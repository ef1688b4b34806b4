"""The Dataset: a table of cases with their channels and labels, whatever layout it lies in.

Knows how to choose cases by id and by split, and scans label files for their values when nobody declared them. Does not
know any layout, and never opens an image to be built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from voxloom.dataset.case import Case, in_series
from voxloom.dataset.columns import Meanings
from voxloom.dataset.labels import Labels
from voxloom.dataset.layouts import open_layout
from voxloom.dataset.layouts.contents import kind_of
from voxloom.dataset.tables import name_some
from voxloom.dataset.values import LabelScan
from voxloom.errors import BadInput

Task = Literal["segmentation", "landmarks", "classification", "regression", "unlabeled"]


class Dataset:
    """A data set on disk, opened without conversion.

    Parameters
    ----------
    path : a folder in MSD, nnU-Net v2 raw or BIDS layout, a folder with images/ and masks/, a table (.csv, .tsv,
        .parquet), or a MedMNIST .npz.
    labels : what the label values mean; None takes what the layout declares, or else the values in the label files.
    series : of each DICOM folder that is a case's image, the one series that any of these names: SeriesInstanceUID, SeriesNumber
        or SeriesDescription. Without it a folder must hold one series.

    Raises
    ------
    BadInput : the path does not exist or has no known layout; files are missing, unpaired or named twice.

    Opening lists each folder once and reads no image (but one file of a table's column whose name does not say whether it holds
    images or masks): 10,000 cases take about a second. ``columns`` says what every column of a table was taken for. Picklable.
    """

    def __init__(self, path: str | Path, *, labels: Labels | None = None, series: Sequence[str] = ()) -> None:
        layout, found = open_layout(path)
        if series:
            found = replace(found, cases=tuple(in_series(case, series) for case in found.cases))
        kinds = found.channel_kinds or tuple(kind_of(name) for name in found.channels)
        declared = labels if labels is not None else found.labels
        self._fill(found.name, Path(path), layout, found.cases, found.channels, kinds, declared, found.notes)
        self.columns: Meanings = found.columns

    @classmethod
    def from_cases(
        cls,
        name: str,
        cases: Iterable[Case],
        channels: Sequence[str],
        labels: Labels | None = None,
        *,
        root: str | Path = ".",
        channel_kinds: Sequence[str] | None = None,
        notes: Sequence[str] = (),
        columns: Meanings = (),
    ) -> Dataset:
        """A data set of given cases; ``columns``: what those of their table were taken for.

        Raises BadInput when ids repeat or a case lacks a channel.
        """
        made = cls.__new__(cls)
        kinds = tuple(channel_kinds) if channel_kinds is not None else tuple(kind_of(c) for c in channels)
        made._fill(name, Path(root), "cases", tuple(cases), tuple(channels), kinds, labels, tuple(notes))
        made.columns = columns
        return made

    def _fill(
        self,
        name: str,
        root: Path,
        layout: str,
        cases: tuple[Case, ...],
        channels: tuple[str, ...],
        kinds: tuple[str, ...],
        labels: Labels | LabelScan | None,
        notes: tuple[str, ...],
    ) -> None:
        self.name, self.root, self.layout, self.cases, self.notes = name, root, layout, cases, notes
        self.channels, self.channel_kinds = channels, kinds
        self.columns = ()
        self._labels = labels if labels is not None else LabelScan(cases)
        self._by_id = {case.id: case for case in cases}
        _check_cases(self)

    @property
    def labels(self) -> Labels | None:
        """What the label values mean; None where no case has a label.

        Where nothing was declared, the first access reads every label file once and names the values ``label_1``, ...
        """
        return self._labels.labels() if isinstance(self._labels, LabelScan) else self._labels

    @property
    def declared_labels(self) -> Labels | LabelScan | None:
        """The labels without any reading: what was declared, or the scan that would find them."""
        return self._labels

    @property
    def task(self) -> Task:
        """What can be learned: "segmentation" where cases have labels, "landmarks" where they have points only, else by the
        type of the targets (int and text: "classification", float: "regression"), else "unlabeled"."""
        if any(case.label is not None for case in self.cases):
            return "segmentation"
        if any(case.points is not None for case in self.cases):
            return "landmarks"
        targets = [case.target for case in self.cases if case.target is not None]
        if not targets:
            return "unlabeled"
        return "regression" if any(isinstance(t, float) for t in targets) else "classification"

    @property
    def training(self) -> Self:
        """The cases that the data set does not set aside for testing (its validation cases included).

        Where some of them have labels or points, those without are left out; ``notes`` names them.
        """
        kept = [case for case in self.cases if case.split != "test"]
        annotated = [case for case in kept if case.label is not None or case.points is not None]
        return self._select(annotated or kept)

    def with_series(self, wanted: Sequence[str]) -> Self:
        """The set with one series of each DICOM folder, as ``series`` of the constructor chooses it."""
        return self._select(in_series(case, wanted) for case in self.cases) if wanted else self

    @property
    def test(self) -> Self:
        """The cases that the data set sets aside for testing; may be empty."""
        return self._select(case for case in self.cases if case.split == "test")

    @property
    def names_patients(self) -> bool:
        """Whether the data set says who was scanned, rather than every case being taken as a patient."""
        named = "patient" in dict(self.columns).values() or self.layout == "BIDS"
        return named or any(case.patient != case.id for case in self.cases)

    def subset(self, ids: Iterable[str]) -> Self:
        """The cases with these ids, in the given order (BadInput for unknown or repeated ids)."""
        return self._select(self[name] for name in ids)

    def write_nnunet(self, folder: str | Path) -> Path:
        """Write the set as nnU-Net v2 raw into a new folder and return it; see ``voxloom.dataset.write``."""
        from voxloom.dataset.write import write_nnunet

        return write_nnunet(self, folder)

    def summary(self) -> str:
        """What the set holds, as a few lines of text."""
        from voxloom.dataset.summary import summary

        return summary(self)

    def suggest(self) -> str:
        """Orientation, spacing and size to prepare the set with, each with its reason; reads every case."""
        from voxloom.dataset.inspect import fingerprint, suggest

        found = suggest(fingerprint(self))
        return "\n".join(found.reasons)

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    def __getitem__(self, key: str | int) -> Case:
        if isinstance(key, int):
            return self.cases[key]
        if key not in self._by_id:
            raise BadInput(f"there is no case {key!r}", self.root, f"Cases are {name_some(self._by_id)}")
        return self._by_id[key]

    def __contains__(self, key: object) -> bool:
        return key in self._by_id

    def __repr__(self) -> str:
        return f"<Dataset {self.name}: {len(self)} cases, {self.layout}>"

    def _select(self, cases: Iterable[Case]) -> Self:
        chosen = type(self).__new__(type(self))
        labels = self._labels
        chosen._fill(
            self.name, self.root, self.layout, tuple(cases), self.channels, self.channel_kinds, labels, self.notes
        )
        chosen.columns = self.columns
        return chosen


def _check_cases(dataset: Dataset) -> None:
    if len(dataset._by_id) < len(dataset.cases):
        seen: set[str] = set()
        twice = sorted({case.id for case in dataset.cases if case.id in seen or seen.add(case.id)})  # type: ignore[func-returns-value]
        raise BadInput(f"case ids are used twice: {name_some(twice)}", dataset.root, "Give every case an id of its own")
    for case in dataset.cases:
        expected = tuple(name for n, name in enumerate(dataset.channels) if n not in case.missing)
        if tuple(case.images) != expected or not expected:
            missing = sorted(set(dataset.channels) - set(case.images))
            raise BadInput(
                f"case {case.id} has the channels {', '.join(case.images)}, not {', '.join(dataset.channels)}",
                dataset.root,
                f"Add {', '.join(missing)}" if missing else "Give every case the same channels in one order",
            )
