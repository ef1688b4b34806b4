"""Seconds of a real training step on this machine.

Knows how to run a few steps of any job; the planners ask it.
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch

from voxloom.cpu import OtherWork
from voxloom.inference.precision import TOLERABLE, bf16_slowdown
from voxloom.training.arithmetic import switched
from voxloom.training.compiled import NotCompiled
from voxloom.training.fit import build_module
from voxloom.training.job import Job
from voxloom.training.pace import Pace
from voxloom.training.steps import take_step

#: Seconds after which no further step is timed: a plan must not take longer than what it plans.
_LONG_ENOUGH = 10.0
#: Share of the cores that others must keep busy before CPU time counts in the place of the clock.
_BUSY = 0.15
#: Share of all threads' time that a step computes on a quiet machine; the rest waits for the slowest thread.
_EFFICIENCY = 0.85


def seconds_per_step(job: Job, *, device: str, steps: int = 4) -> float:
    """Seconds of the fastest of ``steps`` whole steps (read, augment, forward, backward, update), after two that warm up.

    The fastest, because other work on the machine only ever makes a step slower; where others keep cores busy all the while,
    what the step would take without them, by its CPU time: a plan must not depend on what else happened to run when
    it was made, and the pace is corrected while training. No step is begun after ten seconds, so long ones are fewer, and
    the only one may be the first.
    Arithmetic that a single convolution already shows to be slower is not timed: it takes infinitely long, as does a step that the
    memory of a card does not hold.

    Raises
    ------
    NotCompiled : ``training.compile`` is set, and PyTorch cannot compile the network here.
    """
    if job.training.precision == "bf16" and bf16_slowdown(torch.device(device).type) > TOLERABLE:
        return math.inf
    if job.training.precision == "fp16" and device == "cpu":
        return math.inf
    try:
        with switched(job.training):
            return _seconds_per_step(job, device, steps)
    except torch.OutOfMemoryError:
        return math.inf


def _seconds_per_step(job: Job, device: str, steps: int) -> float:
    """What :func:`seconds_per_step` says of a job that this machine can compute."""
    module = build_module(job, Pace(steps)).to(device)
    optimizer = module.configure_optimizers()
    sampler = job.build_sampler()
    if job.training.compile is not None:
        take_step(module, optimizer, sampler, 0)  # compiles
        if module.called.fallback is not None:
            raise NotCompiled(module.called.fallback)
    times, computed, others = [], [], OtherWork()
    for step in range(steps + 2):
        start, before = time.perf_counter(), time.process_time()
        take_step(module, optimizer, sampler, step)
        if device != "cpu":
            getattr(torch, torch.device(device).type).synchronize()
        times.append(time.perf_counter() - start)
        computed.append(time.process_time() - before)
        if sum(times) > _LONG_ENOUGH:
            break
    fastest = float(np.min(times[2:] or times))
    if device != "cpu" or others.share() < _BUSY:
        return fastest
    return min(fastest, float(np.min(computed[2:] or computed)) / torch.get_num_threads() / _EFFICIENCY)
