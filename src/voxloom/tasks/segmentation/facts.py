"""From a data set and its fingerprint to what the planner asks for, and back to a complete recipe.

Knows both sides; decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from voxloom.augment import AugmentSettings
from voxloom.dataset import Dataset, Labels
from voxloom.dataset.inspect import Fingerprint, ras_order
from voxloom.errors import BadInput
from voxloom.inference.device import Card
from voxloom.networks import AnyNetworkSettings, NetworkSettings, family_of, fill_network, network_settings
from voxloom.recipe.keys import as_bad_input
from voxloom.recipe.recipe import PLANNED, Recipe, section_of
from voxloom.tasks.segmentation.rows import labels_in_a_row
from voxloom.training.grid_plan import Spacing
from voxloom.training.planner import DataFacts, Plan, StepTimer, Wishes, build_plan
from voxloom.training.settings import USUAL_RATES, TrainingSettings

#: Seconds of one training step of any network on this machine.
MachineTimer = Callable[[AnyNetworkSettings, TrainingSettings, AugmentSettings, Spacing], float]


def wishes_of(recipe: Recipe) -> Wishes:
    """What the recipe fixes of the network's input (BadInput when it asks for slices and for a network that has none)."""
    field = family_of(recipe.network.get("kind", "unet")).model_fields["dims"]
    dims = recipe.network.get("dims", None if field.is_required() else field.default)  # some families are 2D alone
    given = recipe.training.get("patch")
    patch = None if given is None else (int(given[0]), int(given[1]), int(given[2]))
    slices = recipe.slices
    if slices.flat and (dims == 3 or (patch or (0, 0, 1))[2] != 1):
        raise BadInput(
            f"`slices` is for 2D networks, not for {'3D ones' if dims == 3 else f'patches of {patch and patch[2]} slices'}",
            f"recipe {recipe.name}",
            "Set network.dims to 2 and the third number of training.patch to 1, or leave both out",
        )
    if slices.spread and (dims == 2 or patch is None or patch[2] != slices.spread):
        raise BadInput(
            f"`slices.spread` is for 3D networks on patches of {slices.spread} slices",
            f"recipe {recipe.name}",
            f"Set network.dims to 3 and training.patch to [I, J, {slices.spread}], e.g. [128, 128, {slices.spread}]",
        )
    return Wishes(2 if slices.flat else 3 if slices.spread else dims, slices.plane, slices.neighbors, patch)


def gather_facts(dataset: Dataset, fingerprint: Fingerprint, labels: Labels) -> DataFacts:
    """Shapes and spacings in RAS axis order, and the smallest label, over the readable cases; and whether labels lie in a row."""
    readable = [case for case in fingerprint.cases if not case.problem]
    if not readable:
        why = next((f"; {case.id}: {case.problem}" for case in fingerprint.cases), "")
        raise BadInput(f"no case could be read{why}", dataset.root, f"See all: voxloom inspect {dataset.root}")
    orders = [ras_order(case.orientation) for case in readable]
    shapes = tuple(_pick(case.shape, order) for case, order in zip(readable, orders, strict=True))
    spacings = tuple(_pick(case.spacing, order) for case, order in zip(readable, orders, strict=True))
    volumes = {
        name: [
            case.label_voxels[name] * float(np.prod(case.spacing)) for case in readable if case.label_voxels.get(name)
        ]
        for name in labels.names
    }
    medians = {name: float(np.median(v)) for name, v in volumes.items() if v}
    smallest = min(medians.items(), key=lambda item: item[1]) if medians else None
    outputs = labels.count if labels.has_regions else labels.count + 1
    kinds = tuple(dataset.channel_kinds)
    row = labels_in_a_row([dataset[case.id] for case in readable], labels)
    return DataFacts(len(dataset), shapes, spacings, kinds, outputs, smallest, fingerprint.unit, row)


def _pick(values: Any, order: tuple[int, int, int]) -> Any:
    return (values[order[0]], values[order[1]], values[order[2]])


def complete(
    recipe: Recipe,
    facts: DataFacts,
    device: str,
    seconds: float | None,
    time_step: MachineTimer,
    card: Card | None = None,
) -> tuple[Recipe, Plan]:
    """Fill what the recipe leaves open by the plan; the recipe's own keys win, and the plan reckons with them.

    Raises
    ------
    BadInput : keys of the recipe do not go together with what is planned for the others.
    """
    try:
        return _completed(recipe, facts, device, seconds, time_step, card)
    except ValidationError as error:
        where = f"recipe {recipe.name}, together with what the planner chose"
        raise as_bad_input(error, section_of(error), where) from error


def _completed(
    recipe: Recipe,
    facts: DataFacts,
    device: str,
    seconds: float | None,
    time_step: MachineTimer,
    card: Card | None,
) -> tuple[Recipe, Plan]:
    wishes = wishes_of(recipe)
    plan = build_plan(resized(facts, recipe), device, seconds, overridden(recipe, time_step), wishes, card)
    chosen = {"prepare": plan.prepare, "network": plan.network, "training": plan.training}
    chosen |= {"augment": plan.augment, "inference": plan.inference}
    values = recipe.model_dump(mode="json")
    for section in PLANNED:
        values[section] = {**chosen[section].model_dump(mode="json"), **values[section]}
    if recipe.prepare.get("resize_to") is not None:  # the plan's spacing is that of the resized voxels
        values["prepare"]["spacing"] = recipe.prepare.get("spacing")
    values["network"] = fill_network(plan.network, recipe.network)
    values["training"] = learned_as(plan.training, recipe).model_dump(mode="json")
    return Recipe.check(values, f"recipe {recipe.name}"), plan


