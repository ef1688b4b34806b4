"""``voxloom sweep``: train many runs with changed recipe keys and tabulate them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from voxloom.cli.machines import HELP

if TYPE_CHECKING:
    from voxloom.sweep.explain import Lesson
    from voxloom.sweep.run import SweepResult
    from voxloom.sweep.trial import Record
    from voxloom.sweep.workers import Workers


def command(
    sweep: Annotated[
        str, typer.Argument(help="YAML file (data, recipe, and what is varied over), or the name of a shipped sweep.")
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of the sweep.")],
    data: Annotated[Optional[Path], typer.Option(help="Data set, instead of the file's.")] = None,
    test: Annotated[
        Optional[Path],
        typer.Option(
            help="Data set that no run sees: every finished run is scored on it too, and none is chosen by it."
        ),
    ] = None,
    on: Annotated[str, typer.Option(help=HELP)] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time, for --on local.")] = 1,
    cpus: Annotated[float, typer.Option(min=0, help="CPU cores of one run, for Ray.")] = 1,
    gpus: Annotated[float, typer.Option(min=0, help="Graphics cards of one run, for Ray; 0.5 shares one.")] = 0,
    assign: Annotated[
        Optional[list[str]],
        typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe key in all runs, e.g. training.batch=4."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the sweep in -o; finished runs are kept.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="With --resume: run failed runs again.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train the runs that SWEEP describes, record every one, and aggregate their scores by factor."""
    from voxloom.cli import output
    from voxloom.cli.train import parse_assignments
    from voxloom.sweep import Sweep, run_sweep

    asked = Sweep.load(sweep, data=data, changes=parse_assignments(assign or []), test=test)
    try:
        result = run_sweep(
            asked,
            out,
            lambda: start_workers(on, workers, cpus, gpus),
            resume=resume,
            retry_failed=retry_failed,
            listener=lambda record, total: output.note(progress_line(record, total)),
            tell=output.note,
        )
    except KeyboardInterrupt:
        output.note(f"Interrupted and saved. Continue with the same command and --resume, of {sweep} in {out}")
        raise
    _show(result, json_output)


def start_workers(on: str, workers: int, cpus: float, gpus: float) -> Workers:
    """Processes here, or a Ray cluster."""
    from voxloom.machines.cluster import address_of
    from voxloom.sweep.on_ray import RayWorkers
    from voxloom.sweep.workers import LocalWorkers

    return LocalWorkers(workers) if on == "local" else RayWorkers(address_of(on), cpus=cpus, gpus=gpus)


def progress_line(record: Record, total: int) -> str:
    """One line per ended trial."""
    levels = "  ".join(
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in record.levels.items()
    )
    how = f"failed: {record.error}" if record.score is None else f"{record.score:.4f} in {record.seconds:.0f} s"
    return f"{record.number}/{total}  {levels}  {how}"


def _show(result: SweepResult, json_output: bool) -> None:
    from voxloom.cli import output
    from voxloom.errors import VoxloomError

    if json_output:
        output.done([], None, facts_of(result))
    else:
        tell(result)
    failed = [record for record in result.records if record.status == "failed"]
    if failed:
        output.note(
            f"{len(failed)} of {len(result.records)} runs failed; the reasons are in {result.folder / 'table.csv'}"
        )
    if result.best is None:
        raise VoxloomError("no run of the sweep finished")


def facts_of(result: SweepResult) -> dict[str, Any]:
    """A sweep as JSON values."""
    found = None if result.lesson is None else result.lesson.importance
    return {
        "folder": str(result.folder),
        "best": None if result.best is None else result.best.number,
        "trials": [asdict(r) for r in result.records],
        "tests": result.tests,
        "chosen_by": None if result.best is None else chosen_by(result, result.best),
        "importance": None if found is None else found.to_dict(),
        "tables": [table.to_dict() for table in result.tables],
    }


def tell(result: SweepResult) -> None:
    """Tables, what mattered, the best trial and the files of a sweep, for the screen."""
    from voxloom.cli import output
    from voxloom.report.aggregate_tables import as_text

    if result.tables:
        typer.echo(as_text(result.tables).rstrip())
    if result.lesson is not None:
        show_lesson(result.lesson)
    next_step: list[object] | None = None
    if result.best is not None:
        typer.echo(f"Best: trial {result.best.number} with {result.best.score:.4f}")
        output.note(chosen_by(result, result.best))
        run = result.folder / "runs" / f"{result.best.number:04d}"
        next_step = ["voxloom", "predict", run, "SCAN", "-o", "OUT"]
    output.done(result.written, next_step)


def chosen_by(result: SweepResult, best: Record) -> str:
    """What the best score is worth: the cases that it comes from chose the trial, and the weights of its run."""
    told = "It was chosen by this figure, on the cases that chose its weights too, so the figure is too good"
    score = result.tests.get(best.number, {}).get("score")
    if score is not None:
        return f"{told}; on the test set it has {score:.4f}, the figure to report"
    return f"{told}: score it on unseen cases with --resume --test DATASET, or voxloom evaluate"


def show_lesson(lesson: Lesson) -> None:
    """The best trials of a search, and which setting mattered."""
    from voxloom.cli import output
    from voxloom.report.importance_table import best_table, importance_note, importance_rows

    output.table(best_table(lesson.best, lesson.columns), title="Best trials")
    if lesson.importance is None:
        output.note(f"\nImportance of the settings: not computed ({lesson.reason})")
        return
    output.table(importance_rows(lesson.importance), title="Importance (linear regression)")
    output.note(importance_note(lesson.importance))
