"""``voxloom stress``: how a run's figure falls while scans get worse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from voxloom.cli.machines import spread


@spread
def command(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    dataset: Annotated[
        Optional[Path], typer.Argument(help="Annotated data set; without it the held-out cases of the run.")
    ] = None,
    only: Annotated[Optional[str], typer.Option(help="Some stresses, NAME,NAME. [default: all]")] = None,
    cases: Annotated[int, typer.Option(help="At most so many cases, evenly chosen; 0 takes all.")] = 10,
    seed: Annotated[int, typer.Option(help="Of noise and shading.")] = 0,
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="Folder. [default: stress in the run]")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Predict ever worse scans: noise, shading, blur, coarser voxels, rotation, wrong headers, crops."""
    from voxloom.cli import output
    from voxloom.evaluation.stress import stresses_named
    from voxloom.files import write_json
    from voxloom.report.stress_page import figure_title, write_stress_report
    from voxloom.verbs.evaluate import report_run
    from voxloom.verbs.stress import curves, stress_run, to_dict, write_rows

    stresses = stresses_named(only)
    with output.progress_bar("Predicting") as progress:
        notes: list[str] = []
        made = stress_run(run, dataset, stresses, most=cases, seed=seed, progress=progress, tell=notes.append)
    found = curves(made.rows, stresses, made.fall)
    result, folder = to_dict(found, made.rows, made.figure), out or run / "stress"
    result["warnings"] += notes
    write_json(folder / "stress.json", output.plain(result))
    wrote = [write_rows(made.rows, folder / "stress.csv", made.figure), folder / "stress.json"]
    wrote.append(write_stress_report(result, run.resolve().name, folder))
    if out is None:
        wrote.append(report_run(run))
    output.table(table(result), title=f"{result['cases']} cases, mean {figure_title(result)}")
    for warning in result["warnings"]:
        output.note(warning)
    output.done(wrote, output.Page(folder / "stress.html"), result if json_output else None)


def table(result: dict[str, Any]) -> list[list[str]]:
    """A table for the screen: a row per stress."""
    lines = [["stress", "as is, then each level", f"first level with {result['fall_text']}"]]
    for curve in result["curves"]:
        steps = "  ".join(f"{level} {m['value']:.3f}" for level, m in zip(curve["levels"], curve["means"], strict=True))
        bad = curve["first_bad"]
        lines.append(
            [curve["title"], steps, "none" if bad is None else f"{curve['levels'][bad]} {curve['unit']}".strip()]
        )
    return lines
