"""``voxloom phantom``: simulated scans with known truth."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class PhantomKind(StrEnum):
    """The phantoms there are."""

    LUMBAR = "lumbar-mr"
    CERVICAL = "cervical-mr"
    ABDOMEN = "abdomen-ct"
    HEAD = "head-mr"
    KNEE = "knee-mr"
    PELVIS = "pelvis-mr"
    NODULE = "nodule-ct"


class PhantomSize(StrEnum):
    """Small ones are made in a fraction of a second; full ones have the matrix of real scanners."""

    SMALL = "small"
    FULL = "full"


def command(
    kind: Annotated[PhantomKind, typer.Argument(help="What is scanned.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="New folder for the data set.")],
    count: Annotated[int, typer.Option("-n", "--count", help="Number of scans.", min=1)] = 20,
    seed: Annotated[int, typer.Option(help="The same seed gives the same scans.", min=0)] = 0,
    dicom: Annotated[bool, typer.Option("--dicom", help="Images as DICOM series, one folder per scan.")] = False,
    shapes: Annotated[
        Path | None, typer.Option(help="abdomen-ct: folder of kidney and tumor masks to put simulated HU into.")
    ] = None,
    size: Annotated[PhantomSize, typer.Option(help="Matrix of the scans.")] = PhantomSize.SMALL,
    difficulty: Annotated[float, typer.Option(help="Noise, shading and variation.", min=0, max=1)] = 0.3,
    raters: Annotated[
        int, typer.Option(help="Also write how so many simulated raters drew the labels, into raters/R1 ...", min=0)
    ] = 0,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write simulated scans with their labels as a data set in nnU-Net's layout. No patient data is involved."""
    from voxloom.cli import output
    from voxloom.phantom import write_phantoms

    with output.progress_bar("Simulating") as progress:
        folder = write_phantoms(
            kind.value,
            count,
            out,
            seed=seed,
            dicom=dicom,
            shapes=shapes,
            size=size.value,
            difficulty=difficulty,
            raters=raters,
            progress=progress,
        )
    facts = {"folder": str(folder), "kind": kind.value, "cases": count, "seed": seed}
    output.done([folder], ["voxloom", "inspect", folder], facts if json_output else None)
