"""From a network's maps to points: prediction of one prepared image. Knows networks and maps; no file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from voxloom.inference import Windowing, autocast_dtype, predict_map
from voxloom.inference.slabs import predict_slabs
from voxloom.landmarks import LandmarkSettings, Layout, locate
from voxloom.landmarks.targets import paint
from voxloom.losses.landmarks import probabilities_of
from voxloom.points import Point
from voxloom.training.settings import InferenceSettings


def output_of(settings: LandmarkSettings) -> Literal["sigmoid", "softmax"]:
    """What makes probabilities of logits: as the network was trained."""
    return settings.chosen_output


def predict_maps(
    networks: Sequence[nn.Module],
    image: NDArray[np.float32],
    settings: LandmarkSettings,
    windowing: Windowing,
) -> NDArray[np.float32]:
    """Probabilities (M, I, J, K) of a prepared image (C, I, J, K)."""
    if settings.is_slab:
        activation = partial(probabilities_of, output=output_of(settings))
        return predict_slabs(networks, image, activation, windowing)
    return np.asarray(predict_map(networks, image, windowing, out_dtype=np.float32))


def windowing_of(
    settings: LandmarkSettings,
    patch: tuple[int, int, int],
    inference: InferenceSettings,
    precision: str,
    device: torch.device,
) -> Windowing:
    """How networks of points go over a volume; those that see it whole take one window at a time.

    Parameters
    ----------
    precision : "bf16" or "fp32".
    """
    return Windowing(
        patch,
        overlap=inference.overlap,
        batch=inference.batch if settings.is_slab else 1,
        device=device,
        activation="sigmoid",
        autocast_dtype=autocast_dtype(precision, device),
    )


def read_points(
    maps: NDArray[np.floating], affine: NDArray[np.float64], layout: Layout, settings: LandmarkSettings
) -> tuple[Point, ...]:
    """Points of the maps on a prepared grid; see :func:`voxloom.landmarks.locate`."""
    return locate(maps, affine, layout, settings, mark_voxels=mark_voxels(affine, settings))


def mark_voxels(affine: NDArray[np.float64], settings: LandmarkSettings) -> float:
    """Voxels above the threshold that the target of one mark has on this grid."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    reach = settings.radius
    if settings.target == "gaussian":
        reach = settings.radius * float(np.sqrt(-2 * np.log(settings.threshold)))
    half = np.ceil(reach / spacing).astype(int) + 1
    shape = (int(2 * half[0] + 1), int(2 * half[1] + 1), int(2 * half[2] + 1))
    grid = np.diag([*spacing, 1.0])
    target = paint(
        [tuple(half * spacing)],
        shape,
        grid,
        kind=settings.target,
        radius=settings.radius,
        slice_axis=2 if settings.is_slab else None,
    )
    return float((target > settings.threshold).sum())
