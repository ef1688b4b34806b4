"""Which arithmetic this machine is good at. Knows no network and no run.

A CPU without bfloat16 instructions computes bfloat16 convolutions hundreds of times slower than float32, so nothing
may choose bfloat16, or follow a run that did, before one small convolution has been timed.
"""

from __future__ import annotations

import time
from functools import cache
from math import inf

import torch
from torch import Tensor, nn

#: A run trained in bfloat16 still runs in it while it is at most this much slower than float32.
TOLERABLE = 3.0
#: Other work on the machine may make either arithmetic look slow: only what stays slow over so many rounds is.
_ROUNDS = 10


#: The types behind the names of lower precision.
LOWER = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """The type to predict in with a network trained in ``precision``: a lower one only where the machine can.

    Parameters
    ----------
    precision : "bf16", "fp16" or "fp32", of the training.
    device : where the network runs.
    """
    if precision == "fp16":
        return torch.float16 if device.type != "cpu" else None
    return torch.bfloat16 if precision == "bf16" and bf16_slowdown(device.type) <= TOLERABLE else None


def lower_precision(device: str) -> str:
    """The lower precision that is worth timing: "bf16", or "fp16" on a graphics card that has no bfloat16 (before Ampere)."""
    return "fp16" if device != "cpu" and bf16_slowdown(torch.device(device).type) == inf else "bf16"


@cache
def bf16_slowdown(device: str) -> float:
    """Time of a small bfloat16 convolution over that of a float32 one, measured once per process.

    Parameters
    ----------
    device : "cpu" or the type of another. A CUDA device is asked for its support instead: inf without, 0.5 with it; others have none.
    """
    if device != "cpu" and device != "cuda":
        return inf
    if device == "cuda":
        return 0.5 if torch.cuda.is_bf16_supported(including_emulation=False) else inf
    fastest, ratio = {torch.bfloat16: inf, torch.float32: inf}, inf
    for _ in range(_ROUNDS):
        fastest = {dtype: min(seconds, _convolution_seconds(dtype)) for dtype, seconds in fastest.items()}
        ratio = fastest[torch.bfloat16] / fastest[torch.float32]
        if ratio <= TOLERABLE:
            break
    return ratio


def _convolution_seconds(dtype: torch.dtype) -> float:
    """The fastest of three 3D convolutions of 16 to 16 channels on 12 cubed voxels, after one that warms up."""
    last = torch.channels_last_3d
    convolution = nn.Conv3d(16, 16, 3, padding=1).to(dtype).to(memory_format=last)
    image: Tensor = torch.ones(1, 16, 12, 12, 12, dtype=dtype).contiguous(memory_format=last)
    times = []
    with torch.inference_mode():
        for _ in range(4):
            start = time.perf_counter()
            convolution(image)
            times.append(time.perf_counter() - start)
    return min(times[1:])
