"""Names of devices and their form; what the machine has is asked by ``voxloom.inference.device``. Imports no torch."""

from __future__ import annotations

import re

from voxloom.errors import BadInput

#: "cuda:N" is the N-th card of the machine, "cuda" the first.
NAMES = "auto, cpu, cuda, cuda:N or mps"
_NAME = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_SEVERAL = re.compile(r"cuda(:\d+)?(,\s*(cuda:)?\d+)+|\d+(,\s*\d+)+")


def device_name(wanted: str) -> str:
    """The name of a device, checked for its form alone.

    Raises
    ------
    BadInput : it is none of ``NAMES``.
    """
    if _SEVERAL.fullmatch(wanted):
        fix = "Name one, e.g. cuda:0, and train other folds on the others with runs of their own (CUDA_VISIBLE_DEVICES)"
        raise BadInput(f"a training uses one graphics card, not {wanted}", "--device", fix)
    if not _NAME.fullmatch(wanted):
        raise BadInput(f"there is no device {wanted!r}", "--device", f"Take {NAMES}")
    return wanted
