"""A run with its verbs as methods: what ``voxloom.Run`` is. Each method is one function of a module beside this one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxloom.dataset import Dataset
from voxloom.export.export import export_run
from voxloom.pictures.batches import show_batch, show_results
from voxloom.run import run as kept
from voxloom.tasks.predicted import On
from voxloom.tasks.task import task_of
from voxloom.verbs.evaluate import RunEvaluation, evaluate_run, report_run
from voxloom.volume import Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Run(kept.Run):
    """A finished or unfinished training on disk, and what can be asked of it.

    Parameters
    ----------
    folder : of the run.

    Raises
    ------
    BadInput : the folder is not a run.
    """

    def predict(self, source: str | Path | Volume) -> Any:
        """What the run's task answers for one scan.

        A label map on the scan's own grid in the data set's label values, shape (1, I, J, K); or points in RAS mm.
        """
        opened: Any = task_of(self).open(self)
        return opened.predict(source)

    def evaluate(self, data: str | Path | Dataset | None = None) -> RunEvaluation:
        """Figures on another data set, or on the validation cases of the run."""
        return evaluate_run(self.folder, data)

    def report(self, path: str | Path | None = None) -> Path:
        """Write ``report.html``, self-contained."""
        return report_run(self.folder, Path(path) if path is not None else None)

    def export(self, path: str | Path, to: str = "monai") -> Path:
        """Write the run as a MONAI bundle."""
        return export_run(self, Path(path), to)

    def show_batch(self, path: str | Path | None = None, *, step: int = 0) -> Figure:
        """Picture of one training batch after augmentation, with label contours; also written to ``path``."""
        return show_batch(self, Path(path) if path is not None else None, step=step)

    def predict_points(self, source: str | Path | Volume) -> Any:
        """Points of one scan in RAS mm: another name of ``predict`` for runs on points."""
        return self.predict(source)

    def show_results(
        self, path: str | Path | None = None, *, cases: Sequence[str] | None = None, on: On = "held-out"
    ) -> Figure:
        """Picture of held-out (or test) cases with the contours of truth and prediction; also written to ``path``."""
        return show_results(self, Path(path) if path is not None else None, cases=cases, on=on)
