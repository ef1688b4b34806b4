"""``report.html`` of a landmark run: the result in a sentence, figures per level, scatter and histogram, confidence, provenance.

Reads the files of a run folder; parts that are not there are left out. Knows nothing of training.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.dataset import Dataset
from voxloom.errors import VoxloomError
from voxloom.evaluation.points import PointEvaluation
from voxloom.points import read_points
from voxloom.report import point_figures
from voxloom.report.curves_part import Columns, curve_parts
from voxloom.report.figures import color_of, loss_curves, new_figure, tidy
from voxloom.report.pages import write_page
from voxloom.report.parts import Part
from voxloom.report.point_pictures import Marked, best_rows, point_slices, worst_rows
from voxloom.report.points_table import point_rows
from voxloom.report.run_page import provenance
from voxloom.report.style import INK, data_uri
from voxloom.runfiles import POINTS, SUMMARY, CaseFiles, held_out_predictions, held_out_tables, test_in, trained_folds

#: Landmarks that are drawn as the worst.
SHOWN = 8


def write_landmark_report(run_dir: str | Path) -> Path:
    """Write ``report.html`` into the folder of a landmark run and return its path."""
    run = Path(run_dir)
    data = _json(run / "data.json")
    sets = point_sets(run)
    values = {
        "name": f"{data['dataset']['name']} · {run.name}",
        "lead": lead_sentence(sets),
        "subtitle": f"{len(data['cases'])} cases with points, {len(trained_folds(run))} trained fold(s)",
        "parts": [
            *(part for name, found in sets for part in set_parts(name, found, abstained_in(run, name))),
            *(part for name, found in sets for part in picture_parts(run, data, name, found)),
            *confidence_parts(run),
            *curve_parts(run, drawn),
        ],
        "plan": _json(run / "plan.json") or [],
        "provenance": provenance(run, data),
        "cases": data["cases"],
        "recipe": (run / "recipe.yaml").read_text(encoding="utf-8"),
    }
    return write_page(run / "report.html", "run.html", values)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def point_sets(run: Path) -> list[tuple[str, PointEvaluation]]:
    """The held-out cases of all folds, the external sets, and the last test set."""
    summary = _json(run / SUMMARY) or {}
    reach = float(next((summary[k]["within_mm"] for k in ("validation", "test") if k in summary), 5.0))
    held_out = [row for path in held_out_tables(run) for row in PointEvaluation.read_csv(path).rows]
    sets = [("held-out cases", PointEvaluation(held_out, within=reach))] if held_out else []
    for name, figures in summary.get("external", {}).items():
        table = CaseFiles(run / figures["folder"]).table
        sets.append((f"external cases of {name}", PointEvaluation.read_csv(table, within=reach)))
    test = test_in(run).table
    return [*sets, *([("test cases", PointEvaluation.read_csv(test, within=reach))] if test.is_file() else [])]


def abstained_in(run: Path, name: str) -> Mapping[str, Any] | None:
    """What was left out of a set of ``point_sets``."""
    summary = _json(run / SUMMARY) or {}
    of_name = {
        "held-out cases": summary.get("validation"),
        "test cases": summary.get("test"),
        **{f"external cases of {key}": kept for key, kept in summary.get("external", {}).items()},
    }
    found: Mapping[str, Any] | None = (of_name.get(name) or {}).get("abstained")
    return found


def lead_sentence(sets: Sequence[tuple[str, PointEvaluation]]) -> str:
    """The result in one sentence; the test cases count where there are any."""
    if not sets:
        return "No case was held out, so this run has no figures yet."
    name, evaluation = sets[-1]
    figures = evaluation.summary()
    total = figures["all"]
    return (
        f"{100 * total['recall']:.1f} % of {total['points']} landmarks within {figures['within_mm']:g} mm in the slice "
        f"(mean {total['in_plane_mean']:.2f} mm; 3D {total['distance_mean']:.2f} mm) on {figures['cases']} {name}; "
        f"{total['missed']} missed, {total['shifted']} at a wrong level, {total['invented']} invented."
    )


def left_out_sentence(left_out: Mapping[str, Any] | None) -> str:
    """What ``landmarks.abstain`` left out."""
    if not left_out or not left_out["below"]:
        return ""
    return (
        f" {left_out['points']} predicted points had a calibrated confidence below {left_out['below']:g} and were left out, as "
        "voxloom predict leaves them out; their landmarks count as missed."
    )


def set_parts(name: str, evaluation: PointEvaluation, left_out: Mapping[str, Any] | None = None) -> list[Part]:
    """Table, scatter and histogram of one set.

    Parameters
    ----------
    left_out : "below", a confidence, and "points", how many were left out by it.
    """
    pictures = [
        {
            "caption": "Across the slices against in the slice; crosses are wrong levels",
            "data": data_uri(point_figures.distance_scatter(evaluation.rows, evaluation.within)),
        },
        {
            "caption": "Distances",
            "data": data_uri(point_figures.distance_histogram(evaluation.rows, evaluation.within)),
        },
    ]
    text = (
        "Distances are over predicted points; recall is over all true landmarks, missed ones included. |dx| runs across the slices of "
        "each scan (along its axis of the largest spacing; left-right where voxels are cubes), the distance in the slice at a right "
        f"angle to it.{left_out_sentence(left_out)}"
    )
    head, *rows = point_rows(evaluation.summary())
    return [Part(f"Landmarks of {name}", text, {"head": head, "rows": rows}, pictures)]


def picture_parts(run: Path, data: Mapping[str, Any], name: str, evaluation: PointEvaluation) -> list[Part]:
    """The landmarks that went most wrong, and the nearest, on their slices; nothing where scans or truth are gone."""
    root, predictions = {
        "held-out cases": (data["dataset"].get("root"), held_out_predictions(run, POINTS)),
        "test cases": (
            ((_json(run / SUMMARY) or {}).get("test") or {}).get("root"),
            test_in(run).found(POINTS),
        ),
    }.get(name, (None, {}))
    rows = {"worst": worst_rows(evaluation.rows, SHOWN), "nearest": best_rows(evaluation.rows, SHOWN // 2)}
    scans = scans_of(root, predictions, {row.case for some in rows.values() for row in some})
    if not scans:
        return []
    text = (
        f"Rings: true marks, with {evaluation.within:g} mm around them. Crosses: predictions of the same side, of other slices too. "
        "Front, or the patient's right, is on the left of the picture; the head is up."
    )
    pictures = [
        {"caption": f"The {kind} landmarks of {name}", "data": data_uri(point_slices(some, scans, evaluation.within))}
        for kind, some in rows.items()
        if any(row.case in scans for row in some)
    ]
    return [Part(f"Points of {name} on their slices", text, None, pictures)]


def scans_of(root: str | None, predictions: Mapping[str, Path], wanted: Collection[str]) -> dict[str, Marked]:
    """Scans with true and predicted points, by case; those whose files can no longer be read are left out."""
    found: dict[str, Marked] = {}
    try:
        dataset = Dataset(root) if root is not None and Path(root).exists() else None
        for case in sorted(wanted) if dataset is not None else ():
            if dataset is not None and case in dataset and case in predictions:
                one = dataset[case]
                found[case] = Marked(one.read_image(), one.read_points(), read_points(predictions[case], case))
    except VoxloomError:
        pass  # the page shows what can be read
    return found


def confidence_parts(run: Path) -> list[Part]:
    """Risk over coverage on the held-out points."""
    learned = _json(run / "calibration.json")
    if not learned or not learned["coverage"]:
        return []
    figure = point_figures.risk_coverage_curve(learned["coverage"], learned["risk"])
    text = (
        f"Calibrated on {learned['points']} held-out points, {learned['wrong']} of them wrong, so the confidences of these points are "
        "slightly too good. landmarks.abstain, or voxloom predict --abstain, leaves out points of less calibrated confidence."
    )
    return [Part("Confidence", text, None, [{"caption": "Risk over coverage", "data": data_uri(figure)}])]


def drawn(columns: Columns, caption: str) -> dict[str, str]:
    """Training loss and validation recall of a fold."""
    return {"caption": caption, "data": data_uri(training_curves(columns))}


def training_curves(columns: Columns) -> Any:
    """Training and validation loss, fuzzy Dice of the maps and recall per level over the steps."""
    dice = [name for name in columns if name.startswith("val_map_dice")]
    figure = new_figure(13 if dice else 9, 3.0)
    left, *middle, right = figure.subplots(1, 3 if dice else 2)
    loss_curves(left, columns)
    for panel in middle:
        for n, name in enumerate(dice):
            mean = name == "val_map_dice"
            label, color = ("mean" if mean else name.removeprefix("val_map_dice_")), (INK if mean else color_of(n - 1))
            panel.plot(columns["step"], columns[name], marker=".", color=color, label=label)
        panel.set(xlabel="step", ylabel="fuzzy Dice of the maps", ylim=(0, 1.02))
        panel.legend(fontsize=8, frameon=False)
        tidy(panel)
    for n, name in enumerate(c for c in columns if c.startswith("val_recall_")):
        right.plot(
            columns["step"], columns[name], marker=".", color=color_of(n), label=name.removeprefix("val_recall_")
        )
    right.set(xlabel="step", ylabel="recall on held-out cases", ylim=(0, 1.02))
    if right.lines:
        right.legend(fontsize=8, frameon=False)
    for axes in (left, right):
        tidy(axes)
    return figure
