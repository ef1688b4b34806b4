"""``voxloom evaluate``: score a run, or one folder of masks against another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from voxloom.cli.evaluate_folders import evaluate_pair, parse_instances, parse_labels
from voxloom.cli.figures import show_figures
from voxloom.cli.machines import spread
from voxloom.cli.options import PlaneName, names_of
from voxloom.runfiles import STATISTICS, TABLE, test_in

if TYPE_CHECKING:
    from voxloom.evaluation.measures import Measures


@spread
def command(
    run: Annotated[Optional[Path], typer.Argument(help="Folder of a run.")] = None,
    dataset: Annotated[Optional[Path], typer.Argument(help="Labelled data set; without it the held-out cases.")] = None,
    pred: Annotated[Optional[Path], typer.Option("--pred", help="Folder of predicted label maps.")] = None,
    truth: Annotated[
        Optional[Path], typer.Option("--truth", help="Folder of true label maps, or a data set with labels.")
    ] = None,
    table: Annotated[
        Optional[Path],
        typer.Option(help="Table with the columns case and patient, for the intervals. With --pred."),
    ] = None,
    labels: Annotated[
        Optional[str], typer.Option(help="dataset.json with the labels' names, or NAME=VALUE,... [default: all values]")
    ] = None,
    instances: Annotated[
        Optional[str],
        typer.Option(help="Score single structures: labels (A,B) that hold several each, or auto. With --pred."),
    ] = None,
    metrics: Annotated[
        Optional[str],
        typer.Option(help="Further metrics, e.g. nsd,masd,froc,voxel_ece; suggest-metrics says which fit."),
    ] = None,
    measures: Annotated[
        Optional[str],
        typer.Option(help="Conventions KEY=VALUE,...: hd95=pooled, empty=left_out, tolerance_mm=2, match=overlap."),
    ] = None,
    maps: Annotated[
        Optional[Path],
        typer.Option(help="Folder of probability maps (predict --maps), for froc and voxel_*. With --pred."),
    ] = None,
    slices: Annotated[
        Optional[PlaneName], typer.Option(help="Score single slices of this plane too (slices.csv). With --pred.")
    ] = None,
    out: Annotated[
        Optional[Path],
        typer.Option("-o", "--out", help="Folder for metrics.csv and statistics.json; of --pred also summary.json."),
    ] = None,
    workers: Annotated[Optional[int], typer.Option(help="Processes. [default: chosen by the work]")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Score RUN on DATASET or on its held-out cases; or the masks of --pred against those of --truth."""
    from voxloom.errors import BadInput

    if run is not None:
        refuse_beside_run({"--instances": instances, "--slices": slices, "--table": table, "--maps": maps})
    if run is not None and pred is None and truth is None:
        _evaluate_run(run, dataset, metrics, measures, out, json_output)
    elif run is None and pred is not None and truth is not None:
        from voxloom.verbs.evaluate_folders import FolderOptions

        options = FolderOptions(
            measures=measures_of(metrics, measures),
            labels=None if labels is None else parse_labels(labels),
            table=table,
            maps=maps,
            instances=parse_instances(instances),
            plane=None if slices is None else slices.value,
            workers=workers,
        )
        evaluate_pair(pred, truth, options, out, json_output)
    else:
        raise BadInput(
            "give a RUN, or both --pred and --truth", None, "Example: voxloom evaluate --pred DIR --truth DIR"
        )


#: Options of folders, and what there is of a run in their place.
_OF_FOLDERS = {
    "--instances": "A run counts what its recipe's inference.instances names",
    "--slices": "A run whose network sees slices scores them itself",
    "--table": "A data set names its patients in participants.csv",
    "--maps": "The networks of a run give their probabilities",
}


def refuse_beside_run(given: Mapping[str, object]) -> None:
    """Refuse options of folders beside a run (BadInput)."""
    from voxloom.errors import BadInput

    for option, value in given.items():
        if value is not None:
            raise BadInput(f"{option} goes with --pred and --truth", None, _OF_FOLDERS[option])


def _evaluate_run(
    run: Path,
    dataset: Path | None,
    metrics: str | None,
    conventions: str | None,
    out: Path | None,
    json_output: bool,
) -> None:
    from voxloom.cli import output
    from voxloom.run.run import Run
    from voxloom.tasks.abilities import need
    from voxloom.tasks.task import task_of
    from voxloom.verbs.evaluate import evaluate_run

    asked = None
    if metrics is not None or conventions is not None:
        need(Run(run), "evaluate --metrics")
        asked = measures_of(metrics, conventions, Run(run).recipe.evaluate)
    result = evaluate_run(run, dataset, out, measures=asked)
    wrote = [result.report(), *_kept(run, dataset, out)]
    if result.structures is not None:
        wrote.append((run if dataset is None else out or run / "test") / "structures.csv")
    for warning in result.warnings:
        output.note(f"Warning: {warning}")
    summary = {**result.summary(), "warnings": list(result.warnings)}
    output.table(task_of(Run(run)).details(summary), title=f"{summary['cases']} cases")
    show_figures(summary, result.structures)
    output.done(wrote, ["voxloom", "predict", run, "SCAN", "-o", "OUT"], summary if json_output else None)


def _kept(run: Path, dataset: Path | None, out: Path | None) -> list[Path]:
    """The tables that an evaluation of a run wrote."""
    from voxloom.verbs.evaluate_folders import tables_beside

    if out is None:
        return [] if dataset is None else [test_in(run).table, *tables_beside(test_in(run).folder)]
    return [out / TABLE, *tables_beside(out), out / STATISTICS]


def measures_of(
    metrics: str | None, conventions: str | None, usual: Mapping[str, Any] = MappingProxyType({})
) -> Measures:
    """What the options ask for; ``usual`` holds where they say nothing (BadInput for an unknown name, key or value)."""
    import yaml
    from pydantic import ValidationError

    from voxloom.errors import BadInput
    from voxloom.evaluation.measures import Measures

    values = {**usual, **({} if metrics is None else {"metrics": names_of(metrics)})}
    for part in (conventions or "").split(","):
        key, equals, value = part.partition("=")
        if part and not equals:
            raise BadInput(
                f"--measures {part} is not KEY=VALUE", None, "Example: --measures hd95=pooled,empty=left_out"
            )
        if part:
            values[key.strip()] = yaml.safe_load(value)
    try:
        return Measures.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][:1])
        known = f"Keys are {', '.join(n for n in Measures.model_fields if n != 'metrics')}"
        raise BadInput(f"{where}: {first['msg'].removeprefix('Value error, ')}", None, known) from error
