"""Single training steps outside a training: to time them, and to try learning rates. Writes no file."""

from __future__ import annotations

import torch
from torch.optim import Optimizer

from voxloom.optim import find_lr
from voxloom.training.arithmetic import cast
from voxloom.training.data import batch_at, on_device
from voxloom.training.fit import build_module
from voxloom.training.job import Job, StepReader
from voxloom.training.module import TrainingModule
from voxloom.training.pace import Pace

#: What losses in float16 are scaled by outside a training, where no scale is searched.
FP16_SCALE = 1024.0


def take_step(
    module: TrainingModule, optimizer: Optimizer, sampler: StepReader, step: int, clip: float | None = None
) -> float:
    """Read, augment, forward, backward, update; the loss of step ``step``, on the device of the module."""
    device, precision = next(module.network.parameters()).device, module.settings.precision
    scale = FP16_SCALE if precision == "fp16" else 1.0
    with cast(precision, device):
        loss = module.training_step(on_device(batch_at(sampler, step), device), step)
    optimizer.zero_grad()
    (loss * scale).backward()  # type: ignore[no-untyped-call]
    if scale != 1:
        torch._foreach_mul_([p.grad for p in module.network.parameters() if p.grad is not None], 1 / scale)
    if clip is not None:
        torch.nn.utils.clip_grad_norm_(module.network.parameters(), clip)
    optimizer.step()
    return float(loss.detach())


def range_test(
    job: Job, device: str, *, low: float = 1e-6, high: float = 1.0, steps: int = 100
) -> tuple[list[float], list[float], float]:
    """The learning-rate range test (Smith 2017) on a training's own patches, from its first weights.

    Returns
    -------
    (rates, smoothed losses, suggested rate), as ``find_lr``.
    """
    module = build_module(job, Pace(steps)).to(device)
    module.network.train()
    optimizer, sampler = module.configure_optimizers(), job.build_sampler()
    taken = iter(range(steps))

    def step(rate: float) -> float:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        return take_step(module, optimizer, sampler, next(taken), job.training.gradient_clip or None)

    return find_lr(step, low=low, high=high, steps=steps)
