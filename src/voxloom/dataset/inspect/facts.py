"""The facts about one case, as values that go to JSON and back.

Knows no file and measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

#: The percentiles kept of every channel; 0 and 100 are the exact minimum and maximum.
PERCENTILES = (0.0, 0.5, 5.0, 25.0, 50.0, 75.0, 95.0, 99.5, 100.0)
#: Histograms are taken in standard deviations from the mean: range and number of bins. The ends hold what lies beyond.
HISTOGRAM_RANGE = (-3.0, 5.0)
HISTOGRAM_BINS = 40


@dataclass(frozen=True)
class Intensities:
    """Values of some voxels: ``percentiles`` in the order of ``PERCENTILES``, mean, standard deviation, voxel count."""

    percentiles: tuple[float, ...]
    mean: float
    sd: float
    voxels: int

    def percentile(self, q: float) -> float:
        """One of the kept percentiles."""
        return self.percentiles[PERCENTILES.index(q)]

    @property
    def spread(self) -> float:
        """From the 0.5th to the 99.5th percentile: the width of the gray scale without its outliers."""
        return self.percentile(99.5) - self.percentile(0.5)


@dataclass(frozen=True)
class ChannelFacts:
    """One channel of a case.

    Parameters
    ----------
    dtype : as stored, e.g. ``"int16"``.
    whole, foreground : intensities of all voxels and of those inside a label (None without one).
    nonfinite : number of NaN and infinite voxels.
    few_values : all values, where there are few and they are whole numbers from 0 up, as in a mask; else empty.
    histogram : counts over ``HISTOGRAM_BINS`` bins of ``HISTOGRAM_RANGE`` standard deviations around the mean.
    """

    dtype: str
    whole: Intensities
    foreground: Intensities | None = None
    nonfinite: int = 0
    histogram: tuple[int, ...] = ()
    few_values: tuple[float, ...] = ()


@dataclass(frozen=True)
class CaseFacts:
    """What was measured on one case.

    Parameters
    ----------
    id : the case.
    shape, spacing, orientation : grid of the image, axes as stored (spacing in mm); zeros and "" where unreadable.
    sha256 : of the voxel values on the grid in RAS order (not of the file: a copy with other compression, number type or axes has the
        same); "" for an image that is constant.
    sketch : some values of the image, by which a copy with other slope or rounding is recognized (``likeness``).
    parts : hash and sketch of every channel that recognizes somebody, where there are several.
    channels : facts by channel name.
    label_values : voxels per outer value in the label map, background included.
    label_voxels, components : voxels and connected pieces (26 neighbors) per label name.
    ignore_voxels : voxels that nobody annotated.
    label_channels : channels that equal the label map or follow from it.
    has_label : whether the case has a label map.
    target, split : as in the data set.
    unit : of ``spacing``: ``"mm"``, or ``"pixel"`` where the image has no voxel size.
    modality : of DICOM, where the image says it.
    segments : names that the label file itself gives to its values (3D Slicer).
    notes : what the readers of its files were not sure of.
    problem, fix : why the case cannot be used and the remedy.
    """

    id: str
    shape: tuple[int, int, int] = (0, 0, 0)
    spacing: tuple[float, float, float] = (0.0, 0.0, 0.0)
    orientation: str = ""
    sha256: str = ""
    sketch: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    channels: Mapping[str, ChannelFacts] = field(default_factory=dict)
    label_values: Mapping[int, int] = field(default_factory=dict)
    label_voxels: Mapping[str, int] = field(default_factory=dict)
    components: Mapping[str, int] = field(default_factory=dict)
    ignore_voxels: int = 0
    label_channels: tuple[str, ...] = ()
    has_label: bool = False
    target: float | int | str | None = None
    split: str | None = None
    unit: str = "mm"
    modality: str = ""
    segments: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problem: str | None = None
    fix: str | None = None

    @property
    def readable(self) -> bool:
        """Whether the image could be read."""
        return bool(self.orientation)

    @property
    def is_constant(self) -> bool:
        """Whether every voxel of a channel has one value, in every channel."""
        return all(c.whole.percentile(0) == c.whole.percentile(100) for c in self.channels.values())

    @property
    def voxels(self) -> int:
        """Voxels of the grid."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml; 1 where the unit is the pixel."""
        if self.unit == "pixel":
            return 1.0
        return self.spacing[0] * self.spacing[1] * self.spacing[2] / 1000

    @property
    def ras_shape(self) -> tuple[int, int, int]:
        """Shape with the axes in the order left-right, front-back, feet-head."""
        a, b, c = ras_order(self.orientation)
        return (self.shape[a], self.shape[b], self.shape[c])

    @property
    def ras_spacing(self) -> tuple[float, float, float]:
        """Spacing in mm with the axes in the order left-right, front-back, feet-head."""
        a, b, c = ras_order(self.orientation)
        return (self.spacing[a], self.spacing[b], self.spacing[c])

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        keyed = {key: {str(v): n for v, n in getattr(self, key).items()} for key in ("label_values", "segments")}
        return {**asdict(self), **keyed}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CaseFacts:
        """From ``to_dict``."""
        known = dict(values)
        known["shape"], known["spacing"] = tuple(known["shape"]), tuple(known["spacing"])
        known["label_channels"] = tuple(known.get("label_channels", ()))
        known["segments"] = {int(v): name for v, name in known.get("segments", {}).items()}
        known["parts"] = tuple((digest, sketch) for digest, sketch in known.get("parts", ()))
        known["notes"] = tuple(known.get("notes", ()))
        known["label_values"] = {int(v): n for v, n in known["label_values"].items()}
        known["channels"] = {name: _channel(c) for name, c in known["channels"].items()}
        return cls(**known)


def ras_order(orientation: str) -> tuple[int, int, int]:
    """Which stored axis runs left-right, front-back and feet-head, e.g. (2, 0, 1) for ``"ASR"``."""
    axes = [next(n for n, letter in enumerate(orientation) if letter in pair) for pair in ("LR", "PA", "IS")]
    return (axes[0], axes[1], axes[2])


def _channel(values: Mapping[str, Any]) -> ChannelFacts:
    inside = values["foreground"]
    return ChannelFacts(
        dtype=values["dtype"],
        whole=_intensities(values["whole"]),
        foreground=None if inside is None else _intensities(inside),
        nonfinite=values["nonfinite"],
        histogram=tuple(values["histogram"]),
        few_values=tuple(values.get("few_values", ())),
    )


def _intensities(values: Mapping[str, Any]) -> Intensities:
    return Intensities(tuple(values["percentiles"]), values["mean"], values["sd"], values["voxels"])
