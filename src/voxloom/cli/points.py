"""``voxloom points``: compare two sets of landmarks, of two runs or of two annotators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from voxloom.points import Point

Cases = dict[str, "tuple[Point, ...]"]
#: What |dx| is where the slices are not known.
LEFT_RIGHT = "along the patient's left-right axis, since no scan is known (--scans DATASET: across the slices, as voxloom evaluate)"


def command(
    a: Annotated[Path, typer.Argument(help="Folder of points, one file per case, or one table of all cases.")],
    b: Annotated[Path, typer.Argument(help="The same of the other run or annotator.")],
    truth: Annotated[
        Optional[Path],
        typer.Option(
            "--truth",
            help="True points, or a data set with points: score both and test the difference (exact McNemar).",
        ),
    ] = None,
    scans: Annotated[
        Optional[Path],
        typer.Option(
            "--scans",
            help="Data set of the scans, for their slices. Without --truth: two annotators, per landmark and slice.",
        ),
    ] = None,
    within: Annotated[float, typer.Option(help="Millimetres within which a point is right.", min=0.1)] = 5.0,
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="CSV file with a row per landmark.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare the landmarks in A and B: two runs against --truth, or two annotators on the slices of --scans."""
    from voxloom.errors import BadInput

    if truth is not None:
        _compare_runs(a, b, truth, scans, within, out, json_output)
    elif scans is not None:
        _compare_annotators(a, b, scans, out, json_output)
    else:
        raise BadInput("give --truth to compare two runs, or --scans to compare two annotators", None)


def read_cases(path: Path) -> Cases:
    """Points by case: of the files of a folder, or of one table with a column ``case``.

    Raises BadInput when there is none.
    """
    from voxloom.errors import BadInput
    from voxloom.points import point_ending, read_points
    from voxloom.points.table import cases_of

    if path.is_dir():
        files = {p.name[: -len(point_ending(p))]: p for p in sorted(path.iterdir()) if point_ending(p)}
        found = {case: read_points(file, case) for case, file in files.items()}
    else:
        found = {case: read_points(path, case) for case in (cases_of(path) if path.is_file() else ())}
    if not found:
        raise BadInput(
            "holds no points", path, "Give a folder of <case>.csv or .mrk.json, or a table with a column case"
        )
    return found


def true_points(truth: Path) -> Cases:
    """True points by case: of a data set (its test split where it has one), a folder or a table."""
    from voxloom.dataset import Dataset
    from voxloom.dataset.layouts import is_dataset
    from voxloom.errors import BadInput

    if not truth.is_dir() or not is_dataset(truth):
        return read_cases(truth)
    dataset = Dataset(truth)
    chosen = dataset.test if len(dataset.test) else dataset
    found = {case.id: case.read_points() for case in chosen if case.points is not None}
    if not found:
        raise BadInput("no case with points", truth, "Give a data set with points, or a folder of points")
    return found


def scans_of(truth: Path, scans: Path | None) -> Path | None:
    """The data set of the scans: the one given, or the one that the true points are part of; None where there is none."""
    from voxloom.dataset.layouts import is_dataset

    near = [place for place in (truth, truth.parent) if place.is_dir() and is_dataset(place)]
    return scans if scans is not None else next(iter(near), None)


