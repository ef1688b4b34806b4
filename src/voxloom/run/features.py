"""What some cases of a run look like to its first network, kept in a small file so that new scans can be compared with them.

Knows ``fold_0/features.npz``. How features are made is the task's; what distances mean is in ``voxloom.evaluation.nearness``.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.digests import file_digests
from voxloom.errors import BadInput
from voxloom.evaluation.nearness import Nearness
from voxloom.files import atomic_path
from voxloom.runfiles import RunFold

Row = NDArray[np.float32]
_SIDES = ("training", "held_out")


@dataclass(frozen=True)
class Place:
    """Where a scan lies.

    Parameters
    ----------
    distance : to the nearest training case, over the median of that distance of held-out cases.
    rarer : share of held-out patients with a case that lies at least as far, the scan itself counted.
    held_out : number of these patients.
    unlike : whether at most one of 100 scans from where the held-out cases come lies so far; None with too few patients to tell.
    """

    distance: float
    rarer: float
    held_out: int
    unlike: bool | None

    def sentence(self) -> str | None:
        """What to tell a user; None of a scan that is not unlike."""
        if not self.unlike:
            return None
        as_far = round(self.rarer * (self.held_out + 1)) - 1
        return (
            f"unlike the training scans to the network: {self.distance:.3g} times as far from the nearest of them as held-out cases "
            f"usually are (as far: {as_far} of {self.held_out} held-out patients)"
        )


@dataclass(frozen=True)
class KnownFeatures:
    """Features of training and of held-out cases.

    Parameters
    ----------
    training, held_out : case -> row; all rows have one length. At least two training cases and a held-out one.
    patients : held-out case -> patient; a case that is not named is a patient of its own.
    """

    training: Mapping[str, Row]
    held_out: Mapping[str, Row]
    patients: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, fold: RunFold, patients: Mapping[str, str]) -> KnownFeatures | None:
        """Those that a fold keeps; None where it keeps none, or those of other weights than it has now.

        Parameters
        ----------
        patients : case -> patient of the run's cases, which the file does not hold.

        Raises
        ------
        BadInput : the file is damaged.
        """
        path = fold.features
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as kept:
                weights = str(kept["weights"])
                sides = [dict(zip(kept[f"{side}_cases"].tolist(), kept[side], strict=True)) for side in _SIDES]
            if len(sides[0]) < 2 or not sides[1]:
                raise ValueError("too few cases")
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            fix = "Copy it again, or remove it: scans are then compared by their facts alone"
            raise BadInput(f"is damaged ({error})", path, fix) from error
        return cls(sides[0], sides[1], patients) if weights == _weights_of(fold) else None

    def write(self, fold: RunFold) -> None:
        """Keep them with the weights that made them, whole or not at all."""
        arrays: dict[str, Any] = {"weights": np.array(_weights_of(fold))}
        for side, rows in zip(_SIDES, (self.training, self.held_out), strict=True):
            arrays |= {side: np.array(list(rows.values()), np.float32), f"{side}_cases": np.array(list(rows))}
        with atomic_path(fold.features) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)

    @cached_property
    def nearness(self) -> Nearness:
        """Distances from the training cases."""
        who = [self.patients.get(case, case) for case in self.held_out]
        return Nearness(np.array(list(self.training.values())), np.array(list(self.held_out.values())), who)

    def place(self, row: Row) -> Place:
        """Where a scan with these features lies."""
        near = self.nearness
        far = near.distances(row[None])
        unlike = near.unlike(far)
        told = None if unlike is None else bool(unlike[0])
        return Place(float(far[0]), float(near.shares(far)[0]), len(near.farthest), told)


def _weights_of(fold: RunFold) -> str:
    """SHA-256 of a fold's weights; a service that opens them again and again reads an unchanged file once."""
    return file_digests([fold.weights])[fold.weights]
