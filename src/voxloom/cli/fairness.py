"""``voxloom fairness``: a metric by sex, age, site or scanner, with a test of difference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from voxloom.cli.options import AttributeTable, CaseMetric, FiguresRun, On, cases_of, names_of


def command(
    run: FiguresRun,
    by: Annotated[
        Optional[str], typer.Option(help="Attributes, e.g. sex,age,site. [default: all that divide the cases]")
    ] = None,
    table: AttributeTable = None,
    metric: CaseMetric = None,
    on: On = None,
    out: Annotated[Optional[Path], typer.Option("-o", "--out", help="JSON file.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """A metric of RUN by attribute: mean and interval of every group, and whether the groups differ (Holm-corrected)."""
    from voxloom.cli import output
    from voxloom.files import write_json
    from voxloom.verbs.fairness import run_fairness

    found = run_fairness(run, by=names_of(by), table=table, metric=metric, cases=cases_of(on))
    for label, attributes in found.items():
        output.table(rows(attributes), title=f"{metric or 'Figures'} of {label}")
    output.note(
        "Tests see one value per patient and are Holm-corrected over the attributes; no difference shown is not equality"
    )
    result = {label: [one.to_dict() for one in attributes] for label, attributes in found.items()}
    wrote = []
    if out is not None:
        write_json(out, output.plain(result))
        wrote.append(out)
    output.done(wrote, None, result if json_output else None)


def rows(attributes: list[Any]) -> list[list[str]]:
    """A row per group, with the test beside the first group of an attribute."""
    from voxloom.evaluation.statistics import p_text

    lines = [["attribute", "group", "cases", "patients", "mean [95 % CI]", "worst", "gap", "test", "p (Holm)"]]
    for one in attributes:
        for n, group in enumerate(one.groups):
            told = [f"{one.gap:.4f}", one.test, p_text(one.p_holm)] if n == 0 else ["", "", ""]
            figures = [str(group.cases), str(group.patients), group.mean.text(4), f"{group.worst:.4f}"]
            lines.append([one.attribute if n == 0 else "", group.level, *figures, *told])
    return lines
