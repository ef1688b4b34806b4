"""``voxloom predict``: apply a run to new scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    inputs: Annotated[list[Path], typer.Argument(help="Scans: files, DICOM folders, or folders of files.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the label maps.")],
    ending: Annotated[
        Optional[str],
        typer.Option("--ending", help="Format of the results, e.g. .nii.gz, .mha, .nrrd. [default: the input's]"),
    ] = None,
    tta: Annotated[bool, typer.Option("--tta", help="Average over mirror images along all axes (slower).")] = False,
    resample_tilt: Annotated[
        bool, typer.Option("--resample-tilt", help="Read CT with gantry tilt or uneven slices onto an upright grid.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Predict label maps with RUN; each lies on the grid of its scan."""
    from voxloom.cli import output
    from voxloom.errors import VoxloomError
    from voxloom.study.predict import Predictor, Scan, find_scans, predict_scans
    from voxloom.study.run import Run

    predictor = Predictor.of(Run(run), device=device, mirror=(0, 1, 2) if tta else None)
    scans = find_scans(inputs, len(predictor.channels))
    failures: list[tuple[Scan, VoxloomError]] = []
    alone = len(scans) == 1
    with output.progress_bar("Predicting") as progress:
        written = list(
            predict_scans(
                predictor,
                scans,
                out,
                ending=ending,
                resample_tilt=resample_tilt,
                progress=progress,
                failed=None if alone else lambda scan, error: failures.append((scan, error)),
            )
        )
    for scan, error in failures:
        output.note(f"{scan.name} was not predicted: {error}")
    result = {"written": [str(p) for p in written], "failed": {scan.name: str(error) for scan, error in failures}}
    output.done(written, f"voxloom evaluate --pred {out} --truth DIR", result if json_output else None)
    if failures:
        raise VoxloomError(f"{len(failures)} of {len(scans)} scans could not be predicted")
