"""``voxloom mixed``: a score by a mixed model of cases within patients within sites."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from voxloom.cli.options import AttributeTable, CaseMetric, FiguresRun, On, cases_of, names_of

if TYPE_CHECKING:
    from voxloom.evaluation.statistics.mixed import MixedModel


def command(
    run: FiguresRun,
    site: Annotated[
        Optional[str],
        typer.Option(help="Attribute that names the site or scanner, 5 or more. [default: no such level]"),
    ] = None,
    factors: Annotated[
        Optional[str],
        typer.Option(help="Attributes that may move the score, e.g. age,thickness: numbers, or two words."),
    ] = None,
    table: AttributeTable = None,
    metric: CaseMetric = None,
    on: On = None,
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="JSON file.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """A metric of RUN by a mixed model: the mean, how much sites, patients and cases differ, and what moves it."""
    from voxloom.cli import output
    from voxloom.files import write_json
    from voxloom.verbs.mixed import corrected, run_mixed

    found = run_mixed(run, site=site, factors=names_of(factors), table=table, metric=metric, cases=cases_of(on))
    held = corrected(found)
    output.table(rows(found, held), title=f"Mixed model of {metric or 'the main metric'}")
    output.table(
        component_rows(found), title="Standard deviation between the groups of each level (share of the variance)"
    )
    output.note(
        "Restricted maximum likelihood; degrees of freedom of the level at which a term varies; p Holm-corrected over the table"
    )
    result = {label: {**model.to_dict(), "p_holm": held[label]} for label, model in found.items()}
    wrote = []
    if out is not None:
        write_json(out, output.plain(result))
        wrote.append(out)
    output.done(wrote, None, result if json_output else None)


def rows(models: Mapping[str, MixedModel], held: Mapping[str, list[float]]) -> list[list[str]]:
    """A row per label and term, with a header row."""
    from voxloom.evaluation.statistics import p_text

    lines = [["label", "term", "estimate [95 % CI]", "varies by", "degrees of freedom", "p (Holm)"]]
    for label, model in models.items():
        ps = ["", *(p_text(p) for p in held[label])]
        for n, (term, p) in enumerate(zip(model.terms, ps, strict=True)):
            told = [term.estimate.text(4), model.level[term.name], f"{term.freedom:g}", p]
            lines.append([label if n == 0 else "", term.name, *told])
    return lines


def component_rows(models: Mapping[str, MixedModel]) -> list[list[str]]:
    """A row per label, with a header row."""
    levels = list(dict.fromkeys(level for model in models.values() for level in model.sd))
    lines = [["label", *levels, "cases", "patients", "sites"]]
    for label, model in models.items():
        shares = model.shares
        spread = [
            f"{model.sd[level]:.4f} ({100 * shares[level]:.0f} %)" if level in model.sd else "" for level in levels
        ]
        counts = [str(model.cases), str(model.patients), "" if model.sites is None else str(model.sites)]
        lines.append([label, *spread, *counts])
    return lines
