"""``voxloom raters``: how several raters agree with one another, and a model with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from voxloom.dataset import Labels
    from voxloom.evaluation.raters import Method


def command(
    raters: Annotated[list[str], typer.Argument(help="Two or more folders of label maps, as NAME=DIR or DIR.")],
    model: Annotated[Optional[str], typer.Option(help="Folder of a model's predictions, as NAME=DIR or DIR.")] = None,
    labels: Annotated[
        Optional[str], typer.Option(help="dataset.json with the labels' names, or NAME=VALUE,... [default: all values]")
    ] = None,
    consensus: Annotated[
        Optional[str], typer.Option(help="Also measure against the raters' majority, staple, intersection or union.")
    ] = None,
    table: Annotated[
        Optional[Path], typer.Option(help="Table with the columns case and, where they differ, patient.")
    ] = None,
    factors: Annotated[
        Optional[str], typer.Option(help="Columns of --table that Dice is regressed on, NAME,NAME.")
    ] = None,
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="Folder for tables, page and figures.")] = None,
    workers: Annotated[Optional[int], typer.Option(help="Processes. [default: chosen by the work]")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure every pair of raters, and a model against each: overlap, distances, volumes, tests."""
    from voxloom.cli import output
    from voxloom.evaluation.raters import study_raters, summarize_raters

    people = dict(named_folder(text) for text in raters)
    refuse_few(raters, people, model)
    chosen = _labels(labels, people)
    method = chosen_method(consensus)
    patients, columns = read_factors(table, factors)
    with output.progress_bar("Comparing") as progress:
        study = study_raters(
            people,
            chosen,
            model=named_folder(model) if model is not None else None,
            method=method,
            out=out / "consensus" if out is not None and method is not None else None,
            patients=patients,
            workers=workers,
            progress=progress,
        )
    figures = summarize_raters(study, columns)
    wrote = _write(study, figures, out) if out is not None else []
    for label, found in figures["labels"].items():
        output.table(rows(found["pairs"], study.unit), title=f"{label}, {figures['cases']} cases: medians")
        if found["repeated"]:
            output.table(repeated_rows(found["repeated"], study.unit), title=f"{label}: volumes of repeated scans")
    for note in (f"Patients: {figures['patients_note']}", *figures["conventions"], *figures["warnings"]):
        output.note(note)
    output.done(wrote, output.Page(out / "raters.html") if out is not None else None, figures if json_output else None)


def named_folder(text: str) -> tuple[str, Path]:
    """Name and folder of ``NAME=DIR``, or of ``DIR``, which is named after the folder."""
    name, sign, folder = text.partition("=")
    if not sign or Path(text).is_dir():
        return Path(text).resolve().name, Path(text)
    return name.strip(), Path(folder)


def refuse_few(given: Sequence[str], people: dict[str, Path], model: str | None) -> None:
    """Refuse one rater alone, and two folders of one name."""
    from voxloom.errors import BadInput

    if len(people) < len(given):
        raise BadInput("two raters have the same name", None, "Name them: voxloom raters R1=DIR R2=DIR")
    if len(people) + (model is not None) < 2:
        raise BadInput("one rater alone agrees with nobody", None, "Give two folders, or one and --model DIR")


def chosen_method(text: str | None) -> Method | None:
    """A consensus method by its name."""
    from voxloom.errors import BadInput
    from voxloom.evaluation.raters import METHODS

    for method in METHODS:
        if text == method:
            return method
    if text is not None:
        raise BadInput(f"no consensus method {text!r}", None, f"Choose one of {', '.join(METHODS)}")
    return None


def _labels(text: str | None, people: dict[str, Path]) -> Labels:
    """Labels as asked for, else every value that a rater used."""
    from voxloom.cli.evaluate_folders import parse_labels
    from voxloom.evaluation.folders import find_labels, label_files

    if text is not None:
        return parse_labels(text)
    return find_labels({f"{r}/{c}": path for r, folder in people.items() for c, path in label_files(folder).items()})


def read_factors(
    table: Path | None, factors: str | None
) -> tuple[dict[str, str] | None, dict[str, dict[str, float]] | None]:
    """Case -> patient, and factor -> case -> number, from a table with a column ``case``."""
    from voxloom.dataset.columns import called, find_roles
    from voxloom.dataset.tables import columns_of, read_table
    from voxloom.errors import BadInput
    from voxloom.evaluation.factors import factor_columns
    from voxloom.evaluation.truths import read_patients

    if table is None:
        if factors is not None:
            raise BadInput("--factors names columns of a table", None, "Give it with --table FILE")
        return None, None
    lines: list[dict[str, Any]] = read_table(table)
    key = next(iter(called(columns_of(lines), ("case", "caseid", "casename"))), None)
    if key is None:
        raise BadInput("has no column `case`", table, "Its cells are the names of the files without their ending")
    lines = [line for line in lines if key in line]
    roles = find_roles(lines, table, (key,))
    patients = None
    if roles.patient is not None:
        patients = read_patients(table, [str(line[key]) for line in lines])[0]
    columns: dict[str, dict[str, float]] = {}
    for name in (part.strip() for part in (factors or "").split(",") if part.strip()):
        known = {str(line[key]): line[name] for line in lines if name in line}
        if not known:
            raise BadInput(f"column {name} is not there", table, f"There are: {', '.join(columns_of(lines))}")
        columns |= factor_columns(name, known, table)
    return patients, columns or None


def _write(study: Any, figures: dict[str, Any], out: Path) -> list[Path]:
    from voxloom.cli import output
    from voxloom.files import write_json
    from voxloom.report.raters_page import write_raters_report

    wrote = [study.write_csv(out / "pairs.csv"), out / "raters.json"]
    write_json(out / "raters.json", output.plain(figures))
    wrote.append(write_raters_report(study, figures, out))
    return wrote + sorted((out / "figures").glob("*.svg"))


def repeated_rows(found: list[dict[str, Any]], unit: str) -> list[list[str]]:
    """Agreement on repeated scans: a row per set of readers."""
    from voxloom.evaluation.statistics import Estimate
    from voxloom.evaluation.units import volume_unit

    levels = list(found[0]["sd"])
    ml = volume_unit(unit)
    lines = [["readers", "one scan [95 % CI]", "within patients [95 % CI]", *(f"SD {level}, {ml}" for level in levels)]]
    for r in found:
        told = [Estimate(**r["single"]).text(), Estimate(**r["within"]).text()]
        lines.append([", ".join(r["readers"]), *told, *(f"{r['sd'][level]:.3g}" for level in levels)])
    return lines


def rows(pairs: list[dict[str, Any]], unit: str) -> list[list[str]]:
    """A table for the screen: a row per pair."""
    from voxloom.evaluation.units import distance_unit

    mm = distance_unit(unit)
    lines = [["pair", "cases", "Dice", f"HD {mm}", f"HD95 {mm}", f"ASSD {mm}", "one mask empty"]]
    for p in pairs:
        medians = [f"{p[m]['median']:.{3 if m == 'dice' else 2}f}" for m in ("dice", "hd", "hd95", "assd")]
        lines.append([f"{p['first']} - {p['second']}", str(p["cases"]), *medians, str(p["hd"]["infinite"])])
    return lines
