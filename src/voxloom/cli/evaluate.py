"""``voxloom evaluate``: score a run, or one folder of masks against another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from voxloom.dataset import Labels
    from voxloom.evaluation import Evaluation


def command(
    run: Annotated[Optional[Path], typer.Argument(help="Folder of a run.")] = None,
    dataset: Annotated[Optional[Path], typer.Argument(help="Labelled data set; without it the held-out cases.")] = None,
    pred: Annotated[Optional[Path], typer.Option("--pred", help="Folder of predicted label maps.")] = None,
    truth: Annotated[Optional[Path], typer.Option("--truth", help="Folder of true label maps.")] = None,
    labels: Annotated[
        Optional[str], typer.Option(help="dataset.json with the labels' names, or NAME=VALUE,... [default: all values]")
    ] = None,
    instances: Annotated[
        Optional[str],
        typer.Option(help="Score single structures: labels (A,B) that hold several each, or auto. With --pred."),
    ] = None,
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="Folder for metrics.csv and summary.json.")] = None,
    workers: Annotated[Optional[int], typer.Option(help="Processes. [default: chosen by the work]")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Score RUN on DATASET or on its held-out cases; or the masks of --pred against those of --truth."""
    from voxloom.errors import BadInput

    if run is not None and instances is not None:
        raise BadInput(
            "--instances goes with --pred and --truth", None, "A run counts what its recipe's inference.instances names"
        )
    if run is not None and pred is None and truth is None:
        _evaluate_run(run, dataset, out, json_output)
    elif run is None and pred is not None and truth is not None:
        _evaluate_folders(pred, truth, labels, instances, out, workers, json_output)
    else:
        raise BadInput(
            "give a RUN, or both --pred and --truth", None, "Example: voxloom evaluate --pred DIR --truth DIR"
        )


def _evaluate_run(run: Path, dataset: Path | None, out: Path | None, json_output: bool) -> None:
    from voxloom.cli import output
    from voxloom.study.evaluation import evaluate_run
    from voxloom.study.run import is_landmark_run

    if is_landmark_run(run):
        _evaluate_landmarks(run, dataset, out, json_output)
        return
    result = evaluate_run(run, dataset, out)
    wrote = [result.report()]
    if dataset is not None:
        wrote.append((out or run / "test") / "metrics.csv")
    if result.structures is not None:
        wrote.append((run if dataset is None else out or run / "test") / "structures.csv")
    for warning in result.warnings:
        output.note(f"Warning: {warning}")
    _show(result.evaluation, wrote, f"voxloom predict {run} SCAN -o OUT", json_output, result.structures)


def _evaluate_landmarks(run: Path, dataset: Path | None, out: Path | None, json_output: bool) -> None:
    from voxloom.cli import output
    from voxloom.report.points_table import point_rows
    from voxloom.study.landmarks.evaluate import evaluate_landmarks

    result = evaluate_landmarks(run, dataset, out)
    wrote = [result.report()]
    if dataset is not None:
        wrote.append((out or run / "test") / "metrics.csv")
    for warning in result.warnings:
        output.note(f"Warning: {warning}")
    summary = result.summary()
    output.table(point_rows(summary), title=f"{summary['cases']} cases")
    output.done(wrote, f"voxloom predict {run} SCAN -o OUT", summary if json_output else None)


def _evaluate_folders(
    pred: Path,
    truth: Path,
    labels: str | None,
    instances: str | None,
    out: Path | None,
    workers: int | None,
    json_output: bool,
) -> None:
    from voxloom.cli import output
    from voxloom.errors import BadInput, VoxloomError
    from voxloom.evaluation import evaluate_folders
    from voxloom.evaluation.folders import find_labels, label_files
    from voxloom.files import write_json

    true = label_files(truth)
    chosen = parse_labels(labels) if labels is not None else find_labels(true)
    failures: list[VoxloomError] = []
    with output.progress_bar("Evaluating") as progress:
        evaluation = evaluate_folders(
            pred, truth, chosen, workers=workers, progress=progress, failed=lambda case, error: failures.append(error)
        )
    if len(failures) == len(true):
        raise failures[0]
    wrote = []
    if out is not None:
        found = label_files(pred)
        files = {case: (str(true[case]), str(found.get(case, ""))) for case in evaluation.cases}
        values = {
            label.name: str(label.values[0] if len(label.values) == 1 else label.values) for label in chosen.foreground
        }
        wrote = [
            evaluation.write_csv(out / "metrics.csv"),
            evaluation.write_nnunet_summary(out / "summary.json", files, values),
        ]
        write_json(out / "statistics.json", output.plain(evaluation.summary()))
        wrote.append(out / "statistics.json")
    structures = None
    if instances is not None:
        structures = _match_folders(pred, truth, chosen, instances, evaluation.cases, out, workers)
        wrote += [out / "structures.csv"] if out is not None else []
    for case in evaluation.missing:
        output.note(f"{case}: no prediction in {pred}; counted as a prediction of nothing")
    _show(evaluation, wrote, None, json_output, structures)
    for error in failures:
        output.note(f"Not scored: {error}")
    if failures:
        kind = BadInput if all(isinstance(error, BadInput) for error in failures) else VoxloomError
        raise kind(f"{len(failures)} of {len(true)} cases could not be scored; the figures are of the others")


