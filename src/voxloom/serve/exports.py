"""Drawings in the formats that people take away: NIfTI, DICOM SEG, 3D Slicer markups, CSV."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from voxloom.dataset import Labels
from voxloom.errors import BadInput
from voxloom.evaluation.folders import find_labels
from voxloom.formats import read_label
from voxloom.formats.dicom.results import Author, Segment, open_source, shipped, write_seg
from voxloom.points import read_points, write_points
from voxloom.serve.store import Store, Version


@dataclass(frozen=True)
class Export:
    """Bytes, what they are, and the ending of their file."""

    data: bytes
    media: str
    ending: str


def export(store: Store, case: str, version: Version, form: str, labels: Labels | None) -> Export:
    """A version in another format.

    Parameters
    ----------
    form : "nifti", "csv" (volumes) or, of a DICOM series, "seg" of a label map; "mrk.json" or "csv" (positions in RAS mm) of points.
    labels : names of the values; None names them by value.

    Raises
    ------
    BadInput : the kind of drawing has no such format.
    """
    ways: Mapping[str, Callable[[Path], Export]]
    if version.kind == "label":
        ways = {
            "nifti": lambda path: Export(path.read_bytes(), "application/gzip", ".nii.gz"),
            "csv": lambda path: Export(volumes_csv(path, case, labels), "text/csv", ".csv"),
            "seg": lambda path: Export(seg_bytes(store, case, version, path, labels), "application/dicom", ".seg.dcm"),
        }
    else:
        ways = {
            "mrk.json": lambda path: Export(path.read_bytes(), "application/json", ".mrk.json"),
            "csv": lambda path: Export(points_csv(path, case), "text/csv", ".csv"),
        }
    if form not in ways:
        raise BadInput(f"a drawing of kind {version.kind} is not exported as {form!r}", "as", f"Take {', '.join(ways)}")
    return ways[form](store.drawings(case).file(version))


def seg_bytes(store: Store, case: str, version: Version, path: Path, labels: Labels | None) -> bytes:
    """A DICOM SEG of the series that the case is, by the hand of the version's author.

    Raises
    ------
    BadInput : the case is not a DICOM series, or a value has no label.
    """
    series = store.series(case)
    if series is None:
        raise BadInput("only a DICOM series has a DICOM SEG", "as", "Take nifti")
    source, table, named = open_source(series), shipped(), labels or find_labels({case: path})
    pairs = zip(named.names, named.written_values, strict=True)
    segments = [Segment(value, name, table.meaning(name)) for name, value in pairs]
    author = Author(version.author or "reader", by_hand=True)
    with tempfile.TemporaryDirectory() as folder:
        mask = source.fitted(read_label(path))
        return write_seg(mask, segments, source, Path(folder) / "drawing.seg.dcm", author).read_bytes()


def volumes_csv(path: Path, case: str, labels: Labels | None) -> bytes:
    """A row per label: voxels and millilitres (cubic pixels where nobody said the size of a voxel)."""
    label = read_label(path)
    named = labels or find_labels({case: path})
    cell = abs(float(label.spacing[0] * label.spacing[1] * label.spacing[2]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "label", "voxels", "volume_ml" if label.unit == "mm" else "volume_voxels"])
    for name, mask in named.masks(label.data[0]):
        count = int(mask.sum())
        writer.writerow([case, name, count, f"{count * cell / 1000 if label.unit == 'mm' else count:.6g}"])
    return text.getvalue().encode("utf-8")


def points_csv(path: Path, case: str) -> bytes:
    """Case, name, side and RAS mm of every point."""
    with tempfile.TemporaryDirectory() as folder:
        return write_points(read_points(path), Path(folder) / "points.csv", case).read_bytes()
