"""One training step as a Lightning module: augment on the device, forward, loss; the schedule follows the pace.

Everything random in a step is seeded by (seed, step), so a resumed run continues as if it had never stopped. Does not know
files, validation or budgets; callbacks do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn

from voxloom.networks.base import StagedNetwork
from voxloom.optim import EMA, leaves_out, lr_at, make_optimizer
from voxloom.ranks import in_step
from voxloom.training.arithmetic import cast
from voxloom.training.compiled import Called
from voxloom.training.data import on_device
from voxloom.training.job import Batch, Feed
from voxloom.training.pace import Pace
from voxloom.training.phases import phase_at
from voxloom.training.settings import TrainingSettings
from voxloom.training.skipping import (
    Fault,
    SkippedSteps,
    buffers_kept,
    gradient_fault,
    norm_buffers,
    output_fault,
    restore_buffers,
)
from voxloom.training.verdict import LAG, Verdicts


def step_seed(seed: int, step: int) -> int:
    """A seed for one step; neighbouring steps and seeds share nothing."""
    return (seed * 1_000_003 + step * 7_919 + 12_345) % (2**31 - 1)


def inputs_of(seen: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What a network is called with: the image, and what else it takes."""
    return seen if isinstance(seen, tuple) else (seen,)


class TrainingModule(LightningModule):
    """Trains one network on batches of (step, image (B, C, I, J, K), target, mm of each patch (B, 3)).

    Parameters
    ----------
    network : logits in evaluation; in training what the loss takes, e.g. a list, finest first, when deeply supervised.
    loss : of the network's training output and the target.
    feed : the random changes of every batch, and its layout.
    settings, pace, seed : optimisation, number of steps, randomness.
    dims : 2 or 3.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        feed: Feed,
        settings: TrainingSettings,
        pace: Pace,
        *,
        dims: int,
        seed: int,
    ) -> None:
        super().__init__()
        layout = torch.channels_last if dims == 2 else torch.channels_last_3d
        self.network = network.to(memory_format=layout) if settings.channels_last else network
        self.loss, self.feed, self.settings, self.pace, self.seed = loss, feed, settings, pace, seed
        self.ema = EMA(self.network, settings.ema) if settings.ema else None
        self.called = Called(self.network, settings.compile)
        self.loss_sum, self.loss_count, self.last_loss = torch.zeros(()), torch.zeros(()), math.nan
        self.optimizer_state: dict[str, Any] | None = None
        self.scaler_state: dict[str, Any] | None = None
        self.skips, self.verdicts = SkippedSteps(), Verdicts()
        self._batch: Batch | None = None
        self._loss, self._before = torch.zeros(()), list[Tensor]()
        self.with_others = False

    def augmented(self, batch: Batch) -> tuple[Tensor | tuple[Tensor, ...], Tensor]:
        """Image and target as network and loss see them."""
        return self.feed(batch, step_seed(self.seed, batch[0]), self.pace.progress)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Image and target on the device; the rest stays where random changes are drawn."""
        return on_device(batch, device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one step."""
        torch.manual_seed(step_seed(self.seed, batch[0]))  # dropout draws from the global generator
        self._batch, self._before = batch, norm_buffers(self.network)
        seen, target = self.augmented(batch)
        with in_step(self.with_others):
            loss: Tensor = self.loss(self.called(*inputs_of(seen)), target)
        self._add_loss(loss.detach().float())
        return loss

    def _add_loss(self, value: Tensor) -> None:
        """Add a loss to the mean, where it is finite; nothing is read from the device."""
        if self.loss_sum.device != value.device:
            self.loss_sum, self.loss_count = (x.to(value.device) for x in (self.loss_sum, self.loss_count))
        finite = torch.isfinite(value)
        self._loss = value
        self.loss_sum += torch.where(finite, value, 0)
        self.loss_count += finite

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient by its norm; where that is not finite, leave the step out.

        Without gradients no optimizer moves a weight or its own state. The norm is the one that clipping needs anyway. On a
        graphics card an optimizer that can leave a step out by itself is told so there, and the CPU learns of it later.
        """
        weights = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if self._loss.device.type != "cpu" and leaves_out(optimizer):
            self._judge_later(optimizer, weights, gradient_clip_val)
            return
        norm = torch.nn.utils.get_total_norm([p.grad for p in weights if p.grad is not None])
        self.last_loss = float(self._loss)
        if math.isfinite(norm):
            if gradient_clip_val:
                torch.nn.utils.clip_grads_with_norm_(weights, gradient_clip_val, norm)
            self.skips.taken()
            return
        restore_buffers(self.network, self._before)
        if self._too_large_for_fp16():  # the loss is scaled down, and the next step is taken
            optimizer.zero_grad(set_to_none=True)
            return
        assert self._batch is not None
        finite = math.isfinite(self.last_loss)
        fault = gradient_fault(self.network) if finite else self._output_fault(self._batch)
        optimizer.zero_grad(set_to_none=True)
        self.skips.add(self.pace.step + 1, fault, self.settings.precision, self.network)

    def _too_large_for_fp16(self) -> bool:
        """Whether the gradient left the range of float16 only because the loss was scaled up."""
        scaler = self.loss_scaler
        return scaler is not None and scaler.get_scale() > 1

    @property
    def loss_scaler(self) -> torch.amp.GradScaler | None:
        """What scales the loss in float16; None elsewhere."""
        if self._trainer is None:
            return None
        found: torch.amp.GradScaler | None = getattr(self.trainer.precision_plugin, "scaler", None)
        return found

    def _judge_later(self, optimizer: torch.optim.Optimizer, weights: Sequence[Tensor], clip: float | None) -> None:
        """Clip and leave out on the device; act on the verdicts of earlier steps."""
        gradients = [p.grad for p in weights if p.grad is not None]
        norms = torch.stack(torch._foreach_norm(gradients))
        norm = torch.linalg.vector_norm(norms)
        finite = torch.isfinite(norm)
        if clip:
            torch._foreach_mul_(gradients, (clip / (norm + 1e-6)).clamp(max=1.0))
        optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
        restore_buffers(self.network, self._before, unless=finite)
        assert self._batch is not None
        names = {id(p): name for name, p in self.network.named_parameters()}
        named = [names[id(p)] for p in weights]
        self.verdicts.add(self.pace.step + 1, self._loss, norm, norms, named, self._batch)
        self.settle(LAG)

    def settle(self, lag: int = 0) -> None:
        """Act on the verdicts of all steps but the last ``lag``: note those that were left out.

        Raises
        ------
        VoxloomError : too many in a row were.
        """
        for found in self.verdicts.due(lag):
            self.last_loss = found.loss
            if math.isfinite(found.norm):
                self.skips.taken()
            elif math.isfinite(found.loss):
                last = found.layers[-1] if found.layers else ""
                self.skips.add(
                    found.step, Fault("gradient", last.rpartition(".")[0]), self.settings.precision, self.network
                )
            else:
                self.skips.add(found.step, self._output_fault(found.batch), self.settings.precision, self.network)

    def _output_fault(self, batch: Batch) -> Fault:
        """What made the loss of a batch not finite."""
        torch.manual_seed(step_seed(self.seed, batch[0]))
        with buffers_kept(self.network), cast(self.settings.precision, self.device):
            return output_fault(self.network, *inputs_of(self.augmented(batch)[0]))

    def take_mean_loss(self) -> float:
        """Mean training loss since the last call."""
        mean = float(self.loss_sum) / max(1, int(self.loss_count))
        self.loss_sum, self.loss_count = torch.zeros_like(self.loss_sum), torch.zeros_like(self.loss_count)
        return mean

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser at its peak rate; the rate of every step is set in ``on_train_batch_start``."""
        s = self.settings
        parted = any(share < 1 for share in (s.discriminative, *(p.discriminative or 1 for p in s.phases)))
        groups = self.layer_groups() if parted else [list(self.network.parameters())]
        last = max(1, len(groups) - 1)
        depths = [(last - n) / last if len(groups) > 1 else 0.0 for n in range(len(groups))]
        described: list[dict[str, Any]] = [
            {"params": weights, "factor": s.discriminative**depth, "depth": depth}
            for weights, depth in zip(groups, depths, strict=True)
        ]
        fused = self.device.type != "cpu" and s.precision != "fp16"  # a fused one would scale float16 back by itself
        return make_optimizer(
            described, s.optimizer, lr=s.learning_rate, weight_decay=s.weight_decay, momentum=s.momentum, fused=fused
        )

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """The network's own groups, from the image on."""
        assert isinstance(self.network, StagedNetwork)
        return self.network.layer_groups()

    @property
    def rate(self) -> float:
        """Learning rate of the last layer group at the present progress."""
        s = self.settings
        phase, within = phase_at(s.phases, self.pace.progress)
        return s.learning_rate * phase.rate * lr_at(s.schedule, within) / (1 + s.decay * self.pace.step)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the learning rate of this step, and freeze or free the encoder as its phase says."""
        self.freeze_as_due()
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = self.rate * self.factor_of(group)

    def factor_of(self, group: dict[str, Any]) -> float:
        """Share of the rate that a layer group learns at, by the present phase."""
        own = phase_at(self.settings.phases, self.pace.progress)[0].discriminative
        factor: float = group["factor"] if own is None else own ** group["depth"]
        return factor

    def freeze_as_due(self) -> None:
        """Take the encoder out of training, or back into it; norms of a frozen encoder keep their statistics."""
        phases = self.settings.phases
        if not any(phase.frozen for phase in phases):
            return
        frozen = phase_at(phases, self.pace.progress)[0].frozen
        assert isinstance(self.network, StagedNetwork)
        for stage in self.network.encoder_stages():
            for module in stage:
                module.requires_grad_(not frozen).train(not frozen)

    def count_step(self) -> None:
        """Move the average of the weights and count the step; called once after every optimiser step."""
        if self.ema is not None:
            self.ema.update(self.network)
        self.pace.advance()

    def on_train_start(self) -> None:
        """Give the optimiser the state of the run that is resumed; from now on all processes step together."""
        self.with_others = True
        if self.optimizer_state is not None:
            self.trainer.optimizers[0].load_state_dict(self.optimizer_state)
            self.optimizer_state = None
        if self.scaler_state is not None and self.loss_scaler is not None:
            self.loss_scaler.load_state_dict(self.scaler_state)
            self.scaler_state = None

    def progress_state(self) -> dict[str, Any]:
        """Average of the weights, pace and running loss: tensors and plain numbers only."""
        self.settle()
        scaler = self.loss_scaler
        return {
            "pace": self.pace.state_dict(),
            "ema": self.ema.state_dict() if self.ema is not None else None,
            "loss": [float(self.loss_sum), int(self.loss_count)],
            "skips": self.skips.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
        }

    def load_progress_state(self, state: dict[str, Any]) -> None:
        """Continue from ``progress_state``."""
        self.pace.load_state_dict(state["pace"])
        self.loss_sum, self.loss_count = (torch.tensor(float(number)) for number in state["loss"])
        self.scaler_state = state.get("scaler")
        self.skips.load_state_dict(state.get("skips", {}))
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
