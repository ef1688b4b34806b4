"""``export-dicom``: a mask or points that exist already, as DICOM objects of the series that they belong to.

Knows where names of label values come from. What the objects are is in ``voxloom.verbs.dicom_results``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxloom.dataset.names import split_ending
from voxloom.errors import BadInput
from voxloom.formats import ending_of, label_object, read_label, read_volume
from voxloom.formats.dicom import choose_series
from voxloom.formats.dicom.results import Author, Findings, Mark, SourceSeries, Table, open_source
from voxloom.formats.dicom.results.objects import case_of
from voxloom.points import point_ending, read_points
from voxloom.verbs.dicom_results import codes_of, segments_of, write_objects
from voxloom.volume import Volume

#: Formats that a file of points has an answer for.
_OF_POINTS = ("sr", "sc")


@dataclass(frozen=True)
class ExportOptions:
    """How a file becomes DICOM.

    Parameters
    ----------
    formats : of ``voxloom.verbs.dicom_results.FORMATS``; empty takes seg for a mask, and sr for points.
    labels : table (CSV) with value, label, and codes and colors where they are known.
    algorithm, version : which program drew it; None where people did.
    series : names the series to read of a folder that holds several.
    resample_tilt : the mask lies on the upright grid that reading a tilted series gives.
    """

    formats: tuple[str, ...] = ()
    labels: Path | None = None
    algorithm: str | None = None
    version: str = ""
    series: tuple[str, ...] = ()
    resample_tilt: bool = False


def export_dicom(file: Path, source: Path, out: Path, options: ExportOptions = ExportOptions()) -> list[Path]:
    """Write DICOM objects of a mask or of points into ``out``; returns the files.

    Parameters
    ----------
    file : label map in any format, or points (``.csv``, ``.mrk.json``, ``.fcsv``).
    source : the DICOM series.

    Raises
    ------
    BadInput : the file does not lie on the series, a format has no answer for it, codes are wrong, or a file stands in the way.
    """
    if not file.exists():
        raise BadInput("no such file", file, "Check the path")
    points = ending_of(file) is None and bool(point_ending(file))
    formats = options.formats or (("sr",) if points else ("seg",))
    _refuse(formats, points, file)
    chosen = choose_series(source, options.series) if options.series and source.is_dir() else source
    series = open_source(chosen, resample_tilt=options.resample_tilt)
    author = Author(options.algorithm or "Reader", options.version, by_hand=options.algorithm is None)
    table = codes_of(None, options.labels)
    findings = _points(file) if points else _mask(file, series, table)
    segments = segments_of(findings.names, table, file)
    stem = _stem(file)
    _refuse_existing([out / f"{stem}.{name}.dcm" for name in formats])
    image = read_volume(chosen, resample_tilt=options.resample_tilt) if "sc" in formats else _nothing(series)
    return write_objects(formats, findings, image, segments, series, out / stem, author)


def _refuse(formats: tuple[str, ...], points: bool, file: Path) -> None:
    if "seg-fractional" in formats:
        raise BadInput("a mask holds no probabilities for seg-fractional", file, "Use seg or seg-labelmap")
    if points and (wrong := [name for name in formats if name not in _OF_POINTS]):
        raise BadInput(f"points cannot be written as {wrong[0]}", file, f"Use --format {' or '.join(_OF_POINTS)}")


def _points(file: Path) -> Findings:
    marks = tuple(Mark(str(p.key), p.position, p.confidence) for p in read_points(file))
    if not marks:
        raise BadInput("holds no point", file, "Give a file with points")
    return Findings(marks=marks)


def _mask(file: Path, series: SourceSeries, table: Table) -> Findings:
    """The mask on the grid of the series, and the names of its values."""
    volume = read_label(file, like=series if label_object(file) else None)
    mask = series.fitted(volume)
    values = [int(v) for v in np.unique(mask) if v != 0]
    own: Mapping[int, str] = volume.meta.get("label_names", {})
    names = {**{v: own.get(v, f"label_{v}") for v in values}, **own, **table.names}
    if not names:
        raise BadInput("is empty, and nobody says which labels it could hold", file, "Name them: --labels CSV")
    if table.names and (lost := [v for v in values if v not in table.names]):
        raise BadInput(
            f"holds value {lost[0]}, which the table of labels does not name", file, "Add a line: value,label"
        )
    return Findings(mask, dict(sorted(names.items())))


def _nothing(series: SourceSeries) -> Volume:
    """Where no picture is drawn, no voxel is read."""
    return Volume(np.broadcast_to(np.uint8(0), (1, *series.shape)), series.affine)


def _stem(file: Path) -> str:
    ending = split_ending(file.name)[1] or point_ending(file)
    return file.name[: -len(ending)] if ending else case_of(file.name)


def _refuse_existing(paths: list[Path]) -> None:
    for path in paths:
        if path.exists():
            raise BadInput("there is such a file already", path, "Choose another folder with -o, or move it away")
