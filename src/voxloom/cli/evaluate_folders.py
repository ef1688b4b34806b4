"""``voxloom evaluate --pred DIR --truth DIR`` on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voxloom.cli.figures import show_figures

if TYPE_CHECKING:
    from voxloom.dataset import Labels
    from voxloom.verbs.evaluate_folders import FolderOptions, FolderScores


def evaluate_pair(pred: Path, truth: Path, options: FolderOptions, out: Path | None, json_output: bool) -> None:
    """Score two folders, write the figures into ``out``, and tell them.

    Raises
    ------
    BadInput, VoxloomError : cases could not be scored; they are named before.
    """
    from voxloom.cli import output
    from voxloom.verbs.evaluate_folders import score_folders

    found = score_folders(pred, truth, options, output.listener())
    wrote = [] if out is None else found.write(out)
    for case in found.evaluation.missing:
        output.note(f"{case}: no prediction in {pred}; counted as a prediction of nothing")
    show(found, wrote, json_output)
    refuse_lost(found)


def show(found: FolderScores, wrote: list[Path], json_output: bool) -> None:
    """The figures as tables and notes, or as JSON."""
    from voxloom.cli import output
    from voxloom.report.dice_table import metric_rows

    summary = found.summary()
    output.table(metric_rows(summary), title=f"{summary['cases']} cases")
    structures = None if found.structures is None else found.structures.summary()
    show_figures(summary, structures)
    if structures is not None:
        summary = {**summary, "structures": structures}
    output.done(wrote, None, summary if json_output else None)


def refuse_lost(found: FolderScores) -> None:
    """End with an error where cases could not be scored: the figures are of the others alone."""
    from voxloom.cli import output
    from voxloom.errors import BadInput, VoxloomError

    for error in found.failures:
        output.note(f"Not scored: {error}")
    if found.failures:
        kind = BadInput if all(isinstance(error, BadInput) for error in found.failures) else VoxloomError
        lost, cases = len(found.failures), len(found.truths.cases)
        raise kind(f"{lost} of {cases} cases could not be scored; the figures are of the others")


def parse_labels(text: str) -> Labels:
    """Labels of a ``dataset.json``, or of ``NAME=VALUE,NAME=VALUE``."""
    from voxloom.dataset import Label, Labels
    from voxloom.errors import BadInput
    from voxloom.evaluation.truths import declared_in

    if "=" not in text:
        path = Path(text)
        if not path.is_file():
            raise BadInput("no such file", path, "Give a dataset.json, or names: --labels liver=1,tumour=2")
        declared = declared_in(path)
        if declared is None:
            raise BadInput("declares no labels", path, 'Write "labels": {"background": 0, "name": 1}')
        return declared
    pairs = [part.split("=", 1) for part in text.split(",")]
    if any(len(pair) != 2 or not pair[1].strip().isdigit() for pair in pairs):
        raise BadInput(f"--labels {text} is not NAME=VALUE,NAME=VALUE", None, "Example: --labels liver=1,tumour=2")
    return Labels(tuple(Label(name.strip(), (int(value),)) for name, value in pairs))


def parse_instances(text: str | None) -> str | list[str] | None:
    """``auto``, or the labels of a list with commas; None where it was left out."""
    return text if text is None or text == "auto" else text.split(",")
