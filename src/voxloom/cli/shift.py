"""``voxloom shift``: is a data set like the cases that a run was trained on?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from voxloom.cli.options import Device

if TYPE_CHECKING:
    from voxloom.verbs.shift import ShiftReport

#: Cases that the screen lists.
_LISTED = 10


def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    dataset: Annotated[Path, typer.Argument(help="Data set, with or without labels; its test split where it has one.")],
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="Folder for shift.json and shift.html.")] = None,
    features: Annotated[
        bool,
        typer.Option(
            "--features/--no-features", help="Compare the features of the network too; as slow as predicting."
        ),
    ] = True,
    device: Device = "auto",
    workers: Annotated[Optional[int], typer.Option(help="Processes. [default: chosen by the work]")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare DATASET with the training cases of RUN: voxel size, extent, intensities, volumes, and how far each case is off."""
    from voxloom.cli import output
    from voxloom.files import write_json
    from voxloom.report.shift_page import write_shift_page
    from voxloom.verbs.shift import shift_report

    with output.progress_bar("Measuring the data set") as progress:
        found = shift_report(run, dataset, features=features, device=device, workers=workers, progress=progress)
    output.table(rows(found), title=f"{found.name} against the training cases of {run.resolve().name}")
    for case, sentence in list(found.told.items())[:_LISTED]:
        output.note(f"{case}: {sentence}")
    if found.embedding is None:
        output.note(f"Features of the network are not compared: {found.why}")
    result = output.plain(found.to_dict())
    wrote = []
    if out is not None:
        write_json(out / "shift.json", result)
        wrote = [out / "shift.json", write_shift_page(result, run.resolve().name, out / "shift.html")]
    if not json_output:
        typer.echo(found.conclusion())
    page = output.Page(out / "shift.html") if out is not None else None
    output.done(wrote, page, result if json_output else None)


def rows(found: ShiftReport) -> list[list[str]]:
    """A row per fact, the most unlike first, with a header row."""
    from voxloom.evaluation.statistics import p_text

    lines = [["fact", "training: median (range)", "test: median (range)", "outside", "effect", "p (Holm)"]]
    lines += [
        [s.name, s.training, s.test, f"{100 * s.outside:.0f} %", f"{s.effect:+.2f}", p_text(s.p_holm)]
        for s in found.shifts
    ]
    return lines
