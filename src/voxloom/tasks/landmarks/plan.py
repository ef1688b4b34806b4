"""What a landmark recipe leaves open, filled in from the data: orientation, spacing, patch, network.

Knows the published settings through the recipes; says why each value was chosen. Does not train.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from voxloom.augment import AugmentSettings
from voxloom.dataset import Dataset
from voxloom.dataset.inspect import ras_order
from voxloom.errors import BadInput
from voxloom.formats import Header
from voxloom.landmarks import LandmarkSettings
from voxloom.networks import NetworkSettings, plan_levels
from voxloom.networks.settings import follow_levels
from voxloom.networks.slabnet import SLAB
from voxloom.prepare import PrepareSettings
from voxloom.recipe.keys import as_bad_input
from voxloom.recipe.recipe import Recipe
from voxloom.training.body_plan import features_of
from voxloom.training.settings import InferenceSettings, TrainingSettings
from voxloom.volume import orientation_of, spacing_of

#: A patch that is not given covers the median image up to so many pixels or voxels per axis.
_LARGEST_SLICE, _LARGEST_SIDE = 481, 96
_WIDTH = 8


@dataclass(frozen=True)
class LandmarkPlan:
    """The settings of a landmark run, complete.

    Parameters
    ----------
    recipe : with every value written out.
    spacing : mm of the prepared grid, order i j k; the median where cases keep their own.
    reasons : (choice, value, why).
    asked : the recipe before anything was filled in.
    """

    recipe: Recipe
    landmarks: LandmarkSettings
    prepare: PrepareSettings
    network: NetworkSettings | None
    training: TrainingSettings
    augment: AugmentSettings
    inference: InferenceSettings
    spacing: tuple[float, float, float]
    reasons: tuple[tuple[str, str, str], ...]
    asked: Recipe

    @property
    def given(self) -> frozenset[str]:
        """Keys of ``training:`` that the recipe sets itself."""
        return frozenset(self.asked.training)

    def because(self, *reasons: tuple[str, str, str]) -> LandmarkPlan:
        """The plan with further reasons."""
        return replace(self, reasons=(*self.reasons, *reasons))


def plan_landmarks(recipe: Recipe, headers: list[Header], outputs: int) -> LandmarkPlan:
    """Fill what the recipe leaves open.

    Parameters
    ----------
    headers : grids of the training images.
    outputs : maps of the network.

    Raises
    ------
    BadInput : keys that do not fit together, or a patch that a three-slice network cannot take.
    """
    landmarks = checked(LandmarkSettings, recipe.landmarks, "landmarks")
    if landmarks.is_slab and recipe.network:
        raise BadInput(
            f"`network:` keys ({', '.join(recipe.network)}) belong to a U-Net",
            f"recipe {recipe.name}",
            f"Set {landmarks.network}'s keys under `landmarks:`",
        )
    orientation, why = orientation_of_slices(headers) if landmarks.is_slab else ("RAS", "the closest anatomical axes")
    prepare = checked(PrepareSettings, {"orientation": orientation, **recipe.prepare}, "prepare")
    if prepare.needs_statistics:
        raise BadInput("normalization by the labelled voxels needs label maps", "prepare.normalize", "Take zscore")
    spacing, size = grid_of(headers, prepare)
    patch = choose_patch(size, spacing, landmarks)
    training = checked(
        TrainingSettings, {**training_defaults(landmarks), "patch": patch, **recipe.training}, "training"
    )
    if landmarks.is_slab and training.patch[2] != SLAB:
        raise BadInput(
            f"training.patch has {training.patch[2]} slices, {landmarks.network} reads {SLAB}",
            f"recipe {recipe.name}",
            f"Write [{training.patch[0]}, {training.patch[1]}, {SLAB}]",
        )
    network = None if landmarks.is_slab else unet_settings(recipe, training, spacing, headers[0].channels, outputs)
    chosen = (
        landmarks,
        prepare,
        network,
        training,
        checked(AugmentSettings, {**augment_defaults(landmarks), **recipe.augment}, "augment"),
        checked(InferenceSettings, {"overlap": 0.25, "batch": 4, **recipe.inference}, "inference"),
    )
    reasons = (
        ("orientation", str(prepare.orientation), why),
        (
            "spacing",
            " x ".join(f"{s:.3g}" for s in spacing) + " mm",
            "of the recipe; the cases' own (median) elsewhere",
        ),
        ("patch", " x ".join(map(str, training.patch)), f"the median image has {' x '.join(map(str, size))} voxels"),
        ("network", landmarks.network, f"{outputs} map(s): one per {landmarks.chosen_maps}"),
        ("target", f"{landmarks.target}, {landmarks.radius:g} mm", "painted around every mark"),
    )
    return LandmarkPlan(written_out(recipe, chosen), *chosen, spacing, reasons, recipe)


def written_out(recipe: Recipe, chosen: tuple[BaseModel | None, ...]) -> Recipe:
    """The recipe with every value that decides the run."""
    values = recipe.model_dump(mode="json")
    for section, settings in zip(
        ("landmarks", "prepare", "network", "training", "augment", "inference"), chosen, strict=True
    ):
        values[section] = {} if settings is None else settings.model_dump(mode="json")
    return Recipe.check(values, f"recipe {recipe.name}")


def checked(model: type[Any], values: dict[str, Any], section: str) -> Any:
    """Settings from values; what does not fit together is BadInput."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise as_bad_input(error, section, "the recipe, together with what was planned") from error


