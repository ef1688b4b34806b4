"""The switches of PyTorch that a training sets for its own length: TF32, deterministic kernels, autocast. Knows no loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

from voxloom.inference.precision import LOWER
from voxloom.training.settings import TrainingSettings

#: What cuBLAS needs in order to repeat itself; it must be set before the first product.
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextlib.contextmanager
def switched(training: TrainingSettings) -> Iterator[None]:
    """Within the block a graphics card computes as the settings say; afterwards as before. On a CPU nothing changes.

    Without ``deterministic`` cuDNN times its kernels on the first step of every shape and takes the fastest, and sums may be
    taken in any order: two runs then differ in their last digits.
    """
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = (cudnn.allow_tf32, products.allow_tf32, cudnn.benchmark, cudnn.deterministic)
    was, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if training.deterministic:
        os.environ.setdefault(_WORKSPACE, ":4096:8")
    try:
        cudnn.allow_tf32 = products.allow_tf32 = training.tf32
        cudnn.benchmark, cudnn.deterministic = not training.deterministic, training.deterministic
        torch.use_deterministic_algorithms(training.deterministic or was, warn_only=True)
        yield
    finally:
        cudnn.allow_tf32, products.allow_tf32, cudnn.benchmark, cudnn.deterministic = before
        torch.use_deterministic_algorithms(was, warn_only=warned)


def cast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The autocast of a training's precision; nothing for float32."""
    dtype = LOWER.get(precision)
    return contextlib.nullcontext() if dtype is None else torch.autocast(device.type, dtype)
