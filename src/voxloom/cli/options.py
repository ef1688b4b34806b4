"""Options that several commands have, each with its words once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

ResampleTilt = Annotated[
    bool, typer.Option("--resample-tilt", help="Read CT with gantry tilt or uneven slices onto an upright grid.")
]
Around = Annotated[
    Optional[Path],
    typer.Option(help="Of a run that looks at a crop: the mask or point of the scan, or a folder with one per scan."),
]
Series = Annotated[
    Optional[list[str]],
    typer.Option(
        "--series", help="Of DICOM folders with several series, read this one: UID, number or description; repeatable."
    ),
]
Scans = Annotated[list[Path], typer.Argument(help="Scans: files, DICOM folders, or folders of files.")]
