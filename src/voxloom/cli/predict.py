"""``voxloom predict``: apply a run to new scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from voxloom.study.ensemble import EnsemblePredictor
    from voxloom.study.predict import Predictor, Scan


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or of an ensemble.")],
    inputs: Annotated[list[Path], typer.Argument(help="Scans: files, DICOM folders, or folders of files.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the label maps.")],
    ending: Annotated[
        Optional[str],
        typer.Option(
            "--ending",
            help="Format, e.g. .nii.gz or .mha [default: the input's]; of points .csv, .mrk.json or .fcsv.",
        ),
    ] = None,
    tta: Annotated[bool, typer.Option("--tta", help="Average over mirror images along all axes (slower).")] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Also write the spread over networks and mirror images (slow).")
    ] = False,
    resample_tilt: Annotated[
        bool, typer.Option("--resample-tilt", help="Read CT with gantry tilt or uneven slices onto an upright grid.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Predict label maps with RUN, each on the grid of its scan; or points, if RUN was trained on points."""
    from voxloom.cli import output
    from voxloom.cli.predict_points import predict_points
    from voxloom.errors import VoxloomError
    from voxloom.study.predict import find_scans, predict_scans
    from voxloom.study.run import is_landmark_run

    if is_landmark_run(run):
        predict_points(run, inputs, out, ending, resample_tilt, device, json_output)
        return
    predictor = open_predictor(run, device, tta)
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
    maps = list(written)
    if (run / "recipe.yaml").is_file():
        written += count_structures(run, predictor, maps, out)
    if uncertainty:
        done = {scan.name for scan, _ in failures}
        written += write_uncertainties(predictor, [scan for scan in scans if scan.name not in done], out, resample_tilt)
    for scan, error in failures:
        output.note(f"{scan.name} was not predicted: {error}")
    result = {"written": [str(p) for p in written], "failed": {scan.name: str(error) for scan, error in failures}}
    output.done(written, f"voxloom evaluate --pred {out} --truth DIR", result if json_output else None)
    if failures:
        raise VoxloomError(f"{len(failures)} of {len(scans)} scans could not be predicted")


def open_predictor(folder: Path, device: str, tta: bool) -> Predictor | EnsemblePredictor:
    """The networks of a run, or of an ensemble of runs."""
    from voxloom.errors import BadInput
    from voxloom.study.predict import Predictor
    from voxloom.study.run import Run

    if (folder / "ensemble.json").is_file():
        if tta:
            raise BadInput("--tta is for runs", folder, "Set inference.mirror in the recipes of the members")
        from voxloom.study.ensemble import EnsemblePredictor  # brings Lightning along

        return EnsemblePredictor.of(folder, device=device)
    return Predictor.of(Run(folder), device=device, mirror=(0, 1, 2) if tta else None)


def count_structures(run: Path, predictor: Predictor | EnsemblePredictor, maps: list[Path], out: Path) -> list[Path]:
    """Number and measure single structures where the run's recipe asks for it."""
    from voxloom.study.run import Run
    from voxloom.study.structures import write_structures

    return write_structures(Run(run), predictor.labels, maps, out)


def write_uncertainties(
    predictor: Predictor | EnsemblePredictor, scans: list[Scan], out: Path, resample_tilt: bool
) -> list[Path]:
    """One map ``NAME_uncertainty`` beside every label map."""
    from voxloom.cli import output
    from voxloom.formats import write_volume
    from voxloom.study.predict import Predictor, read_channels
    from voxloom.study.uncertainty import uncertainty

    written = []
    voices = [predictor] if isinstance(predictor, Predictor) else list(predictor.members)
    with output.progress_bar("Measuring the spread") as progress:
        for done, scan in enumerate(scans, start=1):
            source = scan.source[0] if len(scan.source) == 1 else list(scan.source)
            spread = uncertainty(voices, read_channels(source, resample_tilt))
            ending = scan.ending if scan.ending in (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd") else ".nii.gz"
            written.append(write_volume(spread, out / f"{scan.name}_uncertainty{ending}"))
            progress(done, len(scans))
    return written
