"""``voxloom suggest-metrics``: which metrics fit the labels of a data set, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

if TYPE_CHECKING:
    from voxloom.dataset import Dataset
    from voxloom.evaluation.suggest import MaskShape


def command(
    dataset: Annotated[Path, typer.Argument(help="Data set with labels.")],
    cases: Annotated[int, typer.Option(min=1, help="Labelled cases to look at, spread over the set.")] = 40,
    workers: Annotated[Optional[int], typer.Option(help="Processes. [default: chosen by the work]")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Walk the questions of Metrics Reloaded over the labels of DATASET, and say which metrics belong into its reports."""
    from voxloom.cli import output
    from voxloom.dataset import Dataset
    from voxloom.evaluation.suggest import as_json, label_answers, suggest

    opened = Dataset(dataset)
    shapes = measured(opened, cases, workers)
    answers = {label: label_answers(found) for label, found in shapes.items()}
    suggestions = {label: suggest(found) for label, found in answers.items()}
    result = as_json(answers, suggestions)
    lines = [["label", "metric", "", "why"]]
    for label, found in suggestions.items():
        lines += [[label, s.metric, "yes" if s.fits else "misleads", s.why] for s in found]
    output.table(lines, title=f"{len(next(iter(shapes.values())))} labelled cases of {opened.name}")
    told = ", ".join(result["metrics"])
    output.note(
        f"In a recipe: evaluate: {{metrics: [{told}]}}; the usual ones (Dice, HD95, ASSD, volumes) are always there"
    )
    setting = f"evaluate.metrics=[{','.join(result['metrics'])}]"
    output.done([], ["voxloom", "train", dataset, "--set", setting, "-o", "RUN"], result if json_output else None)


def measured(dataset: Dataset, most: int, workers: int | None) -> dict[str, list[MaskShape]]:
    """Label -> shape per case, of at most so many labelled cases (BadInput without any)."""
    import numpy as np

    from voxloom.cli import output
    from voxloom.dataset.faults import all_or_told
    from voxloom.errors import BadInput
    from voxloom.parallel import map_outcomes

    known = [case for case in dataset if case.label is not None]
    if not known:
        raise BadInput("has no labelled case", dataset.root, "Metrics are suggested from true masks")
    picked = [known[int(n)] for n in np.unique(np.linspace(0, len(known) - 1, min(most, len(known))).round())]
    look: Any = _Look(dataset.labels)
    found: dict[str, list[MaskShape]] = {}
    with output.progress_bar("Looking at the labels") as progress:
        jobs = [(case.id, case) for case in picked]
        for _, shapes in all_or_told(map_outcomes(look, jobs, step="looking at", workers=workers, progress=progress)):
            for label, shape in shapes.items():
                found.setdefault(label, []).append(shape)
    return found


class _Look:
    """Measures the labels of one case; picklable for worker processes."""

    def __init__(self, labels: Any) -> None:
        self.labels = labels

    def __call__(self, case: Any) -> dict[str, MaskShape]:
        from voxloom.evaluation.suggest import shapes_of

        return shapes_of(case.read_label(), self.labels)
