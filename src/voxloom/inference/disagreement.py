"""Where the members of a prediction disagree: spread, entropy and mutual information per voxel, Dice between members.

Knows the probabilities of one member after the other, and labels. They lie on disk while they are added, and are worked on a few
planes at a time, so that memory does not grow with members, labels or scan. Does not know networks or files of users.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.inference.labels import decide

#: Fills an array float16 (maps, I, J, K) with the probabilities of one member on the scan's own grid.
Pass = Callable[[NDArray[np.float16]], Any]
#: Values of all maps, or of all members, that are worked on at a time.
_VALUES = 1 << 22


@dataclass(frozen=True)
class Disagreement:
    """How far members disagree about one scan.

    Parameters
    ----------
    spread : float32 (I, J, K), standard deviation (n - 1) of the probabilities, the largest of all maps.
    entropy : float32 (I, J, K), entropy of the members' mean, from 0 (sure) to 1 (all labels alike); with regions that of the
        least certain region.
    mutual_information : float32 (I, J, K), entropy of the mean less the mean of the members' entropies, in the same unit: the
        part that members do not agree on (Houlsby et al. 2011).
    pairwise_dice : per label name, the Dice of every pair of members.
    foreground : voxels in which a member sees a label.
    """

    spread: NDArray[np.float32]
    entropy: NDArray[np.float32]
    mutual_information: NDArray[np.float32]
    pairwise_dice: dict[str, list[float]]
    foreground: NDArray[np.bool_]

    def figures(self) -> dict[str, float]:
        """Summary of the scan: means over the foreground (1 where no member sees any), mean and least pairwise Dice."""
        per_label = [float(np.mean(pairs)) for pairs in self.pairwise_dice.values()]
        inside = {
            "entropy": self.entropy,
            "mutual_information": self.mutual_information,
            "spread": self.spread,
        }
        means = {name: _mean_inside(values, self.foreground) for name, values in inside.items()}
        return {"pairwise_dice": float(np.mean(per_label)), "least_pairwise_dice": min(per_label), **means}


@contextlib.contextmanager
def disagreement(
    passes: Sequence[Pass], maps: int, shape: tuple[int, int, int], labels: Labels
) -> Iterator[Disagreement]:
    """Measure the disagreement of members; its maps lie on disk and are gone when the block ends.

    Parameters
    ----------
    passes : at least two.
    maps : probability maps of each: background and labels, or one per region.
    shape : of the scan.

    Raises
    ------
    BadInput : there are fewer than two members.
    """
    if len(passes) < 2:
        raise BadInput("one member alone cannot disagree", "uncertainty", "Choose a source with several members")
    with tempfile.TemporaryDirectory(prefix="voxloom") as folder:
        sums = _Sums(folder, len(passes), maps, shape, labels)
        for number, one in enumerate(passes):
            one(sums.held)
            for part in sums.parts:
                sums.add(number, part)
        found = Disagreement(
            sums.disk("spread", np.float32, *shape),
            sums.disk("entropy", np.float32, *shape),
            sums.disk("mutual", np.float32, *shape),
            pairwise_dice(sums.votes, labels, sums.parts),
            sums.disk("foreground", np.bool_, *shape),
        )
        for part in sums.parts:
            sums.finish(part, found)
        yield found


class _Sums:
    """What is kept on disk while members are added."""

    def __init__(self, folder: str, members: int, maps: int, shape: tuple[int, int, int], labels: Labels) -> None:
        self.members, self.maps, self.labels = members, maps, labels
        self.disk = partial(_on_disk, folder)
        self.held = self.disk("held", np.float16, maps, *shape)
        self.mean = self.disk("mean", np.float32, maps, *shape)
        self.squares = self.disk("squares", np.float32, maps, *shape)
        entropies = maps if labels.has_regions else 1
        self.entropy = self.disk("entropies", np.float32, entropies, *shape)
        self.votes = self.disk("votes", np.uint16, members, *shape)
        planes = max(1, _VALUES // (max(maps, members) * shape[1] * shape[2]))
        self.parts = [slice(start, min(start + planes, shape[0])) for start in range(0, shape[0], planes)]

    def add(self, number: int, part: slice) -> None:
        """Add some planes of member ``number`` (Welford's update of mean and squared deviations)."""
        values = self.held[:, part].astype(np.float32)
        difference = values - self.mean[:, part]
        self.mean[:, part] += difference / (number + 1)
        self.squares[:, part] += difference * (values - self.mean[:, part])
        self.entropy[:, part] += normalized_entropy(values, self.labels.has_regions)
        self.votes[number, part] = decide(values, self.labels)

    def finish(self, part: slice, out: Disagreement) -> None:
        """Write some planes of the result."""
        variance = np.maximum(self.squares[:, part].max(axis=0), 0) / (self.members - 1)
        whole = normalized_entropy(self.mean[:, part], self.labels.has_regions)
        shared = np.maximum(whole - self.entropy[:, part] / self.members, 0)
        out.spread[part] = np.sqrt(variance)
        out.entropy[part] = whole.max(axis=0)
        out.mutual_information[part] = shared.max(axis=0)
        out.foreground[part] = (self.votes[:, part] > 0).any(axis=0)


def normalized_entropy(maps: NDArray[np.floating], regions: bool) -> NDArray[np.float32]:
    """Entropy from 0 to 1 of probabilities (L, ...): (1, ...) over all labels, or (L, ...) of each region alone."""
    p = np.clip(np.asarray(maps, np.float32), 1e-7, 1)
    if not regions:
        whole: NDArray[np.float32] = -(p * np.log(p)).sum(axis=0, keepdims=True) / np.float32(np.log(len(p)))
        return whole
    q = np.clip(1 - p, 1e-7, 1)
    each: NDArray[np.float32] = -(p * np.log(p) + q * np.log(q)) / np.float32(np.log(2))
    return each


def pairwise_dice(votes: NDArray[Any], labels: Labels, parts: Sequence[slice]) -> dict[str, list[float]]:
    """Per label the Dice of every pair of members, 1 where neither of them has the label.

    Parameters
    ----------
    votes : inner label maps (members, I, J, K).
    parts : planes that are worked on at a time.
    """
    membership = labels.membership()
    shared = np.zeros((len(membership), len(votes), len(votes)))
    for part in parts:
        flat = np.asarray(votes[:, part]).reshape(len(votes), -1)
        for n, inside in enumerate(membership):
            masks = inside[flat].astype(np.float32)
            shared[n] += masks @ masks.T
    first, second = np.triu_indices(len(votes), 1)
    found = {}
    for name, counts in zip(labels.names, shared, strict=True):
        sizes = np.diag(counts)[first] + np.diag(counts)[second]
        dice = np.where(sizes > 0, 2 * counts[first, second] / np.maximum(sizes, 1), 1.0)
        found[name] = dice.tolist()
    return found


def _mean_inside(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Mean over a mask, plane by plane; 1 where the mask is empty."""
    count, total = 0, 0.0
    for plane, inside in zip(values, mask, strict=True):
        count += int(np.count_nonzero(inside))
        total += float(plane[inside].sum(dtype=np.float64))
    return total / count if count else 1.0


def _on_disk(folder: str, name: str, dtype: Any, *shape: int) -> NDArray[Any]:
    found: NDArray[Any] = np.lib.format.open_memmap(f"{folder}/{name}.npy", "w+", dtype, shape)
    return found
