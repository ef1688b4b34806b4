"""Slices of a volume: which plane they lie in, and which of them a network sees together.

Slices of a prepared volume (C, I, J, K) are its planes of constant k, so an anatomical plane is chosen by turning its normal
axis to the end. Knows anatomy and channels; does not know networks, training or windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Plane = Literal["sagittal", "coronal", "axial"]
Edges = Literal["zero", "replicate"]
#: Axis codes of the normal of each plane.
NORMALS = {"sagittal": "LR", "coronal": "PA", "axial": "IS"}


def plane_orientation(codes: str, plane: Plane) -> str:
    """Axis codes whose last axis is the normal of ``plane``; the other two keep their order, all keep their direction.

    ``plane_orientation("RAS", "sagittal")`` is "ASR": i grows to the front, j to the head, slices go from left to right.
    """
    normal = next(code for code in codes if code in NORMALS[plane])
    return codes.replace(normal, "") + normal


def spread_slices(count: int, depth: int) -> list[tuple[NDArray[np.intp], NDArray[np.bool_]]]:
    """Groups of ``depth`` slices at equal distances, ascending, that together are all ``count`` slices.

    Returns
    -------
    Per group its slices, and which of them it answers for; the others, evenly spread, fill a group that would have fewer.
    A volume of fewer slices is one group.
    """
    groups = []
    step = -(-count // depth)
    for first in range(step):
        own = np.arange(first, count, step)
        others = np.setdiff1d(np.arange(count), own)
        missing = min(depth - len(own), len(others))
        filling = others[np.linspace(0, len(others) - 1, missing).round().astype(int)] if missing else others[:0]
        group = np.sort(np.concatenate([own, filling]))
        groups.append((group, np.isin(group, own)))
    return groups


@dataclass(frozen=True)
class SliceStack:
    """What a 2D network sees of a volume at slice k: the slices k - neighbors to k + neighbors, as channels.

    Channels are ordered channel by channel, each from the lowest slice to the highest; the middle one is slice k.

    Parameters
    ----------
    neighbors : slices on either side.
    edges : what lies beyond the first and last slice of a volume: zeros, or the first and last slice again.
    spread : instead, a 3D network sees slices that are spread over the whole volume.
    """

    neighbors: int = 0
    edges: Edges = "zero"
    spread: bool = False

    @property
    def depth(self) -> int:
        """Slices per channel of the volume."""
        return 2 * self.neighbors + 1

    def widen(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """(C, I, J, K) with ``neighbors`` slices more at both ends of k, as ``edges`` says."""
        if not self.neighbors:
            return image
        return np.pad(image, ((0, 0), (0, 0), (0, 0), (self.neighbors,) * 2), self._mode)  # type: ignore[call-overload,no-any-return]

    def fold(self, stack: NDArray[Any]) -> NDArray[Any]:
        """(C, I, J, depth) to the channels (C * depth, I, J, 1) of one slice."""
        return np.moveaxis(stack, 3, 1).reshape(-1, *stack.shape[1:3], 1)

    @property
    def _mode(self) -> str:
        return "constant" if self.edges == "zero" else "edge"


class SliceSettings(BaseModel):
    """Slices of volumes, for 2D networks mostly; recipe section ``slices:``.

    Parameters
    ----------
    plane : anatomical plane of the slices, whatever the orientation of the file: the prepared volume is turned so that
        slices follow each other along k. None leaves it to ``prepare.orientation``.
    neighbors : slices on either side that the network sees as further channels (2.5D); 1 gives three slices in, the middle
        slice out.
    edges : beyond a volume's first and last slice the network sees "zero", or "replicate" repeats that slice.
    per_volume : slices drawn at random from every volume in one pass over the training cases; "all" takes every slice once (those
        with a label where ``background`` is false), None draws one per volume.
    spread : a 3D network sees so many slices of the whole volume at once: a random, sorted choice in training, slices at equal
        distances when it predicts. ``training.patch`` has as many slices.
    background : whether slices without any label are trained on. They are always predicted and evaluated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    plane: Plane | None = None
    neighbors: int = Field(0, ge=0, le=16)
    edges: Edges = "zero"
    per_volume: Annotated[int, Field(ge=1)] | Literal["all"] | None = None
    spread: int | None = Field(None, ge=2)
    background: bool = True

    @model_validator(mode="after")
    def _one_input(self) -> SliceSettings:
        if self.spread is not None and (self.neighbors or self.per_volume is not None):
            raise ValueError("spread is for 3D networks; neighbors and per_volume are for 2D ones")
        return self

    @property
    def stack(self) -> SliceStack:
        """What the network sees at once."""
        return SliceStack(self.neighbors, self.edges, self.spread is not None)

    @property
    def flat(self) -> bool:
        """Whether any key asks for what only a 2D network can do."""
        if self.spread is not None:
            return False
        return self.plane is not None or self.neighbors > 0 or self.per_volume is not None or not self.background

    def orientation(self, codes: str | None) -> str | None:
        """The prepared orientation: ``codes`` (None: "RAS") with the normal of the plane last; ``codes`` without a plane."""
        if self.plane is None:
            return codes
        return plane_orientation("RAS" if codes in (None, "slices") else str(codes), self.plane)


#: No plane, no neighbors, one slice per volume and pass.
PLAIN_SLICES = SliceSettings()
