"""``report.html`` of a run: the result in a sentence, curves, figures per label, best and worst cases, plan, provenance.

Reads the files of a run folder; parts that are not there are left out. Knows nothing of training.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.dataset.labels import Labels
from voxloom.dataset.records import recorded_case
from voxloom.errors import VoxloomError
from voxloom.evaluation import Evaluation
from voxloom.evaluation.measures import Measures
from voxloom.evaluation.scores import asked_in, asked_score
from voxloom.evaluation.statistics import LEAST_PATIENTS
from voxloom.evaluation.statistics.interval import NO_INTERVAL, TOO_FEW, interval_text
from voxloom.evaluation.units import distance_unit, named, unit_of, volume_unit
from voxloom.files import read_json
from voxloom.formats import read_label
from voxloom.prepare.windows import HU_WINDOWS
from voxloom.report import figures
from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.flow import flow_plot, flow_steps
from voxloom.report.cards.label_maps import LABEL_MAPS
from voxloom.report.cards.methods import methods_text
from voxloom.report.cards.sections import limits
from voxloom.report.case_slices import case_slices
from voxloom.report.look import Limits
from voxloom.report.pages import write_page
from voxloom.report.panels import STYLES
from voxloom.report.parts import Part, number, table_of
from voxloom.report.probe_part import probe_parts
from voxloom.report.quality_part import quality_parts
from voxloom.report.raw_part import raw_part
from voxloom.report.slice_part import SLICES, slice_part
from voxloom.report.source_part import source_parts
from voxloom.report.stress_page import figure_title
from voxloom.report.structure_part import structure_parts
from voxloom.report.style import write_picture
from voxloom.report.volume_part import volume_part
from voxloom.runfiles import (
    SUMMARY,
    CaseFiles,
    held_out_predictions,
    held_out_tables,
    logged_folds,
    test_in,
    trained_folds,
)

#: Pictures of the best, of the median and of the worst cases.
SHOWN = 2
#: What the row "total" means.
TOTAL_TOLD = (
    " Total: Dice of all labels pooled, in which large structures weigh more; the mean weighs all labels alike."
)
#: Failures that are listed at once.
FAILURES = 12


@dataclass(frozen=True)
class CaseSet:
    """Evaluated cases: their figures, where their predictions are, what a run keeps of them, and whether they were wholly apart.

    ``folder`` holds the tables; ``warnings`` are what a reader of the figures must know.
    """

    name: str
    evaluation: Evaluation
    predictions: Mapping[str, Path]
    records: Mapping[str, Mapping[str, Any]]
    folder: Path
    external: bool = False
    warnings: Sequence[str] = ()


def write_run_report(run_dir: str | Path) -> Path:
    """Write ``report.html`` into a run folder and return its path."""
    run = Path(run_dir)
    data = _json(run / "data.json") or {"dataset": {"name": run.name, "labels": {}}, "cases": []}
    labels = (
        Labels.from_nnunet(data["dataset"]["labels"], data["dataset"].get("regions_order"))
        if data["dataset"]["labels"]
        else None
    )
    sets = [s for s in (held_out_set(run, data), *external_sets(run), test_set(run)) if s is not None]
    parts = [part for s in sets for part in result_parts(s)]
    shades = gray_of(run, data)
    parts += [part for s in sets for part in case_parts(s, labels, *shades)]
    parts += [part for s in sets for part in study_tables(s)]
    parts += structure_parts(_json(run / SUMMARY) or {}, run)
    parts += quality_parts(run)
    parts += study_parts(run)
    parts += curve_parts(run)
    values = {
        "name": f"{data['dataset']['name']} · {run.name}",
        "lead": lead_sentence(sets),
        "subtitle": subtitle(run, data),
        "parts": parts,
        "plan": _json(run / "plan.json") or [],
        "provenance": provenance(run, data),
        "cases": data["cases"],
        "recipe": (run / "recipe.yaml").read_text(encoding="utf-8") if (run / "recipe.yaml").is_file() else "",
    }
    return write_page(run / "report.html", "run.html", values)


def _json(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def held_out_set(run: Path, data: dict[str, Any]) -> CaseSet | None:
    """The held-out cases of all folds."""
    tables = held_out_tables(run)
    if not tables:
        return None
    evaluation = Evaluation.read_csv(tables[0])
    for table in tables[1:]:
        evaluation.extend(Evaluation.read_csv(table))
    if not evaluation.rows:
        return None
    evaluation.measures = measures_kept(run, (_json(run / SUMMARY) or {}).get("validation"))
    predictions = held_out_predictions(run)
    return CaseSet("Held-out cases", evaluation, predictions, {c["id"]: c for c in data["cases"]}, run)


def test_set(run: Path) -> CaseSet | None:
    """The last test set that the run was evaluated on."""
    kept = (_json(run / SUMMARY) or {}).get("test") or {}
    return kept_set(run, test_in(run), "Test cases", kept)


def external_sets(run: Path) -> Iterator[CaseSet | None]:
    """The sets that were kept apart while the run was trained."""
    for name, kept in ((_json(run / SUMMARY) or {}).get("external") or {}).items():
        yield kept_set(run, CaseFiles(run / kept["folder"]), f"External cases of {name}", kept, external=True)


def measures_kept(run: Path, kept: Mapping[str, Any] | None) -> Measures:
    """How the figures of a summary were measured; of a run of an earlier version, which does not keep it, as its recipe says."""
    found = (kept or {}).get("measures")
    return Measures.model_validate(RunFacts.of(run).section("evaluate") if found is None else found)


def kept_set(
    run: Path, place: CaseFiles, name: str, kept: Mapping[str, Any], *, external: bool = False
) -> CaseSet | None:
    """An evaluation that a run keeps.

    Parameters
    ----------
    kept : its entry of ``summary.json``.
    """
    if not place.table.is_file():
        return None
    evaluation = Evaluation.read_csv(place.table)
    if not evaluation.rows:
        return None
    evaluation.measures = measures_kept(run, kept)
    known = {c["id"]: c for c in _json(place.cases) or []}
    return CaseSet(name, evaluation, place.found(), known, place.folder, external, kept.get("warnings", ()))


def lead_sentence(sets: list[CaseSet]) -> str:
    """The result in one sentence, and one more for each external set; the test cases count where there are any."""
    own = [s for s in sets if not s.external]
    told = [figure_sentence(s) for s in (own[-1:] + [s for s in sets if s.external])]
    return " ".join(told) or "No case was held out, so this run has no figures yet."


def figure_sentence(chosen: CaseSet) -> str:
    """Mean Dice of a set with its interval, and how many cases failed."""
    summary = chosen.evaluation.summary()
    figures_ = summary["dice"].get("mean") or next(iter(summary["dice"].values()))
    ends = interval_text(figures_["ci"], 3, " to ")
    interval = TOO_FEW if ends == NO_INTERVAL else f"95 % confidence interval {ends}"
    what = "mean Dice over all labels" if "mean" in summary["dice"] else "mean Dice"
    failures = len({row.case for row in chosen.evaluation.failures()})
    tail = f"{failures} of them need a look (see the list of failures)." if failures else "None of them failed."
    return (
        f"{what[0].upper()}{what[1:]} {figures_['mean']:.3f} ({interval}) on "
        f"{summary['cases']} {chosen.name[0].lower()}{chosen.name[1:]}. {tail}"
    )


def subtitle(run: Path, data: dict[str, Any]) -> str:
    """What was trained on."""
    folds = len(trained_folds(run))
    patients = len({case["patient"] for case in data["cases"]})
    return f"{len(data['cases'])} cases of {patients} patients, {folds} trained network{'s' if folds != 1 else ''}"


def result_parts(cases: CaseSet) -> Iterator[Part]:
    """Table and box plots per label, and the failures."""
    summary = cases.evaluation.summary()
    unit = unit_of(summary)
    mm = distance_unit(unit)
    further = asked_in(summary)
    head = [
        "Label",
        "Dice mean",
        "95 % CI",
        "median",
        "SD",
        f"HD95 {mm} (median)",
        f"ASSD {mm} (median)",
        f"volume error {volume_unit(unit)}",
        "one mask empty",
        "failed (Dice 0) [95 % CI]",
        *(f"{name} {asked_score(name).unit}".strip() for name in further),
    ]
    rows = []
    for label, dice in summary["dice"].items():
        kinds = summary["kinds"].get(label, {})
        lost = kinds.get("prediction_empty", 0) + kinds.get("truth_empty", 0) if kinds else ""
        medians = [number(summary[m][label]["median"], 2) if label in summary[m] else "" for m in ("hd95", "assd")]
        interval = interval_text(dice["ci"], 3, " to ")
        errors = summary[named("volume_error_ml", unit)]
        error = f"{errors[label]['mean']:+.3f}" if label in errors else ""
        middle = [number(dice["mean"]), interval, number(dice["median"]), number(dice["sd"])]
        failed = failed_text(summary.get("failed", {}).get(label))
        more = [number(summary[name][label]["mean"]) if label in summary[name] else "" for name in further]
        rows.append([label, *middle, *medians, error, lost, failed, *more])
    text = (
        "Dice: overlap with the truth, from 0 (none) to 1 (the same). HD95: distance below which 95 % of the two surfaces lie from "
        "each other. ASSD: their mean distance. Volume error: prediction minus truth. Intervals are over "
        f"patients ({summary['patients_note']}); with fewer than {LEAST_PATIENTS} patients none can be given. They speak of patients "
        "like these: how many may fail (Dice 0) is the interval in the last column. Infinite distances "
        f"(one mask empty) are counted, never dropped. {'. '.join(summary['conventions'])}."
        + TOTAL_TOLD * ("total" in summary["dice"])
        + "".join(f" Beware: {warning}." for warning in cases.warnings)
    )
    yield Part(f"{cases.name}: figures", text, {"head": head, "rows": rows}, box_pictures(cases.evaluation))
    failures = cases.evaluation.failures()
    if failures:
        listed = [
            [r.case, r.label, number(r.metrics.dice), number(r.metrics.hd95, 1), r.metrics.kind.replace("_", " ")]
            for r in failures
        ]
        table: dict[str, Any] = {"head": ["Case", "Label", "Dice", f"HD95 {mm}", "Masks"], "rows": listed}
        text = "One mask empty, or Dice below 0.5; worst first."
        yield Part(f"{cases.name}: failures", text, table, longest=FAILURES)


def failed_text(failed: dict[str, Any] | None) -> str:
    """How many cases failed, and what share of new ones may: ``0 of 10 [0, 26 %]``; nothing for the mean over labels."""
    if not failed:
        return ""
    low, high = (100 * end for end in failed["ci"])
    return f"{failed['n']} of {failed['of']} [{low:.0f}, {high:.0f} %]"


def study_tables(cases: CaseSet) -> Iterator[Part]:
    """What single studies ask for: before and after post-processing, slices, sources, volumes."""
    found = [raw_part(cases.name, cases.evaluation), slice_part(cases.name, cases.folder / SLICES)]
    yield from (part for part in found if part is not None)
    yield from probe_parts(cases.name, cases.evaluation, ". ".join(cases.evaluation.measures.notes()))
    yield from source_parts(cases.name, cases.evaluation, cases.records)
    if (volumes := volume_part(cases.name, cases.evaluation)) is not None:
        yield volumes


def box_pictures(evaluation: Evaluation) -> list[dict[str, str]]:
    """Dice and HD95 per label."""
    labels = list(evaluation.labels)[:20]
    dice = figures.box_and_strip({name: evaluation.values("dice", name) for name in labels}, "Dice", limits=(0, 1))
    distance = figures.box_and_strip(
        {name: evaluation.values("hd95", name) for name in labels}, f"HD95 ({distance_unit(evaluation.unit)})"
    )
    return [
        {"caption": "Dice per label; every point is a case", "data": figures.data_uri(dice, "svg")},
        {"caption": "95th percentile Hausdorff distance per label", "data": figures.data_uri(distance, "svg")},
    ]


def curve_parts(run: Path) -> Iterator[Part]:
    """Loss and Dice while training, a picture per fold; also written as ``curves.png`` beside the log."""
    pictures = []
    for fold in logged_folds(run):
        columns = read_log(fold.log)
        if not columns or len(columns["step"]) == 0:
            continue
        figure = figures.curves(columns, fold.title)
        write_picture(figure, fold.folder / "curves.png", dpi=110)
        pictures.append({"caption": f"Training of {fold.title}", "data": figures.data_uri(figure, "svg")})
    if pictures:
        text = (
            "Loss on training patches (after augmentation, mean since the row before) and on the whole held-out cases of each fold, "
            "and Dice on these cases, while it was trained."
        )
        yield Part("Training", text, pictures=pictures, columns=min(2, len(pictures)))


def read_log(path: Path) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Columns of a ``log.csv``."""
    with path.open(newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]} if rows else {}


