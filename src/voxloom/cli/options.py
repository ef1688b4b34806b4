"""Options that several commands have, each with its words once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Optional, cast

import typer

from voxloom.device_names import NAMES


class PlaneName(StrEnum):
    """Anatomical planes."""

    sagittal = "sagittal"
    coronal = "coronal"
    axial = "axial"


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
FiguresRun = Annotated[Path, typer.Argument(help="A run, or a folder with a metrics.csv.")]
AttributeTable = Annotated[
    Optional[Path], typer.Option(help="Table with a column case and the attributes. [default: those the run kept]")
]
CaseMetric = Annotated[
    Optional[str], typer.Option(help="dice, nsd ... of label maps, mae of numbers. [default: the first]")
]
Endpoint = Annotated[
    Optional[str], typer.Option(help="Address of another hub. [default: $HF_ENDPOINT, then Hugging Face's]")
]
Device = Annotated[str, typer.Option(help=f"{NAMES}.")]
RecipeDevice = Annotated[Optional[str], typer.Option(help=f"{NAMES}.")]
On = Annotated[Optional[str], typer.Option(help="test or held-out. [default: test where there is one]")]


def cases_of(on: str | None) -> Literal["test", "held-out"] | None:
    """Which cases ``On`` means (BadInput for another word)."""
    from voxloom.errors import BadInput

    if on not in (None, "test", "held-out"):
        raise BadInput(f"--on {on} is not known", None, "Choose test or held-out")
    return cast("Literal['test', 'held-out'] | None", on)


def names_of(text: str | None) -> list[str]:
    """The names of a list with commas; none where it was left out."""
    return [name.strip() for name in text.split(",")] if text is not None else []
