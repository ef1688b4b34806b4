"""The flow of cases from the archive to the test, as steps with numbers and as a diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voxloom.report.cards.facts import RunFacts, are_named
from voxloom.report.style import INK, MARK, SOFT, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text


@dataclass(frozen=True)
class Step:
    """One box of the flow: what it holds, and what was lost on the way to it."""

    text: str
    lost: str = ""
    branch: bool = False


def flow_steps(facts: RunFacts) -> list[Step]:
    """From the archive (``flow.json`` beside the data, where there is one) to folds and test.

    Steps with ``branch`` lie side by side: the partitions of one set.
    """
    steps: list[Step] = []
    left: int | None = None
    for entry in facts.selection:
        lost = f"{left - int(entry['left']):,} left out" if left is not None and int(entry["left"]) < left else ""
        left = int(entry["left"])
        steps.append(Step(f"{entry['name']}: {left:,}", lost))
    cases = facts.cases
    total = len(cases) + len(facts.excluded)
    sources = sorted({case["origin"] for case in cases if case.get("origin")}) or [
        facts.dataset.get("name", "the data set")
    ]
    steps.append(Step(f"Labelled cases of {', '.join(sources)}: {total:,}"))
    pseudo = sum(bool(case.get("pseudo")) for case in cases)
    patients = f"{len(facts.patients(cases)):,} patients" if facts.names_patients else "patients not named"
    lost = f"{len(facts.excluded)} excluded: {', '.join(facts.excluded[:4])}" if facts.excluded else ""
    marked = f", {pseudo:,} with pseudo-labels" if pseudo else ""
    steps.append(Step(f"Cases of the run: {len(cases):,} ({patients}{marked})", lost))
    folds = sorted({case["fold"] for case in cases if case["fold"] is not None})
    for fold in folds[:8]:
        held = [case for case in cases if case["fold"] == fold]
        words = f"Fold {fold}: " if len(folds) > 1 else ""
        steps.append(Step(f"{words}{len(held)} held out,\n{len(cases) - len(held)} to train on", branch=True))
    if len(folds) > 8:
        steps.append(Step(f"and {len(folds) - 8} more folds", branch=True))
    for name, figures in facts.external.items():
        kept = facts.outside(name)
        patients = _patients(kept)
        steps.append(Step(f"External {name}: {figures['cases']:,} cases ({patients}), kept apart"))
    if facts.test_cases:
        name = facts.summary.get("test", {}).get("name", "")
        patients = _patients(facts.test_cases)
        steps.append(Step(f"Test {name}: {len(facts.test_cases):,} cases ({patients}), none of them trained on"))
    return steps


def _patients(records: Sequence[Mapping[str, Any]]) -> str:
    """``12 patients``, or that they are not named."""
    return f"{len({r['patient'] for r in records}):,} patients" if are_named(records) else "patients not named"


def flow_text(steps: Sequence[Step]) -> str:
    """The flow as a Markdown list."""
    return "\n".join(
        f"{'  ' if step.branch else ''}- {' '.join(step.text.split())}" + (f" ({step.lost})" if step.lost else "")
        for step in steps
    )


def flow_plot(steps: Sequence[Step]) -> Figure:
    """The flow as boxes from top to bottom; partitions lie side by side."""
    rows: list[list[Step]] = []
    for step in steps:
        if step.branch and rows and rows[-1][0].branch:
            rows[-1].append(step)
        else:
            rows.append([step])
    figure = new_figure(max(6.4, 1.75 * max(map(len, rows))), 0.95 * len(rows) + 0.2)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(-len(rows) + 0.5, 0.5))
    box = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": MARK, "linewidth": 1.2}
    above: list[Text] = []
    for n, row in enumerate(rows):
        boxes = []
        for m, step in enumerate(row):
            x = (m + 0.5) / len(row)
            boxes.append(axes.text(x, -n, step.text, ha="center", va="center", fontsize=9, color=INK, bbox=box))
            for start in above if len(row) == 1 else above[len(above) // 2 : len(above) // 2 + 1]:
                _arrow(axes, start, boxes[-1])
            if step.lost:
                axes.text(x + 0.03, 0.5 - n, step.lost, ha="left", va="center", fontsize=8, color=SOFT)
        above = boxes
    return figure


def _arrow(axes: Axes, start: Text, end: Text) -> None:
    """From the edge of one box to the edge of another."""
    ends = {"patchA": start.get_bbox_patch(), "patchB": end.get_bbox_patch(), "shrinkA": 2, "shrinkB": 2}
    axes.annotate("", end.get_position(), start.get_position(), arrowprops={"arrowstyle": "-|>", "color": SOFT, **ends})
