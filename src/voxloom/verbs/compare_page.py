"""A comparison as files: ``compare.json``, and the page ``compare.html`` with its figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxloom.files import plain, write_json
from voxloom.report.compare_page import write_compare_report
from voxloom.verbs.compare import ALPHA, Comparison
from voxloom.verbs.contenders import Cases, Contest


def write_comparison(
    found: Comparison, paths: Sequence[str | Path], out: Path, *, metric: str | None = None, cases: Cases | None = None
) -> list[Path]:
    """Write what was found into a folder; the figures are drawn from the values of single cases.

    Parameters
    ----------
    paths, metric, cases : as ``compare_runs`` was asked.
    """
    result = found.to_dict()
    write_json(out / "compare.json", plain(result))
    contest = Contest.of(paths, metric, cases)
    values = {label: one for label in contest.labels if (one := contest.values(label)).patients}
    by_run = {label: one.runs for label, one in values.items()}
    patients = {label: one.patients for label, one in values.items()}
    curves = {label: by_name for label in contest.labels if (by_name := contest.curves(label))}
    return [out / "compare.json", write_compare_report(result, by_run, patients, out, ALPHA, curves)]
