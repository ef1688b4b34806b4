"""``voxloom evaluate``: score a run, or one folder of masks against another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from voxloom.dataset import Labels
    from voxloom.evaluation import Evaluation
    from voxloom.evaluation.folders import Truth
    from voxloom.evaluation.measures import Measures
    from voxloom.evaluation.truths import Truths


class PlaneName(StrEnum):
    """Anatomical planes."""

    sagittal = "sagittal"
    coronal = "coronal"
    axial = "axial"


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

    if run is not None and instances is not None:
        raise BadInput(
            "--instances goes with --pred and --truth", None, "A run counts what its recipe's inference.instances names"
        )
    if run is not None and slices is not None:
        raise BadInput(
            "--slices goes with --pred and --truth", None, "A run whose network sees slices scores them itself"
        )
    if run is not None and table is not None:
        raise BadInput(
            "--table goes with --pred and --truth", None, "A data set names its patients in participants.csv"
        )
    if run is not None and maps is not None:
        raise BadInput("--maps goes with --pred and --truth", None, "The networks of a run give their probabilities")
    if run is not None and pred is None and truth is None:
        _evaluate_run(run, dataset, metrics, measures, out, json_output)
    elif run is None and pred is not None and truth is not None:
        asked = measures_of(metrics, measures)
        _evaluate_folders(pred, truth, table, labels, instances, slices, asked, maps, out, workers, json_output)
    else:
        raise BadInput(
            "give a RUN, or both --pred and --truth", None, "Example: voxloom evaluate --pred DIR --truth DIR"
        )


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
    if note := interval_note(summary):
        output.note(note)
    for convention in summary.get("conventions", ()):
        output.note(convention)
    show_probes(summary)
    if result.structures is not None:
        output.table(structure_rows(result.structures), title=structure_title(result.structures))
    for line in further_lines(summary):
        output.note(line)
    output.done(wrote, ["voxloom", "predict", run, "SCAN", "-o", "OUT"], summary if json_output else None)


def _kept(run: Path, dataset: Path | None, out: Path | None) -> list[Path]:
    """The tables that an evaluation of a run wrote."""
    if out is None:
        return [] if dataset is None else [run / "test" / "metrics.csv", *tables_beside(run / "test")]
    return [out / "metrics.csv", *tables_beside(out), out / "statistics.json"]


def _evaluate_folders(
    pred: Path,
    truth: Path,
    table: Path | None,
    labels: str | None,
    instances: str | None,
    slices: PlaneName | None,
    measures: Measures,
    maps: Path | None,
    out: Path | None,
    workers: int | None,
    json_output: bool,
) -> None:
    from voxloom.cli import output
    from voxloom.errors import BadInput, VoxloomError
    from voxloom.evaluation import evaluate_folders
    from voxloom.evaluation.folders import find_labels
    from voxloom.evaluation.truths import find_truths, refuse_other_labels

    true = find_truths(truth, table)
    chosen = parse_labels(labels) if labels is not None else true.labels or find_labels(true.cases)
    refuse_other_labels(pred, chosen)
    for note in true.notes:
        output.note(note)
    failures: list[VoxloomError] = []
    with output.progress_bar("Evaluating") as progress:
        evaluation = evaluate_folders(
            pred,
            true.cases,
            chosen,
            patients=true.patients,
            measures=measures,
            maps=maps,
            workers=workers,
            progress=progress,
            failed=lambda case, error: failures.append(error),
        )
    if len(failures) == len(true.cases):
        raise failures[0]
    wrote = [] if out is None else _write_scores(evaluation, pred, true, chosen, out)
    structures = None
    if instances is not None:
        structures = _match_folders(pred, true, chosen, instances, evaluation.cases, out, workers)
        wrote += [out / "structures.csv"] if out is not None else []
    told = {}
    if slices is not None:
        from voxloom.evaluation.slice_folders import slice_folders

        cut = slice_folders(pred, true.cases, chosen, slices.value, cases=evaluation.cases, patients=true.patients)
        told = {"slices": {"planes": [slices.value], **cut.summary()}}
        wrote += [cut.write_csv(out / "slices.csv")] if out is not None else []
    for case in evaluation.missing:
        output.note(f"{case}: no prediction in {pred}; counted as a prediction of nothing")
    _show(evaluation, wrote, None, json_output, structures, told)
    for error in failures:
        output.note(f"Not scored: {error}")
    if failures:
        kind = BadInput if all(isinstance(error, BadInput) for error in failures) else VoxloomError
        raise kind(f"{len(failures)} of {len(true.cases)} cases could not be scored; the figures are of the others")


def measures_of(
    metrics: str | None, conventions: str | None, usual: Mapping[str, Any] = MappingProxyType({})
) -> Measures:
    """What the options ask for; ``usual`` holds where they say nothing (BadInput for an unknown name, key or value)."""
    import yaml
    from pydantic import ValidationError

    from voxloom.errors import BadInput
    from voxloom.evaluation.measures import Measures

    values = {**usual, **({} if metrics is None else {"metrics": [name.strip() for name in metrics.split(",")]})}
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


def _write_scores(evaluation: Evaluation, pred: Path, true: Truths, labels: Labels, out: Path) -> list[Path]:
    """``metrics.csv``, nnU-Net's ``summary.json`` and ``statistics.json``."""
    from voxloom.cli import output
    from voxloom.evaluation.folders import label_files
    from voxloom.files import write_json

    found = label_files(pred)
    files = {case: (truth_file(true.cases[case]), str(found.get(case, ""))) for case in evaluation.cases}
    values = {
        label.name: str(label.values[0] if len(label.values) == 1 else label.values) for label in labels.foreground
    }
    write_json(out / "statistics.json", output.plain(evaluation.summary()))
    return [
        evaluation.write_csv(out / "metrics.csv"),
        *tables_beside(out),
        evaluation.write_nnunet_summary(out / "summary.json", files, values),
        out / "statistics.json",
    ]


