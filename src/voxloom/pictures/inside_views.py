"""Inside a network: the kernels of its first layer, and what its layers answer to a scan.

Knows trained folds. Works for every network with convolutions, since it looks at modules, not at names.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.pictures.batches import finish
from voxloom.report.figures import new_figure
from voxloom.run.run import Run
from voxloom.tasks.abilities import need
from voxloom.tasks.task import task_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor, nn

#: Pictures in a row.
_COLUMNS = 8


def show_kernels(run: Run, path: Path | None = None, *, fold: int = 0) -> Figure:
    """Every kernel of the first convolution, a row of pictures per input channel; of a 3D kernel the middle slice.

    Gray is 0; the scale is the same for all kernels.
    """
    weights = first_kernels(run, fold)
    columns = min(2 * _COLUMNS, len(weights))
    lines = -(-len(weights) // columns) * weights.shape[1]
    figure = new_figure(0.7 * columns, 0.75 * lines + 0.6)
    panels = figure.subplots(lines, columns, squeeze=False)
    for panel in panels.ravel():
        panel.set_axis_off()
    limit = float(np.abs(weights).max())
    for n, kernel in enumerate(weights):
        for channel, plane in enumerate(kernel):
            panel = panels[(n // columns) * weights.shape[1] + channel, n % columns]
            panel.imshow(plane.T, cmap="gray", vmin=-limit, vmax=limit, origin="lower")
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
    """What the layers answer to the window with the most foreground: a row per resolution, the channels that vary most.

    Each picture is the middle slice of one channel, scaled on its own.
    """
    layers = layer_activations(run, fold, case)
    figure = new_figure(1.2 * _COLUMNS, 1.3 * len(layers) + 0.6)
    panels = figure.subplots(len(layers), _COLUMNS, squeeze=False)
    for panel in panels.ravel():
        panel.set_axis_off()
    for row, (name, answers) in zip(panels, layers.items(), strict=True):
        spread = answers.reshape(len(answers), -1).std(axis=1)
        for panel, channel in zip(row, np.argsort(-spread)[:_COLUMNS], strict=False):
            _draw(panel, answers[channel], str(channel))
        row[0].set_title(f"{name} {' x '.join(map(str, answers.shape[1:]))}", fontsize=6, loc="left")
    figure.suptitle(f"Activations of {run.folder.name}", fontsize=10)
    return finish(figure, path)


def _draw(panel: Axes, answer: NDArray[np.float32], title: str) -> None:
    plane = answer if answer.ndim == 2 else answer[..., answer.shape[-1] // 2]
    panel.imshow(plane.T, cmap="gray", origin="lower")
    panel.set_title(title, fontsize=6)


def layer_activations(run: Run, fold: int = 0, case: str | None = None) -> dict[str, NDArray[np.float32]]:
    """Name of a convolution -> its answer (channels, i, j[, k]), one layer per stretch of equal resolution.

    The window shown is the one of the case (default: the first held-out, else the first) with the most probable foreground.
    """
    from voxloom.tasks.study import open_study

    need(run, "show activations")
    predictor = _predictor(run, fold)
    study = open_study(run)
    cases = [c["id"] for c in run.data["cases"] if c["fold"] == fold] or [c["id"] for c in run.data["cases"]]
    if case is not None and case not in study.dataset:
        raise BadInput(f"there is no case {case}", run.folder, f"There are {', '.join(cases[:8])}")
    recorder = _Recorder(predictor.members[0].network, predictor.labels.has_regions)
    with predictor.views(study.dataset[case or cases[0]].read_image()) as (view,), recorder:
        for _ in predictor.slabs(view):
            pass
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
    folder = run.folder / f"fold_{fold}"
    if folder not in run.folds:
        raise BadInput(
            f"there is no trained fold {fold}", run.folder, f"There are {', '.join(f.name for f in run.folds)}"
        )
    return task_of(run).load([folder], device="cpu")