def gray_of(run: Path, data: Mapping[str, Any]) -> tuple[Limits | None, str]:
    """The window that the run clips CT to, and the kind of its first channel where that is CT."""
    window = RunFacts.of(run).section("prepare").get("hu_window")
    kinds = data["dataset"].get("channel_kinds") or [""]
    return limits(window, HU_WINDOWS) if window else None, "CT" if kinds[0] == "CT" else ""


def case_parts(
    cases: CaseSet, labels: Labels | None, window: Limits | None = None, modality: str = ""
) -> Iterator[Part]:
    """Pictures of the best, median and worst cases by mean Dice."""
    ordered = sorted(cases.evaluation.case_means("dice").items(), key=lambda item: item[1])
    if labels is None or not ordered:
        return
    middle = max(0, len(ordered) // 2 - SHOWN // 2)
    groups = {"worst": ordered[:SHOWN], "median": ordered[middle : middle + SHOWN], "best": ordered[-SHOWN:]}
    pictures, seen = [], set()
    for kind, chosen in groups.items():
        for case, dice in chosen:
            if case not in seen and (picture := case_picture(cases, case, labels, window, modality)) is not None:
                seen.add(case)
                pictures.append({"caption": f"{case} ({kind}, Dice {dice:.3f})", "data": picture})
    if pictures:
        text = (
            "Solid: truth. Dashed: prediction. In scans, the patient's right is on the left of the picture, and slices lie where the "
            "truth is largest; their Dice is that of the slice. R, L: right, left; A, P: front, back; S, I: head, feet."
        )
        yield Part(f"{cases.name}: worst, median and best", text, pictures=pictures, columns=2)


def case_picture(
    cases: CaseSet, case: str, labels: Labels, window: Limits | None = None, modality: str = ""
) -> str | None:
    """Slices of a case with the contours of truth and prediction; None when its files are gone."""
    if case not in cases.predictions or case not in cases.records:
        return None
    recorded = recorded_case(cases.records[case])
    try:
        image, truth, found = recorded.read_image(), recorded.read_label(), read_label(cases.predictions[case])
        if truth is None:
            return None
        maps = [(truth, "-"), (found, "--")]
        figure = case_slices(image, maps, labels, window=window, modality=modality, styles=STYLES)
    except VoxloomError:
        return None
    return figures.data_uri(figure, dpi=120)


def study_parts(run: Path) -> Iterator[Part]:
    """What a paper asks for: volumes against the truth, the stress test, the flow of cases, the methods in words."""
    facts = RunFacts.of(run)
    if facts.stress is not None:
        yield stress_part(facts.stress)
    if facts.cases:
        flow = figures.data_uri(flow_plot(flow_steps(facts)), "svg")
        yield Part("Flow of cases", pictures=[{"caption": "From the data to the test", "data": flow}])
    text = methods_text(facts, LABEL_MAPS)
    if text:
        rest = "The same text is in methods.md; model_card.md and claim.md say the rest."
        yield Part("Methods in words", f"{text} {rest}")


def stress_part(stress: Mapping[str, Any]) -> Part:
    """Where the model breaks, stress by stress."""
    rows = []
    for curve in stress["curves"]:
        steps = "; ".join(f"{lv}: {m['value']:.3f}" for lv, m in zip(curve["levels"], curve["means"], strict=True))
        bad = curve["first_bad"]
        rows.append(
            [curve["title"], curve["unit"] or "direction", steps, "none" if bad is None else curve["levels"][bad]]
        )
    figure, fall = figure_title(stress), stress.get("fall_text", f"fall by {100 * stress['fall']:.0f} points")
    text = f"{stress['cases']} cases; mean {figure} over labels. Curves with intervals are in stress/stress.html."
    head = ["Stress", "Unit", f"Mean {figure} per level", f"First level with {fall}"]
    return Part("Stress test", text, table_of(head, rows))


def provenance(run: Path, data: dict[str, Any]) -> list[tuple[str, str]]:
    """Data, code and machine."""
    environment = _json(run / "environment.json") or {}
    packages = environment.get("packages", {})
    facts = [
        ("Data set", f"{data['dataset']['name']} ({data['dataset'].get('layout', '')})"),
        ("Channels", ", ".join(data["dataset"].get("channels", []))),
        ("Labels", ", ".join(f"{name} = {value}" for name, value in data["dataset"]["labels"].items())),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items())),
        (
            "Machine",
            ", ".join(str(environment[key]) for key in ("system", "cores", "device", "gpu") if key in environment),
        ),
    ]
    return [(key, value) for key, value in facts if value]
