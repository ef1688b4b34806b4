"""Held-out cases looked at one by one: the most wrong first, each with the map of the network that never saw it.

Knows a run's tables, folds and the folder ``explained`` that its report shows. Figures are the tables', maps are ``explain``'s.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voxloom.attribution import Explainable, attribute
from voxloom.attribution.explainable import file_name_of
from voxloom.attribution.maps import Explained
from voxloom.errors import BadInput, VoxloomError
from voxloom.evaluation.classification import ClassEvaluation
from voxloom.files import file_stem, write_json
from voxloom.formats import write_volume
from voxloom.pictures.batches import finish
from voxloom.report.explained_part import FOLDER, INDEX
from voxloom.report.map_slices import draw_map, map_slices
from voxloom.report.plots.classes import confusion_matrix
from voxloom.report.style import INK, new_figure, write_picture
from voxloom.run.listener import SILENT, Listener
from voxloom.run.run import Run
from voxloom.runfiles import RunFold, held_out_tables
from voxloom.tasks.abilities import need
from voxloom.tasks.predicted import On
from voxloom.tasks.study import Study, open_study
from voxloom.tasks.task import task_of
from voxloom.tasks.values import Example, Table
from voxloom.verbs.explain import ExplainOptions, opened, told_of
from voxloom.volume import Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Confusion:
    """True classes in rows, answers in columns.

    Parameters
    ----------
    classes : names.
    counts : (K, K) cases.
    """

    classes: tuple[str, ...]
    counts: NDArray[np.intp]

    @property
    def shares(self) -> NDArray[np.float64]:
        """Counts as shares of their row; a class without a case has 0 everywhere."""
        found: NDArray[np.float64] = self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)
        return found

    def show(self, path: str | Path | None = None, *, normalize: bool = False) -> Figure:
        """Picture of the matrix, of shares of the row where ``normalize``; also written to ``path``."""
        figure = confusion_matrix(self.classes, self.counts, normalize=normalize)
        if path is not None:
            write_picture(figure, Path(path), dpi=150)
        return figure


@dataclass(frozen=True)
class Shown:
    """One held-out case with the maps of its answers."""

    example: Example
    image: Volume
    maps: tuple[Explained, ...]


def scored_table(run: Run, on: On = "held-out") -> Table:
    """The figures of the held-out cases, or of the last test set (BadInput where there is none)."""
    task = task_of(run)
    if on == "held-out":
        return task.read_table(run.held_out_tables, run)
    path = run.test.table
    if not path.is_file():
        raise BadInput("the run was not evaluated on a test set", run.folder, f"voxloom evaluate {run.folder} DATASET")
    return task.read_table([path], run)


def confusion_of(run: Run, on: On = "held-out") -> Confusion:
    """Counts of true against predicted classes (BadInput for a run whose answers are not classes)."""
    table = scored_table(run, on)
    if not isinstance(table, ClassEvaluation):
        told = f"the run was trained on {task_of(run).trained_on}, which have no confusion matrix"
        raise BadInput(told, run.folder, "Its worst cases: run.top_losses()")
    return Confusion(table.classes, table.confusion())


def examples_of(run: Run, cases: Sequence[str] | None) -> list[Example]:
    """The named held-out cases, else those that the task would show (BadInput for a case that no fold held out)."""
    task = task_of(run)
    table = scored_table(run)
    if cases is None:
        found = task.examples(table)
        return found or [Example(one.case, (), f"{one.case}: {one.answer}") for one in table.losses()[:3]]
    told = {one.case: one for one in table.losses()}
    if missing := [case for case in cases if case not in told]:
        raise BadInput(f"no fold held out {', '.join(missing)}", run.folder, f"There are {', '.join(list(told)[:8])}")
    return [Example(case, (), f"{case}: {told[case].truth}, answer {told[case].answer}") for case in cases]


def shown_cases(run: Run, study: Study, examples: Sequence[Example], options: ExplainOptions) -> Iterator[Shown]:
    """Every example with its maps, one in memory at a time."""
    fold_of, networks = run.fold_of, dict[RunFold, Explainable]()
    for example in examples:
        fold = fold_of[example.case]
        if fold not in networks:
            networks[fold] = opened(run, [fold], options)
        case = study.dataset[example.case]
        image = case.read_image()
        explained = networks[fold]
        answers = explained.asked(example.answers, image, case.attributes)
        maps = tuple(attribute(explained, image, answer, options.method, case.attributes) for answer in answers)
        yield Shown(example, image, maps)


def show_maps(run: Run, path: Path | None, cases: Sequence[str] | None, options: ExplainOptions) -> Figure:
    """A row of slices per case and answer."""
    need(run, "explain")
    rows: list[tuple[str, Volume, Volume]] = []
    for shown in shown_cases(run, open_study(run), examples_of(run, cases), options):
        first = shown.image.with_data(shown.image.present[:1])
        for found in shown.maps:
            rows.append((f"{shown.example.caption}; {options.method.method} of {found.answer}", first, found.map))
    figure = new_figure(7.8, 2.9 * len(rows))
    parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
    for part, (title, image, drawn) in zip(parts, rows, strict=True):
        flat = sum(n < 2 for n in image.shape) > 0
        draw_map(part, part.subplots(1, 1 if flat else 3, squeeze=False)[0], image, drawn)
        part.suptitle(title, fontsize=9, color=INK)
    return finish(figure, path)


def write_examples(
    run: Run, study: Study, listener: Listener = SILENT, options: ExplainOptions = ExplainOptions()
) -> None:
    """``explained/`` of a run: maps and pictures of the examples of its task, and ``index.json`` for the report.

    What cannot be explained is told, and leaves the rest of the run as it is.
    """
    task = study.task
    if "explain" in task.cannot or not held_out_tables(run.folder):
        return
    examples = task.examples(scored_table(run))
    if not examples:
        return
    with tempfile.TemporaryDirectory(prefix=".explained", dir=run.folder) as temporary:
        place = Path(temporary) / FOLDER
        place.mkdir()
        try:
            entries = [
                entry
                for shown in shown_cases(run, study, examples, options)
                for entry in _written(shown, place, options)
            ]
        except VoxloomError as error:
            listener.stage(f"Note: held-out cases are not explained: {error}")
            return
        write_json(place / INDEX, {"method": options.method.method, "cases": entries})
        shutil.rmtree(run.folder / FOLDER, ignore_errors=True)
        place.rename(run.folder / FOLDER)


def _written(shown: Shown, place: Path, options: ExplainOptions) -> list[dict[str, Any]]:
    """Map and picture of every answer of one case."""
    entries = []
    for found in shown.maps:
        method, example = options.method.method, shown.example
        stem = file_stem(example.case, file_name_of(method), found.answer)
        write_volume(found.map, place / f"{stem}.nii.gz")
        title = f"{example.caption}; {method} of {found.answer}"
        figure = map_slices(shown.image, found.map, title)
        write_picture(figure, place / f"{stem}.png", dpi=110)
        entry = {"case": example.case, "answer": found.answer, "caption": title, "right": example.right}
        note = told_of(found)
        entries.append({**entry, "picture": f"{stem}.png", **({"note": note} if note else {})})
    return entries
