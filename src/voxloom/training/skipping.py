"""Steps whose gradient is not finite: they are not taken, but counted, and the layer that they arose in is named.

Knows a network with its gradients, and ``skipped.csv``. Does not know the optimizer or Lightning (``module``).
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from voxloom.errors import VoxloomError
from voxloom.files import write_text
from voxloom.ranks import first

#: Steps in a row that may be left out. A single odd batch passes; ten different ones in a row have a cause that stays.
MOST_IN_A_ROW = 10
SKIPPED = "skipped.csv"
_COLUMNS = ("step", "layer", "precision", "what")
#: Weights as large as this have grown; those of a network that learns stay below a hundred.
_GROWN = 1e3

What = Literal["image", "weights", "output", "gradient"]


class Fault(NamedTuple):
    """What was not finite first, and in which layer; the name of a layer as in ``network.named_modules()``."""

    what: What
    layer: str


@dataclass
class SkippedSteps:
    """The steps that were left out, and how many of them end the present one.

    Parameters
    ----------
    rows : (step from 1, layer, precision, what) of each.
    in_a_row : as many steps up to the last one were left out.
    path : ``skipped.csv``, written after every one; None writes nothing.
    """

    rows: list[tuple[int, str, str, str]] = field(default_factory=list)
    in_a_row: int = 0
    path: Path | None = None

    def taken(self) -> None:
        """The step was an ordinary one."""
        self.in_a_row = 0

    def add(self, step: int, fault: Fault, precision: str, network: nn.Module) -> None:
        """Note a step that is left out.

        Raises
        ------
        VoxloomError : it is one too many in a row.
        """
        self.rows.append((step, fault.layer, precision, fault.what))
        self.in_a_row += 1
        self.write()
        if self.in_a_row >= MOST_IN_A_ROW:
            raise VoxloomError(_too_many(self.in_a_row, step, fault, precision, network))

    def counts(self) -> dict[str, int]:
        """How many steps each layer spoiled, by "layer, precision"."""
        return dict(Counter(f"{layer}, {precision}" for _, layer, precision, _ in self.rows))

    def write(self) -> None:
        """Write all rows; no file where there is none."""
        if self.path is None or not first():
            return
        if not self.rows:
            self.path.unlink(missing_ok=True)
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([_COLUMNS, *self.rows])
        write_text(self.path, text.getvalue())

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint, as plain values."""
        return {"rows": [list(row) for row in self.rows], "in_a_row": self.in_a_row}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state_dict``; empty in a checkpoint of an earlier version."""
        self.rows = [(int(step), str(layer), str(kind), str(what)) for step, layer, kind, what in state.get("rows", ())]
        self.in_a_row = int(state.get("in_a_row", 0))


def skipped_sentence(counts: Mapping[str, int], steps: int) -> str:
    """One line for the console and the report, from :meth:`SkippedSteps.counts`."""
    total = sum(counts.values())
    one = total == 1
    where = "; ".join(f"{layer} ({n})" if len(counts) > 1 else layer for layer, n in counts.items())
    return (
        f"{total} of {steps} steps {'was' if one else 'were'} skipped: "
        f"{'its gradient was' if one else 'their gradients were'} not finite. It arose in {where}; see {SKIPPED}"
    )


def gradient_fault(network: nn.Module) -> Fault:
    """The layer behind a gradient that is not finite though the loss is.

    Gradients travel from the last layer to the first, and a spoiled one spoils all before it: the last is the cause. Where all
    numbers are finite and only their norm is too large for float32, the largest gradient is.
    """
    found = [(name, p.grad) for name, p in network.named_parameters() if p.grad is not None]
    spoiled = [name for name, gradient in found if not bool(torch.isfinite(gradient).all())]
    name = spoiled[-1] if spoiled else max(found, key=lambda pair: float(pair[1].abs().max()))[0]
    return Fault("gradient", name.rpartition(".")[0])


def output_fault(network: nn.Module, *inputs: Tensor) -> Fault:
    """Where a loss that is not finite comes from: the image, the weights, or the first layer that makes it of finite numbers.

    Runs the network once more; dropout draws anew, so ask right after seeding the generator.
    """
    if not all(bool(torch.isfinite(one).all()) for one in inputs):
        return Fault("image", "the image")
    for name, weight in network.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            return Fault("weights", name.rpartition(".")[0])
    first: list[str] = []
    handles = [module.register_forward_hook(_noting(name, first)) for name, module in network.named_modules()]
    try:
        with torch.no_grad():
            network(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    return Fault("output", (first[0] or "the network") if first else "the loss")


def _noting(name: str, first: list[str]) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    def note(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if not first and _finite(inputs) and not _finite(output):
            first.append(name)

    return note


def _finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return not value.is_floating_point() or bool(torch.isfinite(value).all())
    return all(_finite(part) for part in value) if isinstance(value, (list, tuple)) else True


@contextlib.contextmanager
def buffers_kept(network: nn.Module) -> Iterator[None]:
    """Within the block norms may take statistics; afterwards they have those of before."""
    kept = norm_buffers(network)
    yield
    restore_buffers(network, kept)


def norm_buffers(network: nn.Module) -> list[Tensor]:
    """Copies of the running statistics of batch norms, which a step that is left out must not move; few numbers."""
    return [b.clone() for m in network.modules() if isinstance(m, _BatchNorm) and m.training for b in m.buffers()]


def restore_buffers(network: nn.Module, kept: list[Tensor], unless: Tensor | None = None) -> None:
    """Put back what ``norm_buffers`` copied; with ``unless`` (a boolean on their device) only where that is false."""
    own = [b for m in network.modules() if isinstance(m, _BatchNorm) and m.training for b in m.buffers()]
    for buffer, before in zip(own, kept, strict=True):
        buffer.copy_(before if unless is None else torch.where(unless, buffer, before))


def _too_many(count: int, step: int, fault: Fault, precision: str, network: nn.Module) -> str:
    """Why the training ends, and what helps."""
    where = fault.layer if fault.what == "image" else f"{fault.layer}, computed in {precision}"
    told = f"the gradient was not finite in {count} steps in a row, up to step {step}. "
    largest = max((float(p.detach().abs().max()) for p in network.parameters()), default=0.0)
    if fault.what == "image":
        return f"{told}The training images hold numbers that are not finite: voxloom inspect names them"
    if not largest < _GROWN:  # also where it is not a number
        return (
            f"{told}The weights have grown to {largest:.1e}; the last fault arose in {where}. "
            "Lower training.learning_rate"
        )
    arose = f"{told}It arose in {where}, with weights and images that are finite and small. "
    if precision == "bf16":
        return (
            arose
            + "A bfloat16 kernel of this machine may be wrong: set training.precision to fp32, and report the layer"
        )
    return arose + "Look at the loss and the labels, and report the layer"
