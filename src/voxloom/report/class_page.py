"""``report.html`` of a run that answers for whole cases: the result in a sentence, figures, curves, the worst cases, provenance.

Reads the files of a run folder; parts that are not there are left out. Knows nothing of training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from voxloom.evaluation.classification import ClassEvaluation
from voxloom.evaluation.compare_classes import read_classes
from voxloom.evaluation.findings import FindingEvaluation
from voxloom.evaluation.probabilities import reliability
from voxloom.evaluation.regression import NumberEvaluation
from voxloom.files import read_json
from voxloom.report.class_further import calibration_parts, class_further, further_of, number_further
from voxloom.report.class_table import class_rows, number_text, target_rows
from voxloom.report.curves_part import Columns, curve_parts
from voxloom.report.explained_part import explained_parts
from voxloom.report.figures import color_of, new_figure, tidy
from voxloom.report.pages import write_page
from voxloom.report.parts import Part, picture, table_of
from voxloom.report.plots.classes import (
    confusion_matrix,
    decision_curves,
    number_plot,
    reliability_diagram,
    risk_coverage,
    roc_curves,
)
from voxloom.report.run_page import provenance, stress_part
from voxloom.runfiles import SUMMARY, CaseFiles, held_out_tables, test_in, trained_folds

#: What a table comes to; it takes a thousand resamples, so it is reckoned once per table.
Figures = dict[str, Any]
#: Worst cases that are listed.
WORST = 10


def write_class_report(run: Path) -> Path:
    """Write ``report.html`` of a classification run and return its path."""
    sets = list(tables(run, lambda path: read_classes([path])))
    if sets and isinstance(sets[0][1], FindingEvaluation):
        parts = [part for scored in sets for part in (finding_part(*scored), worst_part(scored[0], scored[1]))]
        return write(run, finding_lead(sets), parts)
    return write(run, class_lead(sets), [part for scored in sets for part in class_parts(*scored)])


def write_number_report(run: Path) -> Path:
    """Write ``report.html`` of a regression run and return its path."""
    sets = list(tables(run, NumberEvaluation.read_csv))
    return write(run, number_lead(sets), [part for scored in sets for part in number_parts(*scored)])


def tables(run: Path, read: Callable[[Path], Any]) -> Iterator[tuple[str, Any, Figures]]:
    """The held-out cases of all folds, the external sets, and the last test set: name, table, and its figures."""
    for name, entry, found in _tables(run, read):
        yield name, found, {**found.summary(), **further_of(run, entry)}


def _tables(run: Path, read: Callable[[Path], Any]) -> Iterator[tuple[str, str, Any]]:
    folds = [read(path) for path in held_out_tables(run)]
    if folds:
        whole = folds[0]
        for other in folds[1:]:
            whole.extend(other)
        yield "held-out cases", "validation", whole
    summary = read_json(run / SUMMARY) if (run / SUMMARY).is_file() else {}
    for name, kept in summary.get("external", {}).items():
        yield f"external cases of {name}", f"external:{name}", read(CaseFiles(run / kept["folder"]).table)
    if (test := test_in(run).table).is_file():
        yield "test cases", "test", read(test)


def write(run: Path, lead: str, parts: list[Part]) -> Path:
    """The page."""
    data = read_json(run / "data.json")
    plan = run / "plan.json"
    values = {
        "name": f"{data['dataset']['name']} · {run.name}",
        "lead": lead,
        "subtitle": f"{len(data['cases'])} cases, {len(trained_folds(run))} trained fold(s)",
        "parts": [*parts, *explained_parts(run), *calibration_parts(run), *stress_parts(run), *curve_parts(run, drawn)],
        "plan": read_json(plan) if plan.is_file() else [],
        "provenance": provenance(run, data),
        "cases": data["cases"],
        "recipe": (run / "recipe.yaml").read_text(encoding="utf-8"),
    }
    return write_page(run / "report.html", "run.html", values)


def stress_parts(run: Path) -> list[Part]:
    """The last stress test, where one was made."""
    path = run / "stress" / "stress.json"
    return [stress_part(read_json(path))] if path.is_file() else []


def class_lead(sets: list[tuple[str, ClassEvaluation, Figures]]) -> str:
    """The result in one sentence; the test cases count where there are any."""
    if not sets:
        return "No case was held out, so this run has no figures yet."
    name, found, figures = sets[-1]
    of = f" of {found.classes[1]}" if len(found.classes) == 2 else ", mean over the classes"
    return (
        f"AUC{of} {number_text(figures['auc']['all'])}, accuracy {number_text(figures['accuracy']['all'])} "
        f"on {figures['cases']} {name} of {figures['patients']} patients."
    )


def finding_lead(sets: list[tuple[str, Any, Figures]]) -> str:
    """The result in one sentence."""
    name, _, figures = sets[-1]
    return (
        f"AUC, mean over {len(figures['findings'])} findings {number_text(figures['auc']['all'])}, on {figures['cases']} {name} of "
        f"{figures['patients']} patients."
    )


def finding_part(name: str, found: FindingEvaluation, figures: Figures) -> Part:
    """Table and curves of all findings, each a question of its own."""
    head, *rows = class_rows(figures)
    counts = ", ".join(f"{c} {n} of {figures['known'][c]} cases" for c, n in figures["counts"].items())
    pictures = []
    for finding in figures["counts"]:
        one = found.of(finding)
        pictures.append(picture(confusion_matrix(one.classes, one.confusion()), f"{finding}: confusion matrix"))
        pictures.append(picture(roc_curves(one), f"{finding}: ROC and precision-recall curves"))
        diagram = reliability_diagram(reliability(one.probabilities, one.truth))
        pictures.append(picture(diagram, f"{finding}: reliability"))
    text = f"Present: {counts}. A finding is answered from a probability of one half on; intervals draw whole patients."
    return Part(f"Findings of {name}", text, table_of(head, rows), pictures)


def class_parts(name: str, found: ClassEvaluation, figures: Figures) -> list[Part]:
    """Table, curves and worst cases of one set."""
    head, *rows = class_rows(figures)
    counts = ", ".join(f"{n} {c}" for c, n in figures["counts"].items())
    pictures = [
        picture(confusion_matrix(found.classes, found.confusion()), "Confusion matrix: cases"),
        picture(
            confusion_matrix(found.classes, found.confusion(), normalize=True),
            "Confusion matrix: shares of the true class",
        ),
        picture(roc_curves(found), "ROC and precision-recall curves"),
        picture(reliability_diagram(reliability(found.probabilities, found.truth)), "Reliability of the confidence"),
        picture(risk_coverage(found), "Risk over coverage"),
    ]
    if len(found.classes) == 2 and 0 < found.truth.sum() < len(found.truth):
        pictures.append(picture(decision_curves(found), f"Decision curve for {found.classes[1]}"))
    text = f"{counts}. Intervals are over patients; the AUC's is DeLong's."
    whole = Part(f"Classes of {name}", text, table_of(head, rows), pictures)
    return [whole, *class_further(name, figures), worst_part(name, found)]


def worst_part(name: str, found: ClassEvaluation | FindingEvaluation) -> Part:
    """The cases that were most confidently wrong, worst first."""
    rows = [
        [one.case, one.patient, one.truth, one.answer, f"{one.confidence:.3f}", f"{one.loss:.2f}"]
        for one in found.losses()[:WORST]
    ]
    head = ["case", "patient", "truth", "answer", "confidence", "loss"]
    return Part(f"Top losses of {name}", "The most confidently wrong first.", table_of(head, rows))


def number_lead(sets: list[tuple[str, NumberEvaluation, Figures]]) -> str:
    """The result in one sentence."""
    if not sets:
        return "No case was held out, so this run has no figures yet."
    name, _, figures = sets[-1]
    told = [
        f"{target}: mean absolute error {number_text(f['mae'], 2)} (always saying the mean: {f['mae_of_mean']:.2f}{doubt(f)})"
        for target, f in figures["targets"].items()
    ]
    return f"{'; '.join(told)}, on {figures['cases']} {name} of {figures['patients']} patients."


def doubt(figures: Figures) -> str:
    """What must be said where the interval of the error does not lie below the error of always saying the mean."""
    high = figures["mae"]["ci"][1]
    if high is not None and high < figures["mae_of_mean"]:
        return ""
    return f"; with {figures['patients']} patients the run was not shown to be better than that"


def number_parts(name: str, found: NumberEvaluation, figures: Figures) -> list[Part]:
    """Table, scatter and bands of one set."""
    head, *rows = target_rows(figures)
    pictures = [
        picture(number_plot(found.of(t), t), f"{t}: prediction and error over the truth") for t in found.targets
    ]
    whole = Part(f"Numbers of {name}", "Intervals are over patients.", table_of(head, rows), pictures)
    worst = [[one.case, one.patient, one.truth, one.answer, f"{one.loss:.4g}"] for one in found.losses()[:WORST]]
    table = table_of(["case", "patient", "truth", "answer", "error"], worst)
    return [whole, *number_further(name, figures), Part(f"Top losses of {name}", "The largest errors first.", table)]


def drawn(columns: Columns, caption: str) -> dict[str, str]:
    """Training loss and validation scores of a fold."""
    return picture(training_curves(columns), caption)


def training_curves(columns: Columns) -> Any:
    """Losses, and the scores of the validation cases, over the steps."""
    figure = new_figure(9, 3.0)
    left, right = figure.subplots(1, 2)
    left.plot(columns["step"], columns["train_loss"], marker=".", color=color_of(6), label="training")
    if "val_loss" in columns and not math.isnan(columns["val_loss"][-1]):
        left.plot(columns["step"], columns["val_loss"], marker=".", color=color_of(5), label="validation")
    left.set(xlabel="step", ylabel="loss")
    left.legend(fontsize=8, frameon=False)
    names = [c for c in columns if c.startswith("val_") and c.count("_") >= 2]
    for n, name in enumerate(names):
        right.plot(columns["step"], columns[name], marker=".", color=color_of(n), label=name.split("_", 2)[2])
    kind = names[0].split("_")[1] if names else "score"
    right.set(xlabel="step", ylabel=f"validation {kind.upper()}")
    if names:
        right.legend(fontsize=8, frameon=False)
    for axes in (left, right):
        tidy(axes)
    return figure
