"""``voxloom predict`` for a run that was trained on points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def predict_points(
    folder: Path,
    inputs: list[Path],
    out: Path,
    ending: str | None,
    resample_tilt: bool,
    device: str,
    json_output: bool,
    series: Sequence[str] = (),
) -> None:
    """Predict the points of scans into ``out``."""
    from voxloom.cli import output
    from voxloom.errors import BadInput, VoxloomError
    from voxloom.study.find_scans import find_scans
    from voxloom.study.landmarks.predict import LandmarkPredictor, predict_point_scans
    from voxloom.study.outputs import Origin, claim_outputs
    from voxloom.study.run import Run
    from voxloom.study.scans import Scan

    if ending not in (None, ".csv", ".mrk.json", ".fcsv"):
        raise BadInput(f"points cannot be written as {ending}", None, "Use --ending .csv, .mrk.json or .fcsv")
    predictor = LandmarkPredictor.of(Run(folder), device=device)
    scans = find_scans(inputs, len(predictor.channels), predictor.may_lack, series=series, tell=output.note)
    filled = output.filled_channels(scans, predictor.channels)
    origins = {f"{scan.name}{ending or '.csv'}": Origin(scan.source[0], scan.files, scan.series) for scan in scans}
    claim_outputs(out, origins, output.note)
    failures: list[tuple[Scan, VoxloomError]] = []
    alone = len(scans) == 1
    with output.progress_bar("Predicting") as progress:
        written = list(
            predict_point_scans(
                predictor,
                scans,
                out,
                ending=ending or ".csv",
                resample_tilt=resample_tilt,
                progress=progress,
                failed=None if alone else lambda scan, error: failures.append((scan, error)),
            )
        )
    output.not_predicted(failures)
    told = {"filled": filled} if filled else {}
    result = {
        "written": [str(p) for p in written],
        **told,
        "failed": {scan.name: str(error) for scan, error in failures},
    }
    output.done(written, ["voxloom", "evaluate", folder, "DATASET"], result if json_output else None)
    if failures:
        raise VoxloomError(f"{len(failures)} of {len(scans)} scans could not be predicted")