def _match_folders(
    pred: Path,
    truth: Path,
    labels: Labels,
    instances: str,
    cases: Sequence[str],
    out: Path | None,
    workers: int | None,
) -> dict[str, Any]:
    """Figures of single structures; their table goes into ``out``."""
    from voxloom.cli import output
    from voxloom.evaluation.instances import several_of
    from voxloom.evaluation.structure_folders import match_folders

    several = several_of("auto" if instances == "auto" else instances.split(","), labels)
    with output.progress_bar("Matching structures") as progress:
        table = match_folders(pred, truth, labels, several, cases=cases, workers=workers, progress=progress)
    if out is not None:
        table.write_csv(out / "structures.csv")
    return table.summary()


def parse_labels(text: str) -> Labels:
    """Labels of a ``dataset.json``, or of ``NAME=VALUE,NAME=VALUE``."""
    from voxloom.dataset import Label, Labels
    from voxloom.errors import BadInput
    from voxloom.files import read_json

    if "=" not in text:
        path = Path(text)
        if not path.is_file():
            raise BadInput("no such file", path, "Give a dataset.json, or names: --labels liver=1,tumour=2")
        content = read_json(path)
        declared = content.get("labels") if isinstance(content, dict) else None
        if not isinstance(declared, dict):
            raise BadInput("declares no labels", path, 'Write "labels": {"background": 0, "name": 1}')
        # the Decathlon writes {"1": "name"}
        swapped = {v: int(k) for k, v in declared.items() if isinstance(v, str) and k.isdecimal()}
        return Labels.from_nnunet(swapped or declared)
    pairs = [part.split("=", 1) for part in text.split(",")]
    if any(len(pair) != 2 or not pair[1].strip().isdigit() for pair in pairs):
        raise BadInput(f"--labels {text} is not NAME=VALUE,NAME=VALUE", None, "Example: --labels liver=1,tumour=2")
    return Labels(tuple(Label(name.strip(), (int(value),)) for name, value in pairs))


def _show(
    evaluation: Evaluation,
    wrote: list[Path],
    next_step: str | None,
    json_output: bool,
    structures: dict[str, Any] | None = None,
) -> None:
    from voxloom.cli import output

    summary = evaluation.summary()
    output.table(rows(summary), title=f"{summary['cases']} cases")
    if structures is not None:
        output.table(structure_rows(structures), title=structure_title(structures))
        summary = {**summary, "structures": structures}
    output.done(wrote, next_step, summary if json_output else None)


def structure_title(structures: dict[str, Any]) -> str:
    """How many structures were found."""
    return (
        f"{structures['true']} structures: {structures['found']} found, {structures['missed']} missed, "
        f"{structures['extra']} extra, {structures['same_number']} of those found with the right number from the head"
    )


def structure_rows(structures: dict[str, Any]) -> list[list[str]]:
    """A row per number from the head and label, and one for all."""
    from voxloom.evaluation.statistics import interval_text

    lines = [["structure", "n", "Dice mean [95 % CI]", "median", "SD", "lowest"]]
    for name, dice in structures["dice"].items():
        mean = f"{dice['mean']:.4f} [{interval_text(*dice['ci'], 4)}]"
        lines.append([name, str(dice["n"]), mean, f"{dice['median']:.4f}", f"{dice['sd']:.4f}", f"{dice['min']:.4f}"])
    return lines


def rows(summary: dict[str, Any]) -> list[list[str]]:
    """A table for the screen: a row per label; infinite distances are shown and counted."""
    from voxloom.evaluation.statistics import interval_text

    lines = [
        ["label", "Dice mean [95 % CI]", "median", "SD", "HD95 mm", "ASSD mm", "volume error ml", "one mask empty"]
    ]
    for label, dice in summary["dice"].items():
        hd, assd, error = (summary[m][label] for m in ("hd95", "assd", "volume_error_ml"))
        kinds = summary["kinds"].get(label, {})
        lines.append(
            [
                label,
                f"{dice['mean']:.4f} [{interval_text(*dice['ci'], 4)}]",
                f"{dice['median']:.4f}",
                f"{dice['sd']:.4f}",
                f"{hd['mean']:.2f}",
                f"{assd['mean']:.2f}",
                f"{error['mean']:+.3f}",
                str(kinds.get("truth_empty", 0) + kinds.get("prediction_empty", 0)) if kinds else "",
            ]
        )
    return lines
