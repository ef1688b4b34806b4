"""Test-time augmentation with what training used: its mirror images, else its other random changes.

Knows predictors of runs. The views themselves are in ``voxloom.inference.variation``.
"""

from __future__ import annotations

from dataclasses import replace

from voxloom.errors import BadInput
from voxloom.inference.variation import Variation, drawn, mirrored
from voxloom.tasks.segmentation.predictor import Predictor

#: As fastai's ``tta``, which the fastMONAI study used with n = 4: four views drawn as in training together weigh three times as
#: much as the scan as it is.
DRAWS, OWN_SHARE = 4, 0.25


def with_tta(predictor: Predictor, seed: int = 0) -> Predictor:
    """The predictor whose probabilities are means over views of the scan.

    Every combination of mirror images along the axes that training mirrored, where it did; else the scan as it is and four views
    drawn from the recipe's ``augment`` section.

    Raises
    ------
    BadInput : training changed nothing, so every other view would be new to the networks.
    """
    if predictor.trained_mirror:
        inference = predictor.inference.model_copy(update={"mirror": predictor.trained_mirror})
        return replace(predictor, inference=inference, looks=())
    draws = _draws(predictor, seed)
    if not draws:
        raise refusal()
    share = (1 - OWN_SHARE) / len(draws)
    views = (Variation(weight=OWN_SHARE), *(replace(view, weight=share) for view in draws))
    return replace(predictor, looks=views, inference=predictor.inference.model_copy(update={"mirror": ()}))


def varied_views(predictor: Predictor, seed: int) -> list[Variation]:
    """Views whose disagreement is measured: the scan as it is, its mirror images, and four draws; the first alone where
    training changed nothing."""
    return [*mirrored(predictor.trained_mirror), *_draws(predictor, seed)]


def refusal() -> BadInput:
    """Why a run has no views."""
    return BadInput(
        "the run was trained without random changes, so its networks know no view of a scan but the scan itself",
        "tta",
        "Predict without it, or train with an `augment` section",
    )


def views_told(predictor: Predictor) -> str | None:
    """One line that says which views a prediction is the mean of; None where it is the scan's alone."""
    if predictor.inference.mirror:
        count = 2 ** len(predictor.inference.mirror)
        axes = ", ".join("ijk"[axis] for axis in predictor.inference.mirror)
        return f"Mean over {count} views: the scan and its mirror images along {axes}, as in training"
    if not predictor.looks:
        return None
    named = "; ".join(view.name for view in predictor.looks[1:])
    return f"Mean over {len(predictor.looks)} views: the scan (weight {OWN_SHARE:g}) and draws as in training: {named}"


def _draws(predictor: Predictor, seed: int) -> list[Variation]:
    if predictor.augment is None:
        return []
    return drawn(predictor.augment, DRAWS, seed, flat=predictor.patch[2] == 1)
