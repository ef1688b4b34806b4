"""What is decided about preparing cases, and the numbers learned from the training cases.

Knows the settings (the recipe's ``prepare`` section) and the statistics. Does not touch a voxel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxloom.errors import BadInput
from voxloom.prepare.joint import JointModel
from voxloom.prepare.windows import HU_WINDOWS, PERCENTILE_WINDOWS, WindowName

Normalization = Literal["zscore", "zscore_nonzero", "zscore_mask", "zscore_sample", "minmax", "none", "ct"]
LEARNED = ("zscore_mask", "zscore_sample", "ct")
_Millimetres = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
_Size = Annotated[int, Field(ge=1, le=100_000)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class PrepareSettings(BaseModel):
    """How a case becomes what the network sees. All of it is part of the cache's key.

    orientation : axis codes to which voxels are flipped and permuted (never interpolated); None keeps the file's own.
    spacing : target voxel size in mm, order i j k after reorientation; None keeps the case's own, of all axes or of one.
    image_order : interpolation of images; "cubic" is a B-spline of order 3 (linear along a thick axis). Labels always
        go through linear interpolation of each label and the largest share wins.
        "slices" puts the axis of the slices (the largest spacing) last, so that scans of several planes fit one network.
    crop : "nonzero" cuts to voxels that differ from 0 in some channel, "body" to the largest bright region, "joint" to a
        square in the plane of the slices around the place where two bones meet, found as the training cases taught.
    joint_labels : values of the two bones in the label files.
    joint_mm : side of the square.
    resize_to : size (I, J, K) to which every case is resampled, in the place of ``spacing``; an axis of None keeps to ``spacing``.
    pad_to : least size (I, J, K) of the prepared grid; filled with 0 on both sides.
    crop_or_pad_to : size (I, J, K) of every prepared grid, in the place of ``pad_to``: what is larger is cut about its middle, after
        the intensities were normalized, and what is smaller is padded. What lies beyond is neither learned nor predicted.
    n4 : whether N4 removes the bias field first (Tustison et al. 2010), for MR.
    n4_shrink, n4_iterations : the field is estimated on an image this many times coarser (no axis below 8 voxels), with so
        many iterations at most per level, coarsest first.
    normalize : one for all channels, or one per channel. "zscore" of the volume, "zscore_nonzero" of its voxels that
        are not 0, "zscore_mask" with mean and sd of the training foreground, "zscore_sample" with mean and sd of a random
        sample of all voxels of the training cases after their windows, "minmax" to 0..1, "none", and "ct": clip
        to the training foreground's percentiles 0.5 and 99.5, then its mean and sd (Isensee et al., nnU-Net, 2021).
    percentile_clip : clip each channel to these percentiles of the volume, before normalizing; or the name of a window.
    hu_window : clip to (lo, hi) first, or the name of a window ("organ", "bone", "lung"); "minmax" then maps lo to 0 and
        hi to 1 whatever the volume holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    orientation: str | None = "RAS"
    spacing: tuple[_Millimetres | None, _Millimetres | None, _Millimetres | None] | None = None
    image_order: Literal["linear", "cubic"] = "linear"
    crop: Literal["none", "nonzero", "body", "joint"] = "none"
    joint_labels: tuple[int, int] = (1, 2)
    joint_mm: float = Field(120.0, gt=0)
    resize_to: tuple[_Size | None, _Size | None, _Size | None] | None = None
    pad_to: tuple[_Size, _Size, _Size] | None = None
    crop_or_pad_to: tuple[_Size, _Size, _Size] | None = None
    n4: bool = False
    n4_shrink: int = Field(4, ge=1, le=64)
    n4_iterations: tuple[_Size, ...] = Field((50, 50, 50, 50), min_length=1)
    normalize: Normalization | tuple[Normalization, ...] = "zscore"
    percentile_clip: WindowName | tuple[_Finite, _Finite] | None = None
    hu_window: WindowName | tuple[_Finite, _Finite] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.orientation not in (None, "slices") and not _is_orientation(str(self.orientation)):
            raise ValueError(f"orientation {self.orientation!r} is not three axis codes such as RAS or LPS, nor slices")
        if self.pad_to is not None and self.crop_or_pad_to is not None:
            raise ValueError("pad_to and crop_or_pad_to do not go together: the second pads too")
        if self.normalize == ():
            raise ValueError("normalize names no channel")
        for name, pair in (
            ("percentile_clip", self.percentile_range),
            ("hu_window", self.hu_range),
        ):
            if pair is not None and pair[0] >= pair[1]:
                raise ValueError(f"{name} {pair}: the first value must be below the second")
        if self.percentile_range is not None and not 0 <= self.percentile_range[0] < self.percentile_range[1] <= 100:
            raise ValueError(f"percentile_clip {self.percentile_clip}: percentiles lie between 0 and 100")
        return self

    def normalizations(self, channels: int) -> tuple[Normalization, ...]:
        """One normalization per channel (BadInput when the settings name another number of channels)."""
        if isinstance(self.normalize, str):
            return (self.normalize,) * channels
        if len(self.normalize) != channels:
            raise BadInput(
                f"{len(self.normalize)} normalizations for {channels} channels",
                "prepare.normalize",
            )
        return self.normalize

    @property
    def hu_range(self) -> tuple[float, float] | None:
        """``hu_window`` in numbers."""
        return HU_WINDOWS[self.hu_window] if isinstance(self.hu_window, str) else self.hu_window

    @property
    def percentile_range(self) -> tuple[float, float] | None:
        """``percentile_clip`` in numbers, 0 to 100."""
        named = self.percentile_clip
        return PERCENTILE_WINDOWS[named] if isinstance(named, str) else named

    @property
    def needs_statistics(self) -> bool:
        """Whether something is learned from the training cases: intensities of a channel, or the look of a joint."""
        chosen = (self.normalize,) if isinstance(self.normalize, str) else self.normalize
        return self.crop == "joint" or any(one in LEARNED for one in chosen)


def _is_orientation(codes: str) -> bool:
    pairs = {"L": 0, "R": 0, "P": 1, "A": 1, "I": 2, "S": 2}
    return len(codes) == 3 and {pairs.get(code) for code in codes} == {0, 1, 2}


@dataclass(frozen=True)
class ChannelStatistics:
    """Intensities of one channel over the training cases: mean, sd, and percentiles 0.5 (lo) and 99.5 (hi)."""

    mean: float
    sd: float
    lo: float
    hi: float


@dataclass(frozen=True)
class Statistics:
    """What preparation learned from the training cases; stored with the run.

    channels : intensities in channel order. joint : the look of the joint, for ``crop: joint``.
    """

    channels: tuple[ChannelStatistics, ...]
    joint: JointModel | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        channels = [asdict(channel) for channel in self.channels]
        return {"channels": channels} if self.joint is None else {"channels": channels, "joint": asdict(self.joint)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`; BadInput when a key is missing or unknown."""
        try:
            joint = value.get("joint")
            return cls(
                tuple(ChannelStatistics(**{k: float(v) for k, v in one.items()}) for one in value["channels"]),
                None if joint is None else JointModel(joint["templates"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"not intensity statistics ({error})", "statistics") from error
