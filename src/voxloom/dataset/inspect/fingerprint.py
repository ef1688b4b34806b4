"""The fingerprint of a data set: the facts of all cases, and what they amount to.

Knows how cases are measured in parallel and summed up. Judges nothing; see ``problems`` and ``suggest``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from voxloom.dataset.inspect.facts import PERCENTILES, CaseFacts
from voxloom.dataset.inspect.likeness import Likeness
from voxloom.dataset.inspect.measure import Looker, measure_case
from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput, VoxloomError
from voxloom.parallel import map_outcomes
from voxloom.progress import Progress

if TYPE_CHECKING:
    from voxloom.dataset.dataset import Dataset

#: Below this many bytes of files, starting processes costs more than it saves.
_WORTH_PROCESSES = 24 << 20


@dataclass(frozen=True)
class Fingerprint:
    """Facts of every case and their summary; medians have their axes in the order left-right, front-back, feet-head.

    Parameters
    ----------
    name, task, channels : of the data set.
    labels : nnU-Net's ``labels`` mapping, or None where none are declared.
    cases : facts in the order of the data set.
    """

    name: str
    task: str
    channels: tuple[str, ...]
    labels: Mapping[str, Any] | None
    cases: tuple[CaseFacts, ...] = field(default=())

    @cached_property
    def readable(self) -> tuple[CaseFacts, ...]:
        """Cases whose image could be read."""
        return tuple(case for case in self.cases if case.readable)

    @property
    def median_spacing(self) -> tuple[float, float, float]:
        """Median voxel size in mm (zeros without a readable case)."""
        return _median3([case.ras_spacing for case in self.readable])

    @property
    def median_shape(self) -> tuple[float, float, float]:
        """Median grid size in voxels."""
        return _median3([case.ras_shape for case in self.readable])

    @property
    def unit(self) -> str:
        """``"pixel"`` where no readable case has a voxel size, else ``"mm"``."""
        return "pixel" if self.readable and all(case.unit == "pixel" for case in self.readable) else "mm"

    def having(self, channel: str) -> tuple[CaseFacts, ...]:
        """The readable cases that have a channel."""
        return tuple(case for case in self.readable if channel in case.channels)

    @property
    def likenesses(self) -> dict[str, Likeness]:
        """What recognizes the image of each case; empty for images that cannot be read or are constant."""
        return {
            case.id: Likeness(case.sha256, case.sketch, tuple(Likeness(*part) for part in case.parts))
            if case.readable and not case.is_constant
            else Likeness()
            for case in self.cases
        }

    @property
    def orientations(self) -> dict[str, int]:
        """Cases per orientation, most frequent first."""
        return dict(Counter(case.orientation for case in self.readable).most_common())

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels: declared ones, or else those found, by value."""
        if self.labels is not None:
            return tuple(n for n in self.labels if n not in ("background", "ignore"))
        found = {name for case in self.cases for name in case.label_voxels}
        return tuple(sorted(found, key=lambda name: int(name.rpartition("_")[2])))

    @property
    def labeled(self) -> tuple[CaseFacts, ...]:
        """Cases whose label map could be read."""
        return tuple(case for case in self.cases if case.label_values)

    @property
    def label_frequencies(self) -> dict[str, float]:
        """Share of all annotated voxels that belong to each label."""
        voxels = sum(sum(case.label_values.values()) - case.ignore_voxels for case in self.labeled)
        return {
            name: sum(case.label_voxels.get(name, 0) for case in self.labeled) / voxels if voxels else 0.0
            for name in self.label_names
        }

    @property
    def channel_percentiles(self) -> dict[str, dict[float, float]]:
        """Median over the cases of every percentile, per channel."""
        return {
            name: {
                q: float(np.median([case.channels[name].whole.percentile(q) for case in self.having(name)]))
                for q in PERCENTILES
            }
            for name in self.channels
            if self.having(name)
        }

    @property
    def class_counts(self) -> dict[str, int]:
        """Cases per target, for whole-case classification."""
        counts = Counter(str(case.target) for case in self.cases if case.target is not None)
        return dict(sorted(counts.items()))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, the summary included."""
        return {
            "name": self.name,
            "task": self.task,
            "channels": list(self.channels),
            "labels": None if self.labels is None else dict(self.labels),
            "unit": self.unit,
            "median_spacing": list(self.median_spacing),
            "median_shape": list(self.median_shape),
            "orientations": self.orientations,
            "label_frequencies": self.label_frequencies,
            "channel_percentiles": {
                name: {str(q): v for q, v in found.items()} for name, found in self.channel_percentiles.items()
            },
            "class_counts": self.class_counts if self.task == "classification" else {},
            "cases": [case.to_dict() for case in self.cases],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fingerprint:
        """From ``to_dict`` (the summary is computed again)."""
        return cls(
            values["name"],
            values["task"],
            tuple(values["channels"]),
            values["labels"],
            tuple(CaseFacts.from_dict(case) for case in values["cases"]),
        )


def fingerprint(
    dataset: Dataset, *, workers: int | None = None, progress: Progress | None = None, look: Looker | None = None
) -> Fingerprint:
    """Measure every case, in parallel where it pays.

    Parameters
    ----------
    workers : processes; None chooses by the size of the files, 0 or 1 works in this process.
    progress : called with (cases done, cases).
    look : shown every case whose image can be read, with the image; all work is then done in this process.

    A case that cannot be read is part of the result, with its ``problem``; nothing is raised for it.
    """
    declared = dataset.declared_labels
    labels = declared if isinstance(declared, Labels) else None
    tasks = [(case.id, (case, labels)) for case in dataset]
    chosen = workers if workers is not None or worth_processes(dataset) else 0
    measure, chosen = (measure_case, chosen) if look is None else (partial(measure_case, look=look), 0)
    outcomes = map_outcomes(measure, tasks, step="inspecting", workers=chosen, progress=progress)
    cases = tuple(_facts(name, outcome) for name, outcome in outcomes)
    mapping = None if labels is None else labels.to_nnunet()
    return Fingerprint(dataset.name, dataset.task, dataset.channels, mapping, cases)


def _facts(name: str, outcome: CaseFacts | VoxloomError) -> CaseFacts:
    if isinstance(outcome, CaseFacts):
        return outcome
    return CaseFacts(name, problem=str(outcome), fix=outcome.fix if isinstance(outcome, BadInput) else None)


def worth_processes(dataset: Dataset) -> bool:
    """Whether the files of a data set are so large that several processes measure it faster."""
    total, seen = 0, set()
    for case in dataset:
        for path in case.source_files:
            if path not in seen:
                seen.add(path)
                total += path.stat().st_size if path.is_file() else 0
        if total > _WORTH_PROCESSES:
            return True
    return False


def _median3(values: list[Any]) -> tuple[float, float, float]:
    if not values:
        return (0.0, 0.0, 0.0)
    a, b, c = np.median(np.array(values, dtype=float), axis=0)
    return (float(a), float(b), float(c))