def headers_of(dataset: Dataset) -> list[Header]:
    """Grids of the first channel of every case, with the number of channels of the data set."""
    from voxloom.dataset.sources import source_header

    found = [source_header(next(iter(case.images.values()))) for case in dataset]
    return [replace(header, channels=len(dataset.channels)) for header in found]


def orientation_of_slices(headers: list[Header]) -> tuple[str, str]:
    """Axis codes that put the slices last: the axis along which most cases have their largest spacing."""
    thick = []
    for header in headers:
        codes = orientation_of(header.affine)
        axis = int(np.argmax(spacing_of(header.affine)))
        thick.append({"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}[codes[axis]])
    slices = int(np.bincount(thick, minlength=3).argmax())
    kind = ("sagittal", "coronal", "axial")[slices]
    order = "".join("RAS"[axis] for axis in (*(a for a in range(3) if a != slices), slices))
    return order, f"the slices are {kind} and come last"


def grid_of(headers: list[Header], prepare: PrepareSettings) -> tuple[tuple[float, float, float], tuple[int, int, int]]:
    """Spacing and median size of the prepared grid, order i j k."""
    codes = prepare.orientation
    spacings, sizes = [], []
    for header in headers:
        order = [0, 1, 2]
        if codes is not None:
            ras = ras_order(orientation_of(header.affine))
            order = [ras["RAS".index({"L": "R", "P": "A", "I": "S"}.get(c, c))] for c in codes]
        own = spacing_of(header.affine)
        wanted = prepare.spacing or (None, None, None)
        new = [own[o] if w is None else w for o, w in zip(order, wanted, strict=True)]
        spacings.append(new)
        sizes.append([max(1, round(header.shape[o] * own[o] / n)) for o, n in zip(order, new, strict=True)])
    i, j, k = (float(v) for v in np.median(spacings, axis=0))
    a, b, c = (int(v) for v in np.median(sizes, axis=0))
    return (i, j, k), (a, b, c)


def choose_patch(
    size: tuple[int, int, int], spacing: tuple[float, float, float], landmarks: LandmarkSettings
) -> tuple[int, int, int]:
    """The whole median slice for three-slice networks (rounded up to 32 n + 1); a block that a U-Net can halve otherwise."""
    if landmarks.is_slab:
        i, j = (min(_LARGEST_SLICE, 32 * -(-(n - 1) // 32) + 1) for n in size[:2])
        return (i, j, SLAB)
    block = [min(n, _LARGEST_SIDE) for n in size]
    strides, _ = plan_levels(block, spacing)
    multiple = np.prod(np.array(strides), axis=0)
    i, j, k = (int(m * max(1, -(-n // m))) for n, m in zip(block, multiple, strict=True))
    return (i, j, k)


def unet_settings(
    recipe: Recipe, training: TrainingSettings, spacing: tuple[float, float, float], channels: int, outputs: int
) -> NetworkSettings:
    """A dynamic U-Net in 3D with as many levels as the patch allows; the recipe's ``network:`` keys win."""
    strides, kernels = plan_levels(training.patch, spacing)
    values = {
        "dims": 3,
        "in_channels": channels,
        "out_channels": outputs,
        "features": features_of(_WIDTH, len(strides), 3),
        "strides": strides,
        "kernels": kernels,
    }
    settings: NetworkSettings = checked(NetworkSettings, follow_levels(values, recipe.network), "network")
    if settings.dims != 3 or settings.deep_supervision > 1 or settings.out_channels != outputs:
        raise BadInput(
            "a landmark U-Net is 3D, without deep supervision, and has one output per map",
            f"recipe {recipe.name}",
            "Leave network.dims, deep_supervision and out_channels out",
        )
    return settings


def training_defaults(landmarks: LandmarkSettings) -> dict[str, Any]:
    """Published: Adam, 1e-3; the others follow the foundation's experience."""
    return {
        "batch": 4 if landmarks.is_slab else 2,
        "steps": 30_000,
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "foreground": 0.5,
        "validations": 5,
    }


def augment_defaults(landmarks: LandmarkSettings) -> dict[str, Any]:
    """Rotation in the slice plane only, where slices are thick."""
    return {"rotation": [0.0, 0.0, 20.0]} if landmarks.is_slab else {"rotation": [10.0, 10.0, 10.0]}
