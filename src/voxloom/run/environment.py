"""Where a run was made: versions and machine, written into ``environment.json``. Knows no recipe."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

#: Packages whose versions can change a result.
PACKAGES = ("voxloom", "torch", "monai", "lightning", "numpy", "scipy", "nibabel", "SimpleITK", "pydicom")


def describe_environment(device: str) -> dict[str, Any]:
    """Python, packages, system, CPU and device, as JSON-able text; no host or user name."""
    import torch

    versions = {name: found for name in PACKAGES if (found := version_of(name)) is not None}
    facts: dict[str, Any] = {
        "python": sys.version.split()[0],
        "packages": versions,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": cpu_model(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    if device.startswith("cuda"):
        facts["gpu"] = torch.cuda.get_device_name(device)
    return facts


def version_of(package: str) -> str | None:
    """Version of a package; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cpu_model() -> str:
    """Model of the CPU, as the system names it; "" where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
