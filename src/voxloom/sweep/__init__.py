"""Sweeps: many runs of one recipe with changed keys, searched, carried out on one machine or many, and tabulated."""

from voxloom.sweep.run import SweepListener, SweepResult, run_sweep
from voxloom.sweep.settings import Sweep

__all__ = ["Sweep", "SweepListener", "SweepResult", "run_sweep"]
