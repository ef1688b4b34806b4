"""``voxloom evaluate --pred DIR --truth DIR``: one folder of label maps against another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxloom.cli.figures import (
    further_lines,
    interval_note,
    show_probes,
    structure_rows,
    structure_title,
    tables_beside,
)
from voxloom.runfiles import SUMMARY, TABLE

if TYPE_CHECKING:
    from voxloom.cli.options import PlaneName
    from voxloom.dataset import Labels
    from voxloom.evaluation import Evaluation
    from voxloom.evaluation.folders import Truth
    from voxloom.evaluation.measures import Measures
    from voxloom.evaluation.truths import Truths


def evaluate_pair(
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
    """Score, tell and write; the words are those of the command, ``measures`` what its options ask for."""
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
        evaluation.write_csv(out / TABLE),
        *tables_beside(out),
        evaluation.write_nnunet_summary(out / SUMMARY, files, values),
        out / "statistics.json",
    ]


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
