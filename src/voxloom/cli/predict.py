"""``voxloom predict``: apply a run to new scans."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from voxloom.cli.machines import spread
from voxloom.cli.options import Around, Device, ResampleTilt, Scans, Series

if TYPE_CHECKING:
    from voxloom.verbs.predict import Predictions


@spread
def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or of an ensemble.")],
    inputs: Scans,
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
            help="Leave out points of less (calibrated) confidence [default: the recipe's]; give no class below it.",
            min=0,
            max=1,
        ),
    ] = None,
    resample_tilt: ResampleTilt = False,
    around: Around = None,
    series: Series = None,
    maps: Annotated[
        bool, typer.Option("--maps", help="Write the networks' probability maps too, into OUT/maps.")
    ] = False,
    overlays: Annotated[
        bool,
        typer.Option(
            "--overlays/--no-overlays",
            help="Of pictures: write each with its label map in color too, into OUT/overlays.",
        ),
    ] = True,
    cutouts: Annotated[
        Optional[float],
        typer.Option(help="Of runs on points: also write a cube of so many mm around every point, into OUT/cutouts."),
    ] = None,
    formats: Annotated[
        Optional[str],
        typer.Option(
            "--format",
            help="Of DICOM series, results as DICOM too: seg, seg-labelmap, seg-fractional, rtstruct, sr, sc; several with commas.",
        ),
    ] = None,
    labels: Annotated[
        Optional[Path], typer.Option("--labels", help="Table (CSV) with codes and colors of labels, for --format.")
    ] = None,
    device: Device = "auto",
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Predict with RUN: label maps on the grids of the scans, points, classes or numbers, whatever RUN was trained on."""
    from voxloom.cli import output
    from voxloom.trust.sampling import Sampling
    from voxloom.verbs.dicom_results import parse_formats
    from voxloom.verbs.options import PredictOptions
    from voxloom.verbs.predict import predict

    sampling = None if uncertainty is None else Sampling.parse(uncertainty, draws, seed)
    options = PredictOptions(
        ending=ending,
        tta=tta,
        seed=seed,
        uncertainty=sampling,
        quality=quality,
        abstain=abstain,
        series=tuple(series or ()),
        resample_tilt=resample_tilt,
        overlays=overlays,
        maps=maps,
        cutouts=cutouts,
        device=device,
        around=around,
        formats=() if formats is None else parse_formats(formats),
        labels=labels,
    )
    say(predict(run, inputs, out, options, output.listener()), out, json_output)


def say(found: Predictions, out: Path, json_output: bool) -> None:
    """Notes, tables and files of a prediction, for the screen or as JSON.

    Raises
    ------
    VoxloomError : scans could not be predicted; they are named before.
    """
    from voxloom.cli import output
    from voxloom.errors import VoxloomError

    output.note_once(
        (name, f"no file of {', '.join(lost)}; filled as in training, where channels were left out at random")
        for name, lost in found.filled.items()
    )
    if found.quality:
        output.table(quality_rows(found.quality), title=found.promise)
    output.not_predicted(found.failed)
    if found.seconds:
        output.note(f"{median(found.seconds):.3g} s per scan (median of {len(found.seconds)})")
    result = {
        "written": [str(path) for path in found.written],
        **({"filled": found.filled} if found.filled else {}),
        **found.told,
        "failed": {name: str(error) for name, error in found.failed.items()},
        "quality": found.quality,
        "seconds": found.seconds,
    }
    output.done(
        found.written, ["voxloom", "evaluate", "--pred", out, "--truth", "DIR"], result if json_output else None
    )
    if found.failed:
        total = len(found.failed) + len(found.files)
        raise VoxloomError(f"{len(found.failed)} of {total} scans could not be predicted")


def quality_rows(judged: list[dict[str, Any]]) -> list[list[str]]:
    """A table for the screen; the least sure cases first, ten at most."""
    ordered = sorted(judged, key=lambda row: row["predicted_dice"])
    lines = [[row["case"], f"{row['predicted_dice']:.3f}", f"{row['bound']:.3f}"] for row in ordered[:10]]
    more = [[f"... and {len(ordered) - 10} more", "", ""]] if len(ordered) > 10 else []
    return [["case", "predicted Dice", "bound"], *lines, *more]