def tables_beside(folder: Path) -> list[Path]:
    """The tables of probabilities that lie beside ``metrics.csv``."""
    from voxloom.evaluation.probes import CANDIDATES, RELIABILITY

    return [folder / name for name in (RELIABILITY, CANDIDATES) if (folder / name).is_file()]


def truth_file(truth: Truth) -> str:
    """The file of a true label map, for people."""
    from voxloom.dataset.sources import source_files

    if isinstance(truth, Path):
        return str(truth)
    return "" if truth.label is None else str(source_files(truth.label)[0])


def _match_folders(
    pred: Path,
    true: Truths,
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
        table = match_folders(
            pred,
            true.cases,
            labels,
            several,
            cases=cases,
            patients=true.patients,
            workers=workers,
            progress=progress,
        )
    if out is not None:
        table.write_csv(out / "structures.csv")
    return table.summary()


def parse_labels(text: str) -> Labels:
    """Labels of a ``dataset.json``, or of ``NAME=VALUE,NAME=VALUE``."""
    from voxloom.dataset import Label, Labels
    from voxloom.errors import BadInput
    from voxloom.evaluation.truths import declared_in

    if "=" not in text:
        path = Path(text)
        if not path.is_file():
            raise BadInput("no such file", path, "Give a dataset.json, or names: --labels liver=1,tumour=2")
        declared = declared_in(path)
        if declared is None:
            raise BadInput("declares no labels", path, 'Write "labels": {"background": 0, "name": 1}')
        return declared
    pairs = [part.split("=", 1) for part in text.split(",")]
    if any(len(pair) != 2 or not pair[1].strip().isdigit() for pair in pairs):
        raise BadInput(f"--labels {text} is not NAME=VALUE,NAME=VALUE", None, "Example: --labels liver=1,tumour=2")
    return Labels(tuple(Label(name.strip(), (int(value),)) for name, value in pairs))


def _show(
    evaluation: Evaluation,
    wrote: list[Path],
    next_step: list[object] | None,
    json_output: bool,
    structures: dict[str, Any] | None = None,
    told: Mapping[str, Any] | None = None,
) -> None:
    from voxloom.cli import output
    from voxloom.report.dice_table import metric_rows

    summary = {**evaluation.summary(), **(told or {})}
    output.table(metric_rows(summary), title=f"{summary['cases']} cases")
    output.note(interval_note(summary))
    for convention in summary["conventions"]:
        output.note(convention)
    show_probes(summary)
    if structures is not None:
        output.table(structure_rows(structures), title=structure_title(structures))
        summary = {**summary, "structures": structures}
    for line in further_lines(summary):
        output.note(line)
    output.done(wrote, next_step, summary if json_output else None)


def show_probes(summary: Mapping[str, Any]) -> None:
    """Tables of lesions and of calibration, where probabilities were measured."""
    from voxloom.cli import output
    from voxloom.report.probe_part import calibration_rows, froc_rows

    if "froc" in summary:
        output.table(froc_rows(summary["froc"]), title="Lesions")
    if "calibration" in summary:
        output.table(calibration_rows(summary["calibration"]), title="Calibration of probabilities")


def further_lines(summary: Mapping[str, Any]) -> list[str]:
    """Dice over slices, Dice before post-processing, and the time per case, each in one line where it was measured."""
    lines = []
    slices = dict(summary.get("slices") or {})
    planes = " and ".join(slices.pop("planes", ()))
    for label, figures in slices.items():
        every, true = figures["all"], figures["with_truth"]
        lines.append(
            f"{label}: mean Dice {every['mean']:.4f} over {every['n']} {planes} slices, "
            f"{true['mean']:.4f} over the {true['n']} with truth"
        )
    for label, before in (summary.get("raw") or {}).get("dice", {}).items():
        lines.append(f"{label}: mean Dice {before['mean']:.4f} before post-processing")
    if seconds := summary.get("seconds"):
        lines.append(f"{seconds['median']:.3g} s per case (median of {seconds['n']}, {seconds['device']})")
    return lines


def interval_note(summary: dict[str, Any]) -> str:
    """What the intervals take as independent, and why there are none where patients are too few; "" where none are given."""
    from voxloom.evaluation.patients import ASSUMED
    from voxloom.evaluation.statistics import LEAST_PATIENTS

    if "patients_note" not in summary:
        return ""  # figures without intervals
    note, count = summary["patients_note"], summary["patients"]
    fix = "; name patients in participants.csv, or with --table for --pred" if note == ASSUMED else ""
    if count < LEAST_PATIENTS:
        return f"No intervals: {LEAST_PATIENTS} patients are needed, there are {count} ({note}{fix})"
    return f"Intervals are over patients: {note}{fix}"


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
        mean = f"{dice['mean']:.4f} [{interval_text(dice['ci'], 4)}]"
        lines.append([name, str(dice["n"]), mean, f"{dice['median']:.4f}", f"{dice['sd']:.4f}", f"{dice['min']:.4f}"])
    return lines