def normals_of(scans: Path, cases: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """Case -> direction across its slices, as ``voxloom evaluate`` measures (BadInput for a case without a scan)."""
    from voxloom.dataset import Dataset
    from voxloom.dataset.sources import source_header
    from voxloom.errors import BadInput
    from voxloom.evaluation.points import slice_normal

    dataset = Dataset(scans)
    if absent := [case for case in cases if case not in dataset]:
        raise BadInput(f"no scan for the points of {', '.join(absent[:5])}", scans, "Give the data set of these scans")
    return {case: slice_normal(source_header(next(iter(dataset[case].images.values()))).affine) for case in cases}


def patients_in(scans: Path, cases: Sequence[str]) -> dict[str, str]:
    """Case -> patient of a data set, for the cases it has."""
    from voxloom.dataset import Dataset

    dataset = Dataset(scans)
    return {case: dataset[case].patient for case in cases if case in dataset}


def _compare_runs(
    a: Path, b: Path, truth: Path, scans: Path | None, within: float, out: Path | None, json_output: bool
) -> None:
    from dataclasses import asdict

    from voxloom.cli import output
    from voxloom.dataset.tables import name_some
    from voxloom.evaluation.patients import patients_note
    from voxloom.evaluation.point_tests import compare_points
    from voxloom.evaluation.points import PointEvaluation, score_points
    from voxloom.evaluation.statistics import p_text
    from voxloom.report.points_table import point_rows

    true, scored = true_points(truth), []
    place = scans_of(truth, scans)
    normals = {} if place is None else normals_of(place, list(true))
    across = LEFT_RIGHT if place is None else f"across the slices of each scan of {place.name}"
    for path in (a, b):
        given = read_cases(path)
        if beyond := [case for case in given if case not in true]:
            output.note(f"{path}: no true points of {name_some(beyond)}; not scored")
        evaluation = PointEvaluation(within=within)
        for case, points in true.items():
            evaluation.add(score_points(case, given.get(case, ()), points, normals.get(case, (1.0, 0.0, 0.0))))
        output.table(point_rows(evaluation.summary()), title=str(path))
        scored.append(evaluation)
    patients = {} if place is None else patients_in(place, list(true))
    test = compare_points(*scored, patients=patients)
    output.note(f"\n|dx| is measured {across}; the distance in the slice at a right angle to it")
    output.note(
        f"Within {within:g} mm in the slice: both {test.both}, only {a} {test.only_a}, only {b} {test.only_b}, "
        f"neither {test.neither}; exact McNemar test, {p_text(test.p)} (landmarks of one patient count together: "
        f"{patients_note({case: patients.get(case, case) for case in true})})"
    )
    wrote = [] if out is None else [_write_pairs(scored, out)]
    result = {
        "a": scored[0].summary(),
        "b": scored[1].summary(),
        "mcnemar": {**asdict(test), "p": test.p},
        "across": across,
    }
    output.done(wrote, None, result if json_output else None)


def _write_pairs(scored: list[Any], out: Path) -> Path:
    """One row per true landmark with the distance of both."""
    rows = [{(r.case, r.name, r.side): r for r in e.rows if r.outcome != "invented"} for e in scored]
    table = [
        {
            **dict(zip(("case", "name", "side"), key, strict=True)),
            "outcome_a": row.outcome,
            "outcome_b": rows[1][key].outcome,
            "in_plane_a": row.in_plane,
            "in_plane_b": rows[1][key].in_plane,
        }
        for key, row in rows[0].items()
    ]
    return write_rows(table, out)


def _compare_annotators(a: Path, b: Path, scans: Path, out: Path | None, json_output: bool) -> None:
    from voxloom.cli import output
    from voxloom.dataset import Dataset
    from voxloom.dataset.sources import source_header
    from voxloom.errors import BadInput
    from voxloom.evaluation.point_tests import compare_annotators

    first, second, dataset = read_cases(a), read_cases(b), Dataset(scans)
    if absent := sorted({*first, *second} - {case.id for case in dataset}):
        raise BadInput(f"no scan for the points of {', '.join(absent[:5])}", scans, "Give the data set of these scans")
    affines = {case: source_header(next(iter(dataset[case].images.values()))).affine for case in {*first, *second}}
    rows = compare_annotators(first, second, affines)
    output.table(annotator_rows(rows), title=f"{len({*first, *second})} cases, {a} against {b}")
    wrote = [] if out is None else [write_rows(rows, out)]
    output.done(wrote, None, {"landmarks": rows} if json_output else None)


def annotator_rows(rows: list[dict[str, Any]]) -> list[list[str]]:
    """A header row and one row per landmark: how many, distance, overlap of slices, missing in A and in B."""
    import numpy as np

    table = [
        ["landmark", "cases", "mean mm", "largest mm", "overlap of slices", "no common slice", "missing in A", "in B"]
    ]
    for key in dict.fromkeys((row["name"], row["side"]) for row in rows):
        own = [row for row in rows if (row["name"], row["side"]) == key]
        both = [row for row in own if not row["missing"]]
        far = [row["distance"] for row in both] or [float("nan")]
        shared = [row["overlap"] for row in both] or [float("nan")]
        table.append(
            [
                " ".join(key).strip(),
                str(len(own)),
                f"{np.mean(far):.2f}",
                f"{np.max(far):.2f}",
                f"{np.mean(shared):.2f}",
                str(sum(row["slices_both"] == 0 for row in both)),
                str(sum(row["missing"] == "a" for row in own)),
                str(sum(row["missing"] == "b" for row in own)),
            ]
        )
    return table


def write_rows(rows: list[dict[str, Any]], path: Path) -> Path:
    """A CSV file of rows with the same keys, whole or not at all."""
    import csv
    import io

    from voxloom.files import write_text

    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    write_text(path, text.getvalue())
    return path
