"""What predicting takes of a machine that is asked to help. Knows torch and where networks lie; knows no cluster."""

from __future__ import annotations

from typing import Any

import torch

from voxloom.crew import Needs


def needs_of(predictor: Any) -> Needs:
    """What one scan needs: a card where the networks lie on one, else as many threads as they have here.

    Parameters
    ----------
    predictor : has ``modules``, its torch modules.
    """
    parameters = (parameter for module in predictor.modules for parameter in module.parameters())
    return device_needs("cuda" if any(parameter.is_cuda for parameter in parameters) else "cpu")


def device_needs(device: str) -> Needs:
    """What work on "cpu" or "cuda" needs: one card and a core to feed it, or the threads that this process computes with."""
    threads = torch.get_num_threads()
    return Needs(1, 1, threads) if device.startswith("cuda") else Needs(threads, 0, threads)
