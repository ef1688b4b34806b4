"""``voxloom predict``: apply a run to new scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from voxloom.study.ensemble import EnsemblePredictor
    from voxloom.study.predict import Predictor
    from voxloom.study.scans import Scan


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
    tta: Annotated[
        bool, typer.Option("--tta", help="Average over views of the scan, changed as in training (slower).")
    ] = False,
    uncertainty: Annotated[
        Optional[str],
        typer.Option(
            "--uncertainty",
            help="Also write maps of uncertainty: over folds, tta or dropout, or several of them with commas (slow).",
        ),
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws with active dropout.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the views of tta and of dropout.")] = 0,
    quality: Annotated[
        bool, typer.Option("--quality/--no-quality", help="Predict the Dice of each case, if RUN is calibrated (slow).")
    ] = True,
    abstain: Annotated[
        Optional[float],
        typer.Option(
            help="Of a run on points: leave out points of less (calibrated) confidence. [default: landmarks.abstain of the recipe]",
            min=0,
            max=1,
        ),
    ] = None,
    resample_tilt: Annotated[
        bool, typer.Option("--resample-tilt", help="Read CT with gantry tilt or uneven slices onto an upright grid.")
    ] = False,
    series: Annotated[
        Optional[list[str]],
        typer.Option(
            "--series",
            help="Of DICOM folders with several series, read this one: UID, number or description; repeatable.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Predict label maps with RUN, each on the grid of its scan; or points, if RUN was trained on points."""
    from voxloom.cli import output
    from voxloom.cli.predict_points import predict_points
    from voxloom.errors import BadInput, VoxloomError
    from voxloom.study.find_scans import find_scans
    from voxloom.study.outputs import Origin, claim_outputs
    from voxloom.study.predict import Predictor, predict_scans
    from voxloom.study.run import Run, is_landmark_run
    from voxloom.study.tta import views_told
    from voxloom.study.uncertainty import Sampling, check_sources
    from voxloom.study.uncertainty_maps import voices_of, write_uncertainties

    if is_landmark_run(run):
        for option, given in (("--tta", tta), ("--uncertainty", uncertainty is not None)):
            if given:
                Run(run).ask(f"predict {option}")
        predict_points(run, inputs, out, ending, abstain, resample_tilt, device, json_output, series or ())
        return
    if abstain is not None:
        raise BadInput("--abstain is for runs that were trained on points", run, "Leave it out")
    sampling = None if uncertainty is None else Sampling.parse(uncertainty, draws, seed)
    predictor = open_predictor(run, device, tta, seed)
    if sampling is not None:
        check_sources(voices_of(predictor), sampling)
    told_views = None if not isinstance(predictor, Predictor) else views_told(predictor)
    if told_views:
        output.note(told_views)
    scans = find_scans(inputs, len(predictor.channels), predictor.may_lack, series=series or (), tell=output.note)
    filled = output.filled_channels(scans, predictor.channels)
    origins = {f"{scan.name}{ending or scan.ending}": Origin(scan.source[0], scan.files, scan.series) for scan in scans}
    claim_outputs(out, origins, output.note)
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
    lost = {scan.name for scan, _ in failures}
    kept = [scan for scan in scans if scan.name not in lost]
    judged = write_quality(run, predictor, kept, maps, out, resample_tilt) if quality else []
    written += [out / "quality.csv"] if judged else []
    if sampling is not None:
        with output.progress_bar("Measuring the uncertainty") as progress:
            written += write_uncertainties(
                predictor, kept, out / "uncertainty", sampling, resample_tilt=resample_tilt, progress=progress
            )
    output.not_predicted(failures)
    told = {key: value for key, value in (("filled", filled), ("views", told_views)) if value}
    result = {
        "written": [str(p) for p in written],
        **told,
        "failed": {scan.name: str(error) for scan, error in failures},
        "quality": judged,
    }
    output.done(written, ["voxloom", "evaluate", "--pred", out, "--truth", "DIR"], result if json_output else None)
    if failures:
        raise VoxloomError(f"{len(failures)} of {len(scans)} scans could not be predicted")


def open_predictor(folder: Path, device: str, tta: bool, seed: int) -> Predictor | EnsemblePredictor:
    """The networks of a run, or of an ensemble of runs."""
    from voxloom.errors import BadInput
    from voxloom.study.predict import Predictor
    from voxloom.study.run import Run
    from voxloom.study.tta import with_tta

    if (folder / "ensemble.json").is_file():
        if tta:
            fix = "Predict with its members, or set augment.mirror and inference.mirror in their recipes"
            raise BadInput("--tta is for runs", folder, fix)
        from voxloom.study.ensemble import EnsemblePredictor  # brings Lightning along

        return EnsemblePredictor.of(folder, device=device)
    predictor = Predictor.of(Run(folder), device=device)
    return with_tta(predictor, seed) if tta else predictor


def count_structures(run: Path, predictor: Predictor | EnsemblePredictor, maps: list[Path], out: Path) -> list[Path]:
    """Number and measure single structures where the run's recipe asks for it."""
    from voxloom.study.run import Run
    from voxloom.study.structures import write_structures

    return write_structures(Run(run), predictor.labels, maps, out)


def write_quality(
    run: Path,
    predictor: Predictor | EnsemblePredictor,
    scans: list[Scan],
    written: list[Path],
    out: Path,
    resample_tilt: bool,
) -> list[dict[str, Any]]:
    """``quality.csv`` of the label maps just written; nothing for a run that is not calibrated, or an ensemble."""
    from functools import partial

    from voxloom.cli import output
    from voxloom.study.predict import Predictor
    from voxloom.study.quality import Quality, judge
    from voxloom.study.run import Run
    from voxloom.study.scans import read_scan

    calibrated = Quality.of(Run(run), predictor) if isinstance(predictor, Predictor) else None
    if calibrated is None:
        return []
    asked = [(s.name, partial(read_scan, s, resample_tilt), path) for s, path in zip(scans, written, strict=True)]
    with output.progress_bar("Predicting the quality") as progress:
        judged = judge(calibrated, asked, out / "quality.csv", progress=progress)
    output.table(quality_rows(judged), title=calibrated.model.sentence())
    return judged


def quality_rows(judged: list[dict[str, Any]]) -> list[list[str]]:
    """A table for the screen; the least sure cases first, ten at most."""
    ordered = sorted(judged, key=lambda row: row["predicted_dice"])
    lines = [[row["case"], f"{row['predicted_dice']:.3f}", f"{row['bound']:.3f}"] for row in ordered[:10]]
    more = [[f"... and {len(ordered) - 10} more", "", ""]] if len(ordered) > 10 else []
    return [["case", "predicted Dice", "bound"], *lines, *more]
