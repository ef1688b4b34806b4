"""One case: a patient's images by channel, with a label, points or a target.

Knows how the channels and the label of a case are read and that they must lie on one grid. Holds paths, never voxels.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.sources import (
    DicomSeries,
    FileChannel,
    ImageSource,
    read_label_source,
    read_source,
    source_files,
    source_header,
)
from voxloom.dataset.spacing import measured, spacing_in
from voxloom.errors import BadInput
from voxloom.formats.header import Header
from voxloom.points import Point, read_points
from voxloom.volume import GEOMETRY_TOLERANCE_MM, Volume, grid_distance, orientation_of, spacing_of

Split = Literal["train", "val", "test"]
#: Two grids of image and label are one grid when no voxel is further from its partner, in mm and in voxels.
_LABEL_TOLERANCE_MM = 10 * GEOMETRY_TOLERANCE_MM


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a data set. Lazy and picklable.

    Parameters
    ----------
    id : unique in the data set.
    patient : who was scanned; cases of one patient never go into different folds.
    group : site or scanner, if known.
    images : source of each channel by name, in the order of the data set's channels.
    label : source of the label map (outer values).
    points : file with landmarks: .csv, .mrk.json, .fcsv or a fiducial label map.
    target : class (int or str) or number (float) to predict for the whole case.
    attributes : whatever else is known (age, sex, rater, ...).
    split : the part the data set itself gives the case to.
    origin : name of the data set that the case was read from, where several are used together.
    missing : numbers of the data set's channels that the case lacks; ``images`` holds the others.
    masks : label maps of further raters by column; what is drawn there is no truth, but a crop may be taken around it.
    """

    id: str
    patient: str
    group: str | None = None
    images: Mapping[str, ImageSource] = field(default_factory=dict)
    label: ImageSource | None = None
    points: Path | None = None
    target: float | int | str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    split: Split | None = None
    origin: str | None = None
    missing: tuple[int, ...] = ()
    masks: Mapping[str, ImageSource] = field(default_factory=dict)

    @property
    def is_pseudo(self) -> bool:
        """Whether the label was predicted by a model (column ``pseudo``, written by ``voxloom pseudo``): never a truth."""
        return str(self.attributes.get("pseudo", "")).lower() not in ("", "0", "no", "false")

    def read_image(self) -> Volume:
        """All channels as one Volume (C, I, J, K), in the data set's order; missing ones hold nothing but NaN.

        Raises BadInput when a file cannot be read, holds several channels where one is declared (a color picture among grey
        ones), or the channels lie on different grids.
        """
        volumes = self._read_channels()
        first_name, first = next(iter(volumes.items()))
        for name, volume in volumes.items():
            if volume.channels != 1:
                raise BadInput(
                    f"has {volume.channels} channels, where the data set has the one channel {name}",
                    volume.meta.get("source"),
                    "Save it as grey, or declare its colors as channels (red, green, blue)",
                )
            difference = grid_difference(volume.shape, volume.affine, first.shape, first.affine, GEOMETRY_TOLERANCE_MM)
            if difference:
                raise BadInput(
                    f"channels {name} and {first_name} of case {self.id} lie on different grids: {difference}",
                    volume.meta.get("source"),
                    "Resample the channels to one grid",
                )
        first = measured(first, self.pixel_spacing)
        if len(volumes) == 1:
            return first.with_missing(self.missing)
        whole = first.with_data(np.concatenate([volume.data for volume in volumes.values()]))
        return whole.with_missing(self.missing)

    @property
    def pixel_spacing(self) -> tuple[float, float] | None:
        """Width and height of a pixel in mm, where a table of the data set gives it (BadInput when it is not a size)."""
        return spacing_in(self.attributes, self.id)

    def label_alone(self) -> Volume | None:
        """The label map as ``read_label`` gives it, not compared with the image; None for a case without label."""
        if self.label is None:
            return None
        return measured(read_label_source(self.label, next(iter(self.images.values()), None)), self.pixel_spacing)

    def header(self) -> Header:
        """Grid of the first channel, without its voxels where the format allows it (BadInput for a case without image)."""
        if not self.images:
            raise BadInput(f"case {self.id} has no image", None, "Check the data set")
        return measured(source_header(next(iter(self.images.values()))), self.pixel_spacing)

    def read_label(self) -> Volume | None:
        """The label map (1, I, J, K) in outer values, or None for a case without label.

        Raises BadInput when the file cannot be read, holds non-integers or does not lie on the image's grid.
        """
        label = self.label_alone()
        if label is None:
            return None
        if self.images:
            image = self.header()
            difference = grid_difference(label.shape, label.affine, image.shape, image.affine)
            if difference:
                raise BadInput(
                    f"the label of case {self.id} does not lie on its image: {difference}",
                    label.meta.get("source"),
                    "Export the label on the grid of the image",
                )
        return label

    def read_points(self) -> tuple[Point, ...]:
        """The landmarks' marks in RAS mm; empty for a case without points (BadInput when the file cannot be used)."""
        return () if self.points is None else read_points(self.points, self.id)

    @property
    def channel_numbers(self) -> tuple[int, ...]:
        """Numbers of the channels that ``images`` holds, in its order."""
        return tuple(n for n in range(len(self.images) + len(self.missing)) if n not in self.missing)

    @property
    def image_files(self) -> list[Path]:
        """Every file the image is read from, each once."""
        return list(dict.fromkeys(path for source in self.images.values() for path in source_files(source)))

    @property
    def source_files(self) -> list[Path]:
        """Every file the case is read from, images first, each once."""
        files = [*self.image_files, *([] if self.label is None else source_files(self.label))]
        return list(dict.fromkeys(files if self.points is None else [*files, self.points]))

    def _read_channels(self) -> dict[str, Volume]:
        if not self.images:
            raise BadInput(f"case {self.id} has no image", None, "Check the data set")
        whole: dict[str, Volume] = {}
        volumes = {}
        for name, source in self.images.items():
            if not isinstance(source, FileChannel):
                volumes[name] = read_source(source)
                continue
            if source.path not in whole:
                whole[source.path] = source.read_whole()
            volumes[name] = source.pick(whole[source.path])
        return volumes


def in_series(case: Case, wanted: Sequence[str]) -> Case:
    """The case with one series of each DICOM folder among its images: that which any of ``wanted`` names."""
    images = {
        name: DicomSeries(source, tuple(wanted)) if isinstance(source, str) and os.path.isdir(source) else source
        for name, source in case.images.items()
    }
    return replace(case, images=images)


def grid_difference(
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    other_shape: tuple[int, ...],
    other_affine: NDArray[np.float64],
    tolerance_mm: float = _LABEL_TOLERANCE_MM,
) -> str | None:
    """What differs between two grids in words, or None when they are one grid within ``tolerance_mm``."""
    if tuple(shape) != tuple(other_shape):
        return f"shape {_times(shape)} against {_times(other_shape)}"
    distance = grid_distance(affine, other_affine, (shape[0], shape[1], shape[2]))
    if distance <= tolerance_mm:
        return None
    parts = [f"voxels lie up to {distance:.3g} mm apart"]
    spacing, other = spacing_of(affine), spacing_of(other_affine)
    if not np.allclose(spacing, other, rtol=1e-4):
        parts.append(f"spacing {_mm(spacing)} against {_mm(other)}")
    if orientation_of(affine) != orientation_of(other_affine):
        parts.append(f"orientation {orientation_of(affine)} against {orientation_of(other_affine)}")
    return ", ".join(parts)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)


def _mm(spacing: tuple[float, ...]) -> str:
    return " x ".join(f"{s:.4g}" for s in spacing) + " mm"
