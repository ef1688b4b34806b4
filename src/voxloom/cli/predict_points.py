"""``voxloom predict`` for a run that was trained on points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def predict_points(
    folder: Path,
    inputs: list[Path],
    out: Path,
    ending: str | None,
    abstain: float | None,
    resample_tilt: bool,
    device: str,
    json_output: bool,
    series: Sequence[str] = (),
) -> None:
    """Predict the points of scans into ``out``; those of less confidence than ``abstain`` are left out, and named."""
    from voxloom.cli import output
    from voxloom.errors import BadInput, VoxloomError
    from voxloom.points import Point
    from voxloom.study.find_scans import find_scans
    from voxloom.study.landmarks.predict import CALIBRATION, LandmarkPredictor, predict_point_scans
    from voxloom.study.outputs import Origin, claim_outputs
    from voxloom.study.run import Run
    from voxloom.study.scans import Scan

    if ending not in (None, ".csv", ".mrk.json", ".fcsv"):
        raise BadInput(f"points cannot be written as {ending}", None, "Use --ending .csv, .mrk.json or .fcsv")
    predictor = LandmarkPredictor.of(Run(folder), device=device).with_abstain(abstain)
    least = predictor.settings.abstain
    if least > 0 and not (folder / CALIBRATION).is_file():
        output.note(
            f"The run had no held-out case to calibrate on: {least:g} is compared with the network's own confidence"
        )
    scans = find_scans(inputs, len(predictor.channels), predictor.may_lack, series=series, tell=output.note)
    filled = output.filled_channels(scans, predictor.channels)
    origins = {f"{scan.name}{ending or '.csv'}": Origin(scan.source[0], scan.files, scan.series) for scan in scans}
    claim_outputs(out, origins, output.note)
    failures: list[tuple[Scan, VoxloomError]] = []
    unsure: dict[str, tuple[Point, ...]] = {}
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
                left_out=lambda scan, points: unsure.update({scan.name: points}),
            )
        )
    for name, points in unsure.items():
        told_points = ", ".join(f"{point.key} ({point.confidence:.2f})" for point in points)
        output.note(f"{name}: left out below a confidence of {least:g}: {told_points}")
    output.not_predicted(failures)
    told = {"filled": filled} if filled else {}
    result = {
        "written": [str(p) for p in written],
        **told,
        "abstain": least,
        "left_out": {
            name: [{"name": p.name, "side": p.side, "confidence": p.confidence} for p in points]
            for name, points in unsure.items()
        },
        "failed": {scan.name: str(error) for scan, error in failures},
    }
    output.done(written, ["voxloom", "evaluate", folder, "DATASET"], result if json_output else None)
    if failures:
        raise VoxloomError(f"{len(failures)} of {len(scans)} scans could not be predicted")
