"""Weights on disk: safetensors beside a JSON that says which network they fit. No pickle is ever loaded.

Knows how to write both whole or not at all, and how to refuse a file that is not safetensors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from voxloom.errors import BadInput
from voxloom.files import atomic_path, read_json, write_json
from voxloom.runfiles import DESCRIPTION, WEIGHTS
from voxloom.training.migration import FORMAT, upgraded


def save_weights(folder: Path, weights: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write ``model.safetensors`` and ``model.json`` into ``folder``."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save(plain))  # a full disk is then an OSError that says so
    write_json(folder / DESCRIPTION, {"format": FORMAT, **description})


def load_weights(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the weights and the description of a fold's folder, in the present format.

    Raises
    ------
    BadInput : a file is missing, damaged, a pickle in disguise, or of a later Voxloom, whose settings mean what is not known here.
    """
    path, text = folder / WEIGHTS, folder / DESCRIPTION
    for file in (path, text):
        if not file.is_file():
            raise BadInput("the trained network is not there", file, "Train the fold first: voxloom train ... --resume")
    try:
        weights, about = load_file(path), read_json(text)
    except (SafetensorError, ValueError, OSError, RuntimeError) as error:
        raise BadInput(
            "the weights are damaged or not in the safetensors format", path, "Copy the run again"
        ) from error
    return weights, upgraded(about, text)


def weights_hash(weights: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 over names, shapes and values; equal hashes mean bit-identical weights."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
