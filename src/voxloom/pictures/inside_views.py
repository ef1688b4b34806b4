"""Inside a network: the kernels of its first layer, and what its layers answer to a scan.

Knows trained folds. Works for every network with convolutions, since it looks at modules, not at names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.units import PIXEL
from voxloom.pictures.batches import finish
from voxloom.report.figures import new_figure
from voxloom.report.look import Look, cut, lay
from voxloom.report.panels import Panel, sheet
from voxloom.run.run import Run
from voxloom.runfiles import names_of
from voxloom.tasks.abilities import need
from voxloom.tasks.task import task_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

#: Pictures in a row.
_COLUMNS = 8


def show_kernels(run: Run, path: Path | None = None, *, fold: int = 0) -> Figure:
    """Every kernel of the first convolution, a row of pictures per input channel; of a 3D kernel the middle slice.

    They lie as the scans that they are laid over. Gray is 0; the scale is the same for all kernels.
    """
    weights = first_kernels(run, fold)
    columns = min(2 * _COLUMNS, len(weights))
    lines = -(-len(weights) // columns) * weights.shape[1]
    figure = new_figure(max(4.0, 0.7 * columns), 0.75 * lines + 0.6)
    panels = figure.subplots(lines, columns, squeeze=False)
    for panel in panels.ravel():
        panel.set_axis_off()
    limit, look = float(np.abs(weights).max()), prepared_look(run)
    for n, kernel in enumerate(weights):
        for channel, plane in enumerate(kernel):
            panel = panels[(n // columns) * weights.shape[1] + channel, n % columns]
            panel.imshow(
                lay(look.turned(plane[..., None]).squeeze(look.axis_of(2))), cmap="gray", vmin=-limit, vmax=limit
            )
    figure.suptitle(f"{len(weights)} kernels of the first layer, {run.folder.name}", fontsize=10)
    return finish(figure, path)


def first_kernels(run: Run, fold: int = 0) -> NDArray[np.float32]:
    """Weights (outputs, inputs, u, v) of the first convolution of more than one voxel; of 3D kernels the middle slice."""
    need(run, "show kernels")
    network = _predictor(run, fold).members[0].network
    layer = next((m for _, m in _convolutions(network) if max(m.kernel_size) > 1), None)
    if layer is None:
        raise BadInput("the network has no convolution of more than one voxel", run.folder)
    weights: NDArray[np.float32] = layer.weight.detach().cpu().float().numpy()
    return weights if weights.ndim == 4 else weights[..., weights.shape[-1] // 2]


def show_activations(run: Run, path: Path | None = None, *, fold: int = 0, case: str | None = None) -> Figure:
    """What the layers answer to the window with the most foreground, or to the scan that has one answer: a row per resolution.

    Of every layer the channels are shown that vary most.

    Each picture is the middle slice of one channel, scaled on its own.
    """
    layers = layer_activations(run, fold, case)
    look = prepared_look(run)
    rows = [list(_strongest(answers, look, name)) for name, answers in layers.items()]
    return finish(sheet(rows, (), title=f"Activations of {run.folder.name}", height=1.5), path)


def _strongest(answers: NDArray[np.float32], look: Look, name: str) -> Iterator[Panel]:
    """The channels of a layer that vary most, each in the middle of the last axis; the first names the layer."""
    spread = answers.reshape(len(answers), -1).std(axis=1)
    size = " x ".join(map(str, answers.shape[1:]))
    for n, channel in enumerate(np.argsort(-spread)[:_COLUMNS]):
        volume = answers[channel] if answers.ndim == 4 else answers[channel][..., None]
        turned, axis = look.turned(volume), look.axis_of(2)
        shades = cut(turned, axis, turned.shape[axis] // 2)
        low, high = float(shades.min()), float(shades.max())
        first = (look.sides(axis), f"{name.replace('.', ' ')}\n{size}") if n == 0 else ((), "")
        yield Panel(shades, (low, max(high, low + 1e-6)), 1.0, f"channel {channel}", first[0], head=first[1])


def prepared_look(run: Run) -> Look:
    """How the run's prepared grid is looked at; cells of a layer count as squares."""
    known = run.data["fingerprint"].get("unit") != PIXEL
    return Look.prepared(run.recipe.preparation.orientation, (1.0, 1.0, 1.0), known=known)


def layer_activations(run: Run, fold: int = 0, case: str | None = None) -> dict[str, NDArray[np.float32]]:
    """Name of a convolution -> its answer (channels, i, j[, k]), one layer per stretch of equal resolution.

    The window shown is the one of the case (default: the first held-out, else the first) with the most probable foreground; of
    networks that answer for a whole case there is one.
    """
    from voxloom.tasks.study import open_study

    need(run, "show activations")
    task, predictor = task_of(run), _predictor(run, fold)
    study = open_study(run)
    cases = [c["id"] for c in run.data["cases"] if c["fold"] == fold] or [c["id"] for c in run.data["cases"]]
    if case is not None and case not in study.dataset:
        raise BadInput(f"there is no case {case}", run.folder, f"There are {', '.join(cases[:8])}")
    labels = study.material.labels
    recorder = _Recorder(predictor.members[0].network, labels is not None and labels.has_regions)
    with recorder:
        task.predict_case(predictor, study.dataset[case or cases[0]])
    return recorder.best


class _Recorder:
    """Hooks that keep the answers of all convolutions for the window with the most foreground."""

    def __init__(self, network: nn.Module, regions: bool) -> None:
        self.network, self.regions = network, regions
        self.current: dict[str, NDArray[np.float32]] = {}
        self.best: dict[str, NDArray[np.float32]] = {}
        self.most = -np.inf
        self.handles: list[Any] = []

    def __enter__(self) -> None:
        for name, layer in _convolutions(self.network):
            self.handles.append(layer.register_forward_hook(self._keeper(name)))
        self.handles.append(self.network.register_forward_hook(self._window_done))

    def __exit__(self, *error: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _keeper(self, name: str) -> Any:
        def keep(layer: nn.Module, given: Any, answer: Tensor) -> None:
            found = answer[0].detach().cpu().float().numpy()
            last = next(reversed(self.current), None)
            if last is not None and self.current[last].shape[1:] == found.shape[1:]:
                del self.current[last]
            self.current[name] = found

        return keep

    def _window_done(self, network: nn.Module, given: Any, answer: Any) -> None:
        logits = answer[0] if isinstance(answer, (list, tuple)) else answer
        shares = logits[0].float().sigmoid() if self.regions else logits[0].float().softmax(dim=0)[1:]
        foreground = float(shares.sum())
        if foreground > self.most:
            self.most, self.best = foreground, self.current
        self.current = {}


def _convolutions(network: nn.Module) -> list[tuple[str, Any]]:
    from torch import nn

    return [(name, m) for name, m in network.named_modules() if isinstance(m, (nn.Conv2d, nn.Conv3d))]


def _predictor(run: Run, fold: int) -> Any:
    if (chosen := run.fold(fold)) not in run.folds:
        raise BadInput(f"there is no trained fold {fold}", run.folder, f"There are {', '.join(names_of(run.folds))}")
    return task_of(run).load([chosen], device="cpu")
