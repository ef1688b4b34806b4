"""``voxloom points``: compare sets of landmarks, of runs or of two annotators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from voxloom.runfiles import test_in

if TYPE_CHECKING:
    from voxloom.evaluation.point_tests import PairTest
    from voxloom.evaluation.points import PointEvaluation
    from voxloom.points import Point

Cases = dict[str, "tuple[Point, ...]"]


class OnName(StrEnum):
    """Whose scored points are compared."""

    held_out = "held-out"
    test = "test"


#: What |dx| is where the slices are not known.
LEFT_RIGHT = "along the patient's left-right axis, since no scan is known (--scans DATASET: across the slices, as voxloom evaluate)"


def command(
    sets: Annotated[
        list[Path],
        typer.Argument(
            help="Two or more folders of points, one file per case, or tables of all cases; runs on points; or one sweep."
        ),
    ],
    truth: Annotated[
        Optional[Path],
        typer.Option(
            "--truth",
            help="True points, or a data set with points: score all and test the differences (exact McNemar).",
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
    on: Annotated[
        OnName, typer.Option(help="Of runs: held-out cases, or test (after voxloom evaluate RUN SET).")
    ] = OnName.held_out,
    out: Annotated[
        Optional[Path],
        typer.Option("-o", "--out", help="CSV file with a row per landmark; of more than two sets a row per pair."),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare landmarks: sets against --truth, runs on the same cases, or two annotators on the slices of --scans."""
    from voxloom.errors import BadInput

    if len({path.resolve() for path in sets}) < len(sets):
        raise BadInput("a set is named twice", sets[0], "Name every set once")
    if truth is None and scans is not None:
        if len(sets) != 2:
            raise BadInput(f"two annotators are compared, {len(sets)} are given", None, "Compare them two by two")
        _compare_annotators(sets[0], sets[1], scans, out, json_output)
    elif truth is None:
        compare_scored(scored_runs(sets, on), within, None, out, json_output)
    elif len(sets) < 2:
        raise BadInput("one set cannot be compared", sets[0], "Give two or more")
    else:
        scored, across = scored_sets(sets, truth, scans, within)
        place = scans_of(truth, scans)
        cases = next(iter(scored.values())).cases
        compare_scored(scored, within, across, out, json_output, {} if place is None else patients_in(place, cases))


def scored_runs(paths: Sequence[Path], on: OnName) -> dict[str, PointEvaluation]:
    """The scored points of runs, or of all finished runs of a sweep, by name.

    Raises BadInput for anything else, for fewer than two runs, and for runs without such points.
    """
    from voxloom.errors import BadInput
    from voxloom.evaluation.points import PointEvaluation
    from voxloom.run.run import Run

    named = sweep_runs(paths[0]) if len(paths) == 1 else {str(path): path for path in paths}
    if len(named) < 2:
        fix = "Give --truth for folders of points, two or more runs, or a sweep"
        raise BadInput("there are not two runs to compare", paths[0], fix)
    found = {}
    for name, folder in named.items():
        if not (folder / "recipe.yaml").is_file():
            fix = "Give --truth to compare folders of points, or --scans to compare two annotators"
            raise BadInput("is not a run", folder, fix)
        run = Run(folder)
        tables = list(run.held_out_tables) if on == OnName.held_out else [test_in(folder).table]
        if not tables or not tables[0].is_file():
            what = "has no scored points of " + ("held-out cases" if on == OnName.held_out else "a test set")
            raise BadInput(what, folder, "Train with a hold-out, or evaluate the run on a test set first")
        found[name] = PointEvaluation([row for table in tables for row in PointEvaluation.read_csv(table).rows])
    return found


def sweep_runs(folder: Path) -> dict[str, Path]:
    """The finished runs of a sweep, named by what was varied; none where the folder is not a sweep."""
    from voxloom.dataset.tables import read_table
    from voxloom.yamltext import read_text, read_yaml

    table, settings = folder / "table.csv", folder / "sweep.yaml"
    if not table.is_file() or not settings.is_file():
        return {}
    factors = list(read_yaml(read_text(settings), settings)["over"])
    rows = [row for row in read_table(table) if row["status"] == "finished"]
    return {", ".join(str(row[name]) for name in factors): folder / str(row["run"]) for row in rows}


