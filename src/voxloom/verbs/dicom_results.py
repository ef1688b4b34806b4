"""What a prediction becomes as DICOM, beside the file that its task writes.

Knows which formats there are, whose series a result belongs to and who answers for it. The objects themselves are made by
``voxloom.formats.dicom.results``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from voxloom.dataset.tables import name_some
from voxloom.ensemble.predictor import member_folds
from voxloom.errors import BadInput
from voxloom.evaluation.sizes import size_of
from voxloom.formats import format_of
from voxloom.formats.dicom import choose_series
from voxloom.formats.dicom.results import (
    Author,
    Figure,
    Findings,
    Segment,
    SourceSeries,
    Stored,
    Table,
    open_source,
    read_codes,
    shipped,
    write_preview,
    write_probabilities,
    write_report,
    write_rtstruct,
    write_seg,
)
from voxloom.notes import tell
from voxloom.run.identity import files_id, weights_id
from voxloom.run.run import Run
from voxloom.run.scans import Scan, read_scan
from voxloom.tasks.abilities import need
from voxloom.verbs.options import FORMATS
from voxloom.volume import Volume

_KINDS: dict[str, Literal["BINARY", "LABELMAP"]] = {"seg": "BINARY", "seg-labelmap": "LABELMAP"}
#: A user's table of codes in the folder of a run.
CODES = "codes.csv"
NONE_RESAMPLED: Mapping[str, str] = MappingProxyType({})


def parse_formats(text: str) -> tuple[str, ...]:
    """Formats from ``"seg,sr"``, each once (BadInput for an unknown one)."""
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    if not names or (unknown := [name for name in names if name not in FORMATS]):
        what = f"there is no format {unknown[0]!r}" if names else "names no format"
        raise BadInput(what, "--format", f"Known: {', '.join(FORMATS)}; several with commas")
    return names


def check_formats(folder: Path, run: Run | None, formats: Sequence[str]) -> None:
    """Refuse formats that the task of a run, or an ensemble, cannot give (BadInput)."""
    for name in formats:
        if run is not None:
            need(run, f"predict --format {name}")
        elif name == "seg-fractional":
            raise BadInput("--format seg-fractional is for runs", folder, "Predict with a member of the ensemble")


@dataclass(frozen=True)
class DicomWriter:
    """Writes the predictions of a run as DICOM.

    Parameters
    ----------
    formats : of ``FORMATS``.
    author : name of the run, and the hash of its weights.
    table : codes of labels.
    resample_tilt : as the scans are read.
    """

    formats: tuple[str, ...]
    author: Author
    table: Table
    resample_tilt: bool = False

    @classmethod
    def of(
        cls, folder: Path, run: Run | None, formats: Sequence[str], codes: Path | None, resample_tilt: bool
    ) -> DicomWriter:
        """For a run, or an ensemble of runs; codes of ``codes`` go before those in the run, and these before Voxloom's own."""
        if not formats:
            return cls((), Author(folder.resolve().name), shipped())
        version = weights_id(run) if run is not None else files_id(member_folds(folder))
        author = Author(folder.resolve().name, version)
        return cls(tuple(formats), author, codes_of(folder, codes), resample_tilt)

    def names(self, scan: Scan) -> list[str]:
        """Names of the files of one scan."""
        return [f"{scan.name}.{name}.dcm" for name in self.formats]

    def check(self, scans: Sequence[Scan]) -> None:
        """Refuse scans that are not DICOM series (BadInput naming them), before any work."""
        others = [scan.name for scan in scans if format_of(scan.source[0]) != "dicom"]
        if others and self.formats:
            what = f"--format {','.join(self.formats)} needs DICOM series, and {name_some(others)} is none"
            raise BadInput(what, None, "Give the DICOM folders, or leave --format out")

    def write(
        self, findings: Findings, volume: Volume, scan: Scan, out: Path, resampled: Mapping[str, str] = NONE_RESAMPLED
    ) -> list[Path]:
        """The DICOM objects of one prediction, in the order of the formats.

        Parameters
        ----------
        volume : the scan as it was predicted; one that shows a part of it only is read again for a preview.
        resampled : what ``resampled_channels`` says of the scan; the objects tell it.
        """
        source = source_of(scan, self.resample_tilt)
        image = volume
        if "sc" in self.formats and volume.shape != source.shape:
            image = read_scan(scan, self.resample_tilt)
        if findings.names and (unused := self.table.unused(findings.names.values())):
            what = f"the table of codes has rows for {name_some(unused)}, which the run does not label"
            tell(self.author.name, f"{what}; it labels {name_some(findings.names.values())}", warning=True)
        segments = segments_of(findings.names, self.table, self.author.name)
        author = replace(self.author, parameters=tuple(resampled.items()))
        return write_objects(self.formats, findings, image, segments, source, out / scan.name, author)


