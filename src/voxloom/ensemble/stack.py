"""A small network that learns to combine the members' probabilities.

Knows probabilities (members x labels, I, J, K) and inner labels. It starts as the mean of the members and learns a correction
from a neighborhood of 5 x 5 x 5 voxels. Which cases it may learn from is decided by ``build``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxloom.dataset import Labels
from voxloom.losses import SegmentationLoss

#: Voxels on every side that an answer depends on: two convolutions of size 3.
REACH = 2
_SMALLEST = 1e-3
_PATCH = 32
#: Values of one block of planes with all members' maps.
_BLOCK_VALUES = 1 << 24


class StackNetwork(nn.Module):
    """Two convolutions whose answer is added to the logits of the members' mean.

    Parameters
    ----------
    members, maps : how many speak of the labels that are decided on, and how many probability maps each gives.
    regions : whether maps are independent (sigmoid) or compete (softmax).
    hidden : channels between the convolutions.
    others : further maps, of members with other labels, behind those; the mean does not see them.
    """

    def __init__(self, members: int, maps: int, regions: bool, hidden: int = 16, others: int = 0) -> None:
        super().__init__()
        self.members, self.maps, self.regions = members, maps, regions
        self.first = nn.Conv3d(members * maps + others, hidden, 3, padding=1)
        self.last = nn.Conv3d(hidden, maps, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, probabilities: Tensor) -> Tensor:
        """Logits (B, maps, i, j, k) from probabilities (B, members * maps + others, i, j, k)."""
        alike = probabilities[:, : self.members * self.maps]
        mean = alike.unflatten(1, (self.members, self.maps)).mean(dim=1).clamp(_SMALLEST, 1 - _SMALLEST)
        logits = mean.logit() if self.regions else mean.log()
        hidden = torch.nn.functional.leaky_relu(self.first(probabilities - 0.5), 0.01)
        return logits + self.last(hidden)


@dataclass(frozen=True)
class StackCase:
    """What the stack learns from: maps of members that never saw the case (members * maps + others, I, J, K), and the truth.

    truth : inner labels (I, J, K).
    """

    probabilities: NDArray[np.float16]
    truth: NDArray[Any]


def maps_of(labels: Labels) -> int:
    """Number of probability maps of these labels: background first, unless they are regions."""
    return labels.count if labels.has_regions else len(labels.atoms) + 1


def train_stack(cases: Sequence[StackCase], labels: Labels, members: int, *, steps: int, seed: int) -> StackNetwork:
    """Train on random patches, every second one around a labelled voxel; Dice with cross-entropy, Adam, cosine decay."""
    torch.manual_seed(seed)
    maps = maps_of(labels)
    network = StackNetwork(members, maps, labels.has_regions, others=len(cases[0].probabilities) - members * maps)
    loss = SegmentationLoss(
        count=maps,
        ignore_index=labels.ignore_index,
        membership=labels.membership() if labels.has_regions else None,
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        random = np.random.default_rng([seed, step])
        probabilities, truth = _patch(cases[int(random.integers(len(cases)))], random, around=step % 2 == 0)
        optimizer.zero_grad()
        loss(network(probabilities), truth).backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def _patch(case: StackCase, random: np.random.Generator, *, around: bool) -> tuple[Tensor, Tensor]:
    """A random patch of one case as a batch of one."""
    shape = case.truth.shape
    centers = np.argwhere(case.truth > 0) if around else np.empty((0, 3), int)
    center = random.choice(centers) if len(centers) else random.integers(shape)
    where = []
    for at, size in zip(center, shape, strict=True):
        start = int(np.clip(at - _PATCH // 2, 0, max(0, size - _PATCH)))
        where.append(slice(start, start + _PATCH))
    seen = torch.from_numpy(case.probabilities[(slice(None), *where)].astype(np.float32))
    return seen[None], torch.from_numpy(case.truth[tuple(where)].astype(np.int64))[None]


@torch.inference_mode()
def apply_stack(network: StackNetwork, probabilities: NDArray[np.float16], out: NDArray[np.float32]) -> None:
    """Combined probabilities (maps, I, J, K) into ``out``, block by block; both may lie on disk."""
    shape = probabilities.shape
    planes = max(1, _BLOCK_VALUES // int(np.prod([shape[0], *shape[2:]])))
    for start in range(0, shape[1], planes):
        stop = min(start + planes, shape[1])
        low, high = max(0, start - REACH), min(shape[1], stop + REACH)
        block = torch.from_numpy(probabilities[:, low:high].astype(np.float32))[None]
        logits = network(block)[0, :, start - low : stop - low]
        found = torch.sigmoid(logits) if network.regions else torch.softmax(logits, dim=0)
        out[:, start:stop] = found.numpy()