def read_cases(path: Path, *, unnamed: bool = False) -> Cases:
    """Points by case: of the files of a folder, or of one table with a column ``case``.

    ``unnamed`` : rows of a table need no name.

    Raises BadInput when there is none.
    """
    from voxloom.errors import BadInput
    from voxloom.points import point_ending, read_points
    from voxloom.points.table import cases_of

    if path.is_dir():
        files = {p.name[: -len(point_ending(p))]: p for p in sorted(path.iterdir()) if point_ending(p)}
        found = {case: read_points(file, case, unnamed=unnamed) for case, file in files.items()}
    else:
        found = {case: read_points(path, case, unnamed=unnamed) for case in (cases_of(path) if path.is_file() else ())}
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


def scored_sets(
    sets: Sequence[Path], truth: Path, scans: Path | None, within: float
) -> tuple[dict[str, PointEvaluation], str]:
    """Folders or tables of points, each scored against the truth; and along what |dx| is measured."""
    from voxloom.cli import output
    from voxloom.dataset.tables import name_some
    from voxloom.evaluation.points import PointEvaluation, score_points

    true, scored = true_points(truth), {}
    place = scans_of(truth, scans)
    normals = {} if place is None else normals_of(place, list(true))
    for path in sets:
        given = read_cases(path)
        if beyond := [case for case in given if case not in true]:
            output.note(f"{path}: no true points of {name_some(beyond)}; not scored")
        evaluation = PointEvaluation(within=within)
        for case, points in true.items():
            evaluation.add(score_points(case, given.get(case, ()), points, normals.get(case, (1.0, 0.0, 0.0))))
        scored[str(path)] = evaluation
    return scored, LEFT_RIGHT if place is None else f"across the slices of each scan of {place.name}"


def compare_scored(
    scored: Mapping[str, PointEvaluation],
    within: float,
    across: str | None,
    out: Path | None,
    json_output: bool,
    patients: Mapping[str, str] | None = None,
) -> None:
    """Print the figures of each set and the test of every pair; two sets are written landmark by landmark, more pair by pair."""
    from dataclasses import asdict

    from voxloom.cli import output
    from voxloom.evaluation.patients import patients_note
    from voxloom.evaluation.point_tests import all_pairs
    from voxloom.evaluation.statistics import p_text
    from voxloom.report.points_table import point_rows

    for name, evaluation in scored.items():
        evaluation.within = within
        output.table(point_rows(evaluation.summary()), title=name)
    pairs = all_pairs(scored, patients=patients)
    whose = {case: (patients or {}).get(case, case) for case in next(iter(scored.values())).cases}
    who = f"landmarks of one patient count together: {patients_note(whose)}"
    if across is not None:
        output.note(f"\n|dx| is measured {across}; the distance in the slice at a right angle to it")
    if len(scored) == 2:
        (a, b), test = list(scored), pairs[0].test
        output.note(
            f"Within {within:g} mm in the slice: both {test.both}, only {a} {test.only_a}, only {b} {test.only_b}, "
            f"neither {test.neither}; exact McNemar test, {p_text(test.p)} ({who})"
        )
        wrote = [] if out is None else [_write_pairs(list(scored.values()), out)]
        figures: dict[str, Any] = {
            "a": scored[a].summary(),
            "b": scored[b].summary(),
            "mcnemar": asdict(test) | {"p": test.p},
        }
    else:
        told = f"Within {within:g} mm in the slice, exact McNemar test of every pair ({who})"
        output.table([PAIR_HEAD, *(pair_row(pair) for pair in pairs)], title=told)
        rows = [{"a": p.a, "b": p.b, **asdict(p.test), "p": p.test.p, "p_holm": p.p_holm} for p in pairs]
        wrote = [] if out is None else [write_rows(rows, out)]
        figures = {"sets": {name: evaluation.summary() for name, evaluation in scored.items()}, "pairs": rows}
    output.done(wrote, None, {**figures, **({} if across is None else {"across": across})} if json_output else None)


#: Columns of the table of pairs.
PAIR_HEAD = ["A", "B", "both", "only A", "only B", "neither", "p", "p, Holm"]


def pair_row(pair: PairTest) -> list[str]:
    """A row of the table of pairs."""
    t = pair.test
    counts = (t.both, t.only_a, t.only_b, t.neither)
    return [pair.a, pair.b, *map(str, counts), f"{t.p:.4g}", f"{pair.p_holm:.4g}"]


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
    from voxloom.evaluation.point_tests import annotator_figures

    table = [
        ["landmark", "cases", "mean mm", "largest mm", "overlap of slices", "no common slice", "missing in A", "in B"]
    ]
    for f in annotator_figures(rows):
        means = [f"{f[key]:.2f}" for key in ("mean_mm", "largest_mm", "overlap")]
        counts = [str(f[key]) for key in ("no_common_slice", "missing_a", "missing_b")]
        table.append([f"{f['name']} {f['side']}".strip(), str(f["cases"]), *means, *counts])
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
