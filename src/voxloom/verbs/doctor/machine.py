"""The machine: system, CPU and what it can, memory, graphics card. Imports no torch but where a card is asked for."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from voxloom.cpu import usable_cores
from voxloom.run.environment import cpu_model
from voxloom.verbs.doctor.finding import Finding, State

#: Versions of Python that Voxloom is made for: from the first, below the last.
PYTHONS = ((3, 11), (3, 14))
#: Instructions that make networks faster, as Linux names them, the best first.
INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2", "asimd")
#: GiB below which trainings are cramped, and below which they do not run.
ROOMY_MEMORY, LEAST_MEMORY = 8.0, 3.0
#: What tells memory on Linux: the system's, and the limit of a container (cgroup v2).
MEMORY, MEMORY_LIMIT = Path("/proc/meminfo"), Path("/sys/fs/cgroup/memory.max")


def machine_findings() -> list[Finding]:
    """All of them."""
    return [python_finding(), system_finding(), cpu_finding(), memory_finding(), card_finding()]


def python_finding(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Whether this Python is one of those that Voxloom is made for."""
    text = f"{version[0]}.{version[1]} ({sys.executable})"
    if PYTHONS[0] <= version < PYTHONS[1]:
        return Finding("machine", "Python", State.ok, text)
    return Finding("machine", "Python", State.fault, text, "Make a virtual environment with Python 3.11, 3.12 or 3.13")


def system_finding() -> Finding:
    """Name of the system, for those who help."""
    return Finding("machine", "system", State.ok, f"{platform.system()} {platform.release()} {platform.machine()}")


def cpu_finding() -> Finding:
    """Model, cores that may be used, and the instructions that matter."""
    cores, there = usable_cores(), os.cpu_count() or 1
    share = f"{cores} cores" if cores == there else f"{cores} of {there} cores (affinity or a container's quota)"
    known = instructions()
    text = f"{cpu_model() or 'unknown'}: {share}; {', '.join(known) or 'instructions unknown'}"
    if known and not {"avx2", "asimd"} & set(known):
        fix = "Trainings will be several times slower; take a machine of after 2014 where there is one"
        return Finding("machine", "CPU", State.note, text, fix)
    if cores < 2:
        return Finding("machine", "CPU", State.note, text, "One core trains slowly: give longer budgets")
    return Finding("machine", "CPU", State.ok, text)


def instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """Those of ``INSTRUCTIONS`` that the CPU has; empty where the system does not tell."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return [name for name in INSTRUCTIONS if name in flags.split()]


def memory_finding() -> Finding:
    """Memory that there is and that is free, a container's limit included."""
    total, free = memory()
    if total is None:
        return Finding(
            "machine", "memory", State.note, "the system does not tell", "8 GiB are enough for most trainings"
        )
    text = f"{total:.1f} GiB" + ("" if free is None else f", {free:.1f} GiB free")
    if total < LEAST_MEMORY:
        return Finding("machine", "memory", State.fault, text, f"At least {LEAST_MEMORY:.0f} GiB are needed to train")
    if total < ROOMY_MEMORY:
        fix = "Large volumes may not fit: prepare with coarser spacing, or train in 2D"
        return Finding("machine", "memory", State.note, text, fix)
    return Finding("machine", "memory", State.ok, text)


def memory() -> tuple[float | None, float | None]:
    """Total and free GiB; None where the system does not tell."""
    try:
        rows = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines())
        total = int(rows["MemTotal"].split()[0]) / 2**20
        free: float | None = int(rows["MemAvailable"].split()[0]) / 2**20
    except (OSError, KeyError, ValueError):
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, None
        except (AttributeError, ValueError, OSError):
            return None, None
    try:
        limit = int(MEMORY_LIMIT.read_text()) / 2**30
    except (OSError, ValueError):  # "max", or no container
        return total, free
    return min(total, limit), min(free, limit) if free is not None else None


def card_finding() -> Finding:
    """The graphics cards that torch can use, or why it cannot use the one that is there."""
    try:
        import torch
    except Exception as error:
        return Finding("machine", "graphics card", State.note, f"torch cannot be asked ({type(error).__name__})")
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
        named = ", ".join(f"{card.name} ({card.total_memory / 2**30:.0f} GiB)" for card in cards)
        return Finding("machine", "graphics card", State.ok, f"{named}; CUDA {torch.version.cuda}")
    if driver := nvidia_driver():
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs alone"
        fix = "Install the torch build for your driver (its own site has the command), or update the driver"
        what = f"there is a card (driver {driver}), but torch, built for {built}, cannot use it"
        return Finding("machine", "graphics card", State.note, what, fix)
    return Finding("machine", "graphics card", State.ok, "none; trainings run on the CPU")


def nvidia_driver() -> str | None:
    """Version of NVIDIA's driver; None without one."""
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return found.split()[0] if found.split() else None
