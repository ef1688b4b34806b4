"""What a recipe for whole cases leaves open: grid, size of the input, network, batch and number of steps, each with its reason.

The whole scan is one input, so the grid is as coarse as makes it fit. Knows facts of the cases and a timer; trains nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from voxloom.augment import AugmentSettings
from voxloom.dataset.inspect import Fingerprint, ras_order
from voxloom.dataset.sides import left_right_axes, names_a_side
from voxloom.errors import BadInput
from voxloom.inference.device import kind_of
from voxloom.inference.precision import lower_precision
from voxloom.networks.case_settings import CaseNetworkSettings, case_network_settings
from voxloom.prepare import PrepareSettings
from voxloom.recipe.recipe import Recipe
from voxloom.training.planner import normalization, possible_steps
from voxloom.training.settings import InferenceSettings, TrainingSettings, Triple

Spacing = tuple[float, float, float]
Rows = tuple[tuple[str, str, str], ...]
#: Voxels of an input: on a CPU what keeps a batch near a second, on a graphics card what fits beside its batch.
LARGEST = {"cpu": 64**3, "cuda": 128**3}
LARGEST_2D = {"cpu": 256**2, "cuda": 512**2}
#: Passes over the cases below which a coarser input learns more in the same time, and the fewest voxels that it is given then.
LEAST_PASSES, SMALLEST = 60, 32**3
#: Voxels up to which a first level of few channels sees an input at full resolution.
FULL = 48**3
#: Passes over the cases after which more teach nothing but the cases themselves.
MOST_PASSES = 200
#: Without a budget.
DEFAULT_PASSES = 60
MULTIPLE = 16
#: Changes of intensities, which turn a mask into something that no case is.
INTENSITY = tuple(f"{name}_chance" for name in ("noise", "blur", "intensity", "gamma", "low_resolution", "bias_field"))

#: Seconds of one step with these settings on this machine.
Timer = Callable[[CaseNetworkSettings, TrainingSettings, AugmentSettings, Spacing], float]


@dataclass(frozen=True)
class Asked:
    """What the data and the task fix: kinds of the channels, answers of the network, covariates, default monitor, names of targets."""

    kinds: tuple[str, ...]
    outputs: int
    covariates: int
    monitor: str
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class WholeCasePlan:
    """The complete recipe and its reasons."""

    recipe: Recipe
    spacing: Spacing
    rows: Rows


def plan_whole_case(
    recipe: Recipe, found: Fingerprint, asked: Asked, device: str, seconds: float | None, time_step: Timer
) -> WholeCasePlan:
    """Fill what the recipe leaves open.

    Parameters
    ----------
    found : facts of the cases.
    seconds : time for the training of one network; None takes a number of passes.

    Raises
    ------
    BadInput : no case can be read, keys do not fit together, or not even one step fits into the budget.
    """
    extents = Extents.of(found, recipe)
    largest = (LARGEST_2D if extents.flat else LARGEST)[kind_of(device)]
    draft = draft_of(recipe, extents, asked, device, largest, time_step)
    if seconds is not None and not extents.flat and grid_is_open(recipe):
        draft = with_more_passes(
            draft, seconds, extents.cases, lambda most: draft_of(recipe, extents, asked, device, most, time_step)
        )
    training, why = counted(draft.training, recipe, extents.cases, seconds, draft.per_step)
    inference = checked(InferenceSettings.model_validate, recipe.inference, "inference")
    network = draft.network
    chosen = {
        "prepare": draft.prepare, "network": network, "training": training, "augment": draft.augment, "inference": inference,
    }  # fmt: skip
    rows = (
        *draft.rows,
        ("network", network.kind, f"{asked.outputs} answer(s) per case from {patch_text(training.patch)} voxels"),
        ("batch", str(training.batch), "several cases a step, since every case has one answer"),
        ("steps", str(training.steps), why),
        ("optimizer", f"{training.optimizer}, rate {training.learning_rate:g}", "for whole-case networks"),
    )
    return WholeCasePlan(written_out(recipe, chosen), draft.spacing, rows)


def with_more_passes(draft: Draft, seconds: float, cases: int, coarser: Callable[[int], Draft]) -> Draft:
    """A draft that the budget passes over all cases with often enough: the same, a coarser one, or the coarsest of all.

    Parameters
    ----------
    coarser : makes a draft of at most so many voxels an input.
    """

    def passes_of(one: Draft) -> float:
        return possible_steps(seconds, one.per_step) * one.training.batch / cases

    passes, voxels = passes_of(draft), int(np.prod(draft.training.patch))
    fewer = max(SMALLEST, int(voxels * passes / LEAST_PASSES))
    if passes >= LEAST_PASSES or fewer >= voxels:
        return draft
    found = coarser(fewer)
    if fewer > SMALLEST and passes_of(found) < 0.8 * LEAST_PASSES:  # its network is finer, or its size was rounded up
        found = coarser(SMALLEST)
    return replace(found, rows=(*found.rows, few_passes(passes, voxels)))


@dataclass(frozen=True)
class Extents:
    """Sizes of the cases: (n, 3) voxels and mm along right, front and head, and what they are like.

    ``flat``: each is a single slice; ``outlines``: their images are masks, so that shape is all there is to see.
    """

    shapes: Any
    spacings: Any
    flat: bool
    outlines: bool

    @classmethod
    def of(cls, found: Fingerprint, recipe: Recipe) -> Extents:
        """Of the cases that could be read (BadInput for none)."""
        readable = [case for case in found.cases if not case.problem]
        if not readable:
            raise BadInput("no case could be read", recipe.name, "See why: voxloom inspect DATASET")
        order = [ras_order(case.orientation) for case in readable]
        shapes = np.array([[c.shape[o] for o in axes] for c, axes in zip(readable, order, strict=True)], dtype=float)
        spacings = [[c.spacing[o] for o in axes] for c, axes in zip(readable, order, strict=True)]
        flat = int(recipe.network.get("dims", 2 if shapes[:, 2].max() == 1 else 3)) == 2
        outlines = all(channel.few_values for case in readable for channel in case.channels.values())
        return cls(shapes, np.array(spacings, dtype=float), flat, outlines)

    @property
    def cases(self) -> int:
        """How many there are."""
        return len(self.shapes)


@dataclass(frozen=True)
class Draft:
    """A plan but for its length, and the seconds of one of its steps."""

    prepare: PrepareSettings
    spacing: Spacing
    network: CaseNetworkSettings
    training: TrainingSettings
    augment: AugmentSettings
    rows: Rows
    per_step: float


def draft_of(recipe: Recipe, extents: Extents, asked: Asked, device: str, largest: int, time_step: Timer) -> Draft:
    """Everything but the length, for inputs of at most ``largest`` voxels where the recipe leaves the grid open."""
    flat = extents.flat
    prepare, spacing, patch, rows = choose_grid(recipe, extents.shapes, extents.spacings, flat, largest, asked.kinds)
    dims = 2 if flat else 3
    shared = {
        "dims": dims,
        "in_channels": len(asked.kinds),
        "out_channels": asked.outputs,
        "covariates": asked.covariates,
    }
    network = checked(
        case_network_settings, {**shared, **network_defaults(recipe, patch, dims), **recipe.network}, "network"
    )
    mirror = () if flat or names_a_side(asked.targets) else left_right_axes(prepare.orientation)
    mirror = mirror if len(mirror) == 1 else ()
    unlit = dict.fromkeys(INTENSITY, 0.0) if extents.outlines else {}
    changes = {**augment_defaults(dims), **unlit, "mirror": mirror, **recipe.augment}
    augment = checked(AugmentSettings.model_validate, changes, "augment")
    if mirror and "mirror" not in recipe.augment:
        rows += (("mirrored", "left and right", "no target names a side, and twice the cases are seen"),)
    if unlit:
        rows += (("intensities", "not changed", "the images are masks: their shape is all that can be learned"),)
    training = training_of(recipe, patch, dims, extents.cases, asked)
    if "precision" not in recipe.training:
        lower = training.model_copy(update={"precision": lower_precision(device)})
        timed = {t.precision: time_step(network, t, augment, spacing) for t in (training, lower)}
        training = lower if timed[lower.precision] < timed["fp32"] else training
        rows += (("precision", training.precision, "the faster arithmetic of one step timed in both"),)
        per_step = min(timed.values())
    else:
        per_step = time_step(network, training, augment, spacing)
    return Draft(prepare, spacing, network, training, augment, rows, per_step)


def grid_is_open(recipe: Recipe) -> bool:
    """Whether the recipe leaves spacing and size of the input to the planner."""
    return not any(recipe.prepare.get(key) for key in ("spacing", "resize_to")) and "patch" not in recipe.training


def few_passes(passes: float, voxels: int) -> tuple[str, str, str]:
    """Why an input is coarser than the machine could hold."""
    why = (
        f"at {voxels} voxels a case the budget has {passes:.0f} passes over the cases, and too few of them learn little"
    )
    return "coarser", "for more passes", why


def choose_grid(
    recipe: Recipe, shapes: Any, spacings: Any, flat: bool, largest: int, kinds: tuple[str, ...]
) -> tuple[PrepareSettings, Spacing, Triple, Rows]:
    """Preparation, spacing and size of the input, of at most ``largest`` voxels where the recipe leaves that open."""
    given = recipe.prepare
    median = np.median(spacings, axis=0)
    wanted = given.get("spacing") or (None, None, None)
    spacing = np.array([own if mm is None else mm for own, mm in zip(median, wanted, strict=True)], dtype=float)
    why = "the cases' own (median)" if not given.get("spacing") else "set by the recipe"
    patch = recipe.training.get("patch")
    resized = given.get("resize_to")
    field = np.quantile(shapes * spacings, 0.9, axis=0)
    if patch is None and resized is None and not given.get("spacing"):
        spacing, coarser = coarsened(field, spacing, largest)
        why = f"coarser than the median, so that a whole case has at most {largest} voxels" if coarser else why
    if patch is None:
        size = np.array(resized) if resized is not None else np.ceil(field / spacing)
        patch = [int(MULTIPLE * max(1, -(-n // MULTIPLE))) if n > 1 else 1 for n in size]
    values = {"orientation": "RAS", "normalize": list(normalization(kinds)), **given}
    if resized is None and not given.get("spacing"):  # null axes of a recipe keep every case's own
        values["spacing"] = [float(s) for s in spacing]
    if flat:
        patch = [patch[0], patch[1], 1]
        if resized is None and not given.get("spacing"):
            values["spacing"] = [float(spacing[0]), float(spacing[1]), None]
    prepare = checked(PrepareSettings.model_validate, values, "prepare")
    i, j, k = (float(s) for s in spacing)
    a, b, c = (int(n) for n in patch)
    rows = (
        ("dimensions", "2D" if flat else "3D", "every case has one slice" if flat else "whole volumes"),
        ("spacing", " x ".join(f"{s:.3g}" for s in (i, j, k)) + " mm", why),
        (
            "input",
            patch_text((a, b, c)),
            "the whole field of nine cases in ten; larger ones are cut around the middle, others padded",
        ),
    )
    return prepare, (i, j, k), (a, b, c), rows


def coarsened(field: Any, spacing: Any, largest: int) -> tuple[Any, bool]:
    """A spacing at which the field has at most so many voxels; the finest axes give way first."""
    spacing, coarser = spacing.copy(), False
    while float(np.prod(np.maximum(1, np.ceil(field / spacing)))) > largest:
        moving = field / spacing > 1
        finest = spacing[moving].min()
        spacing = np.where(moving & (spacing <= 1.05 * finest), spacing * 1.05, spacing)
        coarser = True
    return spacing, coarser


def patch_text(patch: Triple) -> str:
    """``I x J x K``."""
    return " x ".join(map(str, patch))


def network_defaults(recipe: Recipe, patch: Triple, dims: int) -> dict[str, Any]:
    """An encoder with as many levels as the input can be halved, up to five, of twice the channels at each.

    Where the recipe names features or strides alone, it has as many levels as these, and the others follow.
    """
    if recipe.network.get("kind", "encoder") != "encoder":
        return {}
    levels, sizes = 1, list(patch[:dims])
    strides: list[list[int]] = [[1] * dims]
    while levels < 5 and max(sizes) >= 6:
        step = [2 if n >= 6 else 1 for n in sizes]
        strides.append(step)
        sizes = [-(-n // s) for n, s in zip(sizes, step, strict=True)]
        levels += 1
    while levels < 3:
        strides.append([1] * dims)
        levels += 1
    width = 16
    if dims == 3 and np.prod(patch) > FULL:  # the first level strides: full resolution costs most
        strides[0] = [2 if n >= 16 else 1 for n in patch]
        strides = strides[: max(3, levels - 1)]
    elif dims == 3:
        width = 8
    named = recipe.network.get("strides"), recipe.network.get("features")
    if (wanted := next((len(one) for one in named if isinstance(one, list)), None)) is not None:
        strides = (strides + [[1] * dims] * wanted)[:wanted]
    return {
        "kind": "encoder",
        "features": [min(256, width * 2**n) for n in range(len(strides))],
        "strides": strides,
        "kernels": [[3] * dims] * len(strides),
        "head_dropout": 0.2,
    }


def augment_defaults(dims: int) -> dict[str, Any]:
    """Turned and scaled a little; no elastic change, since shape may be what is asked for."""
    angle = [0.0, 0.0, 15.0] if dims == 2 else [15.0, 15.0, 15.0]
    return {"rotation": angle, "scale": 0.1, "elastic_chance": 0.0, "shift": [3.0, 3.0, 3.0], "shift_chance": 0.5}


def training_of(recipe: Recipe, patch: Triple, dims: int, cases: int, asked: Asked) -> TrainingSettings:
    """Optimiser, batch and schedule."""
    values = {
        "patch": patch,
        "batch": max(2, min(8 if dims == 3 else 32, cases)),
        "optimizer": "adamw",
        "learning_rate": 2e-3,
        "weight_decay": 1e-2,
        "monitor": asked.monitor,
        "foreground": 0.0,
        **recipe.training,
    }
    return checked(TrainingSettings.model_validate, values, "training")  # type: ignore[no-any-return]


def counted(
    training: TrainingSettings, recipe: Recipe, cases: int, seconds: float | None, per_step: float
) -> tuple[TrainingSettings, str]:
    """The training with its number of steps, validations and average, and why so many."""
    given = recipe.training
    per_pass = max(1.0, cases / training.batch)
    if seconds is not None:
        most = int(MOST_PASSES * per_pass)
        fits = possible_steps(seconds, per_step)
        steps = min(fits, max(most, 1))
        why = f"{per_step:.3f} s per step measured on this machine, {seconds:.0f} s of budget"
        why += f"; more than {MOST_PASSES} passes teach the cases by heart" if fits > most else ""
    elif "steps" in given or "epochs" in given:
        steps, why = training.steps_for(cases), "set by the recipe"
    else:
        steps, why = max(1, round(DEFAULT_PASSES * per_pass)), f"{DEFAULT_PASSES} passes over the cases"
    update: dict[str, Any] = {"steps": steps, "epochs": None if seconds is not None else training.epochs}
    if "validations" not in given:
        update["validations"] = max(2, min(40, steps // 50))
    if "ema" not in given:
        update["ema"] = min(0.999, max(0.9, 1 - 7.0 / max(steps, 10)))
    return training.model_copy(update=update), why


def written_out(recipe: Recipe, chosen: dict[str, BaseModel]) -> Recipe:
    """The recipe with every value that decides the run."""
    values = recipe.model_dump(mode="json")
    for section, settings in chosen.items():
        values[section] = settings.model_dump(mode="json")
    return Recipe.check(values, f"recipe {recipe.name}")


def checked(make: Callable[[dict[str, Any]], Any], values: dict[str, Any], section: str) -> Any:
    """Settings from values; what does not fit together is BadInput."""
    try:
        return make(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        what = f"{section}{'.' + key if key else ''}: {first['msg'].removeprefix('Value error, ')}"
        raise BadInput(what, f"`{section}:` of the recipe") from error