def write_objects(
    formats: Sequence[str],
    findings: Findings,
    image: Volume,
    segments: Sequence[Segment],
    source: SourceSeries,
    stem: Path,
    author: Author,
) -> list[Path]:
    """Objects of the formats as ``STEM.FORMAT.dcm``; a report refers to the segmentation that is written with it."""
    paths = {name: stem.with_name(f"{stem.name}.{name}.dcm") for name in formats}
    stored = None
    for name in sorted(formats, key=FORMATS.index):
        path = paths[name]
        if name == "sr":
            write_report(with_sizes(findings, segments, source), segments, source, path, author, stored)
        elif name == "sc":
            write_preview(image.present[0], findings, segments, source, path, author)
        elif name == "seg-fractional":
            assert findings.probabilities is not None
            write_probabilities(findings.probabilities, segments, source, path, author)
        else:
            assert findings.mask is not None
            if name == "rtstruct":
                write_rtstruct(findings.mask, segments, source, path, author)
            else:
                write_seg(findings.mask, segments, source, path, author, kind=_KINDS[name])
                stored = stored or _stored(path)
    return list(paths.values())


def with_sizes(findings: Findings, segments: Sequence[Segment], source: SourceSeries) -> Findings:
    """What was found, with volume and diameters of every label that has voxels."""
    if findings.mask is None:
        return findings
    found = list(findings.figures)
    for one in segments:
        if (size := size_of(findings.mask == one.value, source.affine)) is not None:
            found += [
                Figure("Volume", size.volume, "mL", label=one.name),
                Figure("Maximum 3D Diameter", size.diameter, "mm", label=one.name),
                Figure("Long Axis", size.long_axis, "mm", label=one.name),
                Figure("Short Axis", size.short_axis, "mm", label=one.name),
            ]
    return replace(findings, figures=tuple(found))


def _stored(path: Path) -> Stored:
    import pydicom

    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    return Stored(dataset, {str(one.SegmentLabel): int(one.SegmentNumber) for one in dataset.SegmentSequence})


def segments_of(names: Mapping[int, str], table: Table, who: Any) -> list[Segment]:
    """Labels with their codes, in the order of ``names``; those without a code of their own are told."""
    found = [Segment(value, name, table.meaning(name)) for value, name in names.items()]
    if generic := [one.name for one in found if one.meaning.generic]:
        what = f"no code is known for {name_some(generic)}: written as Tissue (SNOMED CT 85756007)"
        tell(who, f"{what}; give codes in a table: docs/dicom-results.md")
    return found


def codes_of(folder: Path | None, codes: Path | None) -> Table:
    """Codes of labels: a user's table, then that in the folder of a run, then those that come with Voxloom."""
    table = shipped()
    if folder is not None and (folder / CODES).is_file():
        table = read_codes(folder / CODES).over(table)
    return table if codes is None else read_codes(codes).over(table)


def source_of(scan: Scan, resample_tilt: bool) -> SourceSeries:
    """The series of a scan; of several channels that of the first."""
    path = scan.source[0]
    files = choose_series(path, scan.series) if scan.series and path.is_dir() else path
    return open_source(files, resample_tilt=resample_tilt)
