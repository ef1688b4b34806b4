"""``train --find-lr``: try learning rates on a recipe's own data, and suggest one. Trains nothing that is kept."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.files import write_text
from voxloom.recipe.recipe import Recipe
from voxloom.report.style import write_picture
from voxloom.run.lifecycle import free_folder, locked
from voxloom.run.listener import SILENT, Listener
from voxloom.tasks.study import training_of
from voxloom.verbs.start import start_study


@dataclass(frozen=True)
class RateTest:
    """What a range test found, and the files that hold it."""

    folder: Path
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float

    @property
    def valley(self) -> float:
        """The rate in the middle of the longest fall of the loss, see ``voxloom.optim.valley``."""
        from voxloom.optim import valley

        return valley(self.rates, self.losses)

    @property
    def plot(self) -> Path:
        """Loss over learning rate."""
        return self.folder / "find_lr.png"

    def _repr_html_(self) -> str:
        """The plot, in a notebook."""
        picture = b64encode(self.plot.read_bytes()).decode()
        text = f"Suggested learning rate {self.suggestion:.2g} (steepest fall), {self.valley:.2g} (valley)"
        return f'<p>{text}</p><img alt="Loss over learning rate" src="data:image/png;base64,{picture}">'

    @property
    def table(self) -> Path:
        """Rates and smoothed losses."""
        return self.folder / "find_lr.csv"


def find_learning_rate(
    data: str | Path | Dataset,
    recipe: Recipe,
    *,
    out: Path | None = None,
    steps: int = 100,
    listener: Listener = SILENT,
) -> RateTest:
    """Raise the learning rate from 1e-6 to 1 over ``steps`` steps of the first fold's training (Smith 2017).

    Parameters
    ----------
    out : new or empty folder; default ``runs/<data set>-find-lr-<n>``.

    Raises
    ------
    BadInput : the folder is not empty, or the data set or recipe cannot be used.
    """
    from voxloom.training.steps import range_test

    dataset = data if isinstance(data, Dataset) else Dataset(data)
    folder = out if out is not None else free_folder(Path("runs"), f"{dataset.name}-find-lr")
    if folder.exists() and any(folder.iterdir()):
        raise BadInput("the folder is not empty", folder, "Choose another with -o")
    with locked(folder):
        study = start_study(dataset, recipe.for_budget(), folder, listener)
        with listener.progress("Preparing") as progress:
            job = training_of(study, 0, progress)
        listener.stage(f"Trying {steps} learning rates")
        rates, losses, suggestion = range_test(job, study.device, steps=steps)
        test = RateTest(folder, tuple(rates), tuple(losses), suggestion)
        rows = [f"{rate:.6g},{loss:.6g}" for rate, loss in zip(rates, losses, strict=True)]
        write_text(test.table, "\n".join(["learning_rate,loss", *rows, ""]))
        draw(test)
    return test


def draw(test: RateTest) -> None:
    """Write the plot: loss over rate, the suggestion marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogx(test.rates, test.losses)
    axes.axvline(test.suggestion, color="tab:red", linestyle="--", label=f"steepest fall: {test.suggestion:.2g}")
    axes.axvline(test.valley, color="tab:green", linestyle=":", label=f"valley: {test.valley:.2g}")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss, smoothed")
    axes.legend()
    write_picture(figure, test.plot, dpi=120)
