"""Optimisers, schedules and weight averaging. They know no network, file or recipe."""

from voxloom.optim.ema import EMA
from voxloom.optim.muon import Muon
from voxloom.optim.optimizers import find_lr, leaves_out, make_optimizer, valley
from voxloom.optim.ranger import Ranger
from voxloom.optim.schedules import SCHEDULES, lr_at

__all__ = ["EMA", "SCHEDULES", "Muon", "Ranger", "find_lr", "leaves_out", "lr_at", "make_optimizer", "valley"]