def learned_as(planned: TrainingSettings, recipe: Recipe) -> TrainingSettings:
    """The planned training with the recipe's keys.

    An optimizer that the recipe names alone brings its usual rate. Muon is planned for the planner's own networks, on which it
    was measured; a network of another kind, perhaps with pretrained weights, gets AdamW.
    """
    values = {**planned.model_dump(), **recipe.training}
    if "optimizer" not in recipe.training and planned.optimizer == "muon" and not _is_planned_kind(recipe):
        values["optimizer"] = "adamw"
    if "learning_rate" not in recipe.training:
        same = values["optimizer"] == planned.optimizer
        values["learning_rate"] = planned.learning_rate if same else USUAL_RATES[values["optimizer"]]
    return TrainingSettings.model_validate(values)


def _is_planned_kind(recipe: Recipe) -> bool:
    kind = recipe.network.get("kind", "unet")
    return issubclass(family_of(kind), NetworkSettings)


def resized(facts: DataFacts, recipe: Recipe) -> DataFacts:
    """The facts of cases that all get ``prepare.resize_to`` voxels, in RAS axis order.

    An axis that is not resized keeps its voxels, or gets those of ``prepare.spacing``. The spacing then differs by case; the plan
    reckons with the median, so that it knows thick slices, and every case is augmented on its own.
    """
    size = recipe.prepare.get("resize_to")
    if size is None:
        return facts
    asked = recipe.prepare.get("spacing") or (None, None, None)
    order = ["RAS".index(code) for code in recipe.slices.orientation("RAS") or "RAS"]
    wanted, spacing = ([values[order.index(axis)] for axis in range(3)] for values in (size, asked))
    shapes, grids = [], []
    for shape, own in zip(facts.shapes, facts.spacings, strict=True):
        mm = np.array(own)
        extents = np.array(shape) * mm
        if recipe.prepare.get("orientation") == "slices":
            last = _thick_last(own)
            extents, mm = extents[last], mm[last]
        kept = [max(1, round(extent / (new or old))) for extent, old, new in zip(extents, mm, spacing, strict=True)]
        i, j, k = (int(n or old) for n, old in zip(wanted, kept, strict=True))
        shapes.append((i, j, k))
        grids.append(_cropped(extents, recipe) / (i, j, k))
    across, along, through = (float(mm) for mm in np.median(grids, axis=0))
    if recipe.slices.spread:  # so many slices of the whole volume, however many it has
        through *= float(np.median([shape[2] for shape in shapes])) / recipe.slices.spread
    return replace(facts, shapes=tuple(shapes), spacings=((across, along, through),) * len(shapes))


def _thick_last(spacing: Spacing) -> list[int]:
    """The axes in the order that ``prepare.orientation: slices`` gives them."""
    thick = max(range(3), key=lambda axis: (round(spacing[axis], 3), axis))
    return [*(axis for axis in range(3) if axis != thick), thick]


def _cropped(extents: NDArray[np.float64], recipe: Recipe) -> NDArray[np.float64]:
    """Mm (3,) along i, j, k of what is resized: a square in the plane of the slices where a joint is cut out."""
    if recipe.prepare.get("crop") != "joint":
        return extents
    side = recipe.preparation.joint_mm
    return np.minimum(extents, (side, side, np.inf))


def overridden(recipe: Recipe, time_step: MachineTimer) -> StepTimer:
    """Time the step that will really run: the planner's candidate with the recipe's own keys put in.

    Candidates that the recipe makes equal are timed once.
    """
    known: dict[str, float] = {}

    def timer(
        network: NetworkSettings,
        training: TrainingSettings,
        augment: AugmentSettings,
        spacing: Spacing,
    ) -> float:
        chosen = network_settings(fill_network(network, recipe.network))
        learning = learned_as(training, recipe)
        changes = AugmentSettings.model_validate({**augment.model_dump(), **recipe.augment})
        candidate = f"{chosen!r} {learning!r} {changes!r} {spacing}"
        if candidate not in known:
            known[candidate] = time_step(chosen, learning, changes, spacing)
        return known[candidate]

    return timer


def reasons_of(recipe: Recipe, plan: Plan) -> list[tuple[str, str, str]]:
    """The plan's choices that hold for the network of the recipe, each with its reason."""
    learned = learned_as(plan.training, recipe)
    widths_apply = isinstance(network_settings(fill_network(plan.network, recipe.network)), NetworkSettings)
    rows = []
    for name, value, why in plan.reasons:
        if name == "optimizer" and learned.optimizer != plan.training.optimizer:
            why = "Muon was measured on U-Nets only"
        if widths_apply or name not in ("width", "cells"):
            rows.append((name, value, why))
    return rows
