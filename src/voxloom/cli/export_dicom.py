"""``voxloom export-dicom``: a mask or points as DICOM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from voxloom.cli.options import ResampleTilt, Series


def command(
    file: Annotated[Path, typer.Argument(help="Label map in any format, or points (.csv, .mrk.json, .fcsv).")],
    source: Annotated[Path, typer.Option("--source", help="The DICOM series that it belongs to: a folder or a file.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the DICOM files.")],
    formats: Annotated[
        Optional[str],
        typer.Option(
            "--format", help="seg, seg-labelmap, rtstruct, sr, sc; several with commas [default: seg; of points sr]."
        ),
    ] = None,
    labels: Annotated[
        Optional[Path], typer.Option("--labels", help="Table (CSV): value, label, and their codes and colors.")
    ] = None,
    algorithm: Annotated[
        Optional[str], typer.Option(help="Name of the program that drew it [default: it was drawn by hand].")
    ] = None,
    version: Annotated[str, typer.Option("--algorithm-version", help="Its version, or the hash of its weights.")] = "",
    series: Series = None,
    resample_tilt: ResampleTilt = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write FILE as DICOM objects of the series that it belongs to: segmentation, contours, report, preview."""
    from voxloom.cli import output
    from voxloom.verbs.dicom_results import parse_formats
    from voxloom.verbs.export_dicom import ExportOptions, export_dicom

    options = ExportOptions(
        formats=() if formats is None else parse_formats(formats),
        labels=labels,
        algorithm=algorithm,
        version=version,
        series=tuple(series or ()),
        resample_tilt=resample_tilt,
    )
    written = export_dicom(file, source, out, options)
    facts = {"written": [str(path) for path in written]}
    output.done(written, None, facts if json_output else None)
