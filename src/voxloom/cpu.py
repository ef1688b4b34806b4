"""The CPU cores that this process may use, how its threads wait, and how busy others keep the cores. Knows no torch."""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

#: Where Linux tells a container's quota (cgroup v2) and the time that every core has worked.
QUOTA, TICKS = Path("/sys/fs/cgroup/cpu.max"), Path("/proc/stat")
#: Turns that a waiting thread spins before it sleeps: most barriers of a quiet machine are over by then (OpenMP's own is 300,000).
SPINS = "40000"
#: Columns of a core in ``/proc/stat`` that are not work: idle, waiting for a disk; guests are counted by their hosts already.
_IDLE, _COUNTED = (3, 4), 8


def usable_cores() -> int:
    """Number of CPU cores that this process may use: of its affinity (``taskset``), and of a container's quota."""
    allowed = len(_affinity()) or os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, _quota())))


def set_thread_policy(environment: MutableMapping[str, str]) -> None:
    """Let threads spin at barriers for a moment only, and start no more of them than a container's quota has cores.

    Threads that spin while they wait take the time of whoever could work: on a machine that others use too, training steps
    took two to three times as long (``benchmarks/RESULTS.md``). GNU's OpenMP, which torch brings on Linux, reads the environment
    once, when it is loaded, so this must come before the first import of torch. What the user has set stays.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & environment.keys():
        environment["GOMP_SPINCOUNT"] = SPINS
    if _quota() < len(_affinity()):
        environment.setdefault("OMP_NUM_THREADS", str(usable_cores()))


class OtherWork:
    """Which share of the usable cores other processes have kept busy since this was made."""

    def __init__(self) -> None:
        self._before, self._own = _ticks(), _own_seconds()

    def share(self) -> float:
        """Between 0 and 1; 0 where the system does not tell."""
        (busy, total), (busy_before, total_before) = _ticks(), self._before
        if total <= total_before:
            return 0.0
        own = (_own_seconds() - self._own) * os.sysconf("SC_CLK_TCK")
        return min(1.0, max(0.0, (busy - busy_before - own) / (total - total_before)))


def _affinity() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _quota() -> float:
    """Cores of a container's quota; infinite without one."""
    try:
        allowed, period = QUOTA.read_text().split()
        return math.inf if allowed == "max" else int(allowed) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def _ticks() -> tuple[float, float]:
    """Ticks that the usable cores have worked, and all their ticks; (0, 0) where the system does not tell."""
    try:
        lines = TICKS.read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    names = {f"cpu{number}" for number in _affinity()}
    rows = [[int(n) for n in line.split()[1:]][:_COUNTED] for line in lines if line.split(" ", 1)[0] in names]
    total = sum(map(sum, rows))
    return float(total - sum(row[column] for row in rows for column in _IDLE)), float(total)


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system
