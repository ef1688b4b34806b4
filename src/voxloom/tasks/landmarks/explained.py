"""What is explained of landmarks: the mean logit of a map over the voxels of its marks.

A window whose map stays below the recipe's threshold shows no mark, and explains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn

from voxloom.attribution import Explainable, Question, Windows
from voxloom.attribution.explainable import Method, Score, Triple
from voxloom.inference.views import Member
from voxloom.losses.landmarks import probabilities_of
from voxloom.networks.layout import to_layout
from voxloom.tasks.landmarks.predictor import LandmarkPredictor
from voxloom.tasks.landmarks.reading import output_of

SAYS = "mean logit of the landmark's map where it is found"
METHODS: tuple[Method, ...] = ("grad-cam", "grad-cam++", "integrated-gradients", "occlusion")


def explain_marks(predictor: LandmarkPredictor) -> Explainable:
    """Every map of the networks: of all landmarks, of each level, or of each landmark."""
    layout = predictor.layout
    keys = [str(key) for key in layout.keys]
    answers = {"one": ("landmarks",), "level": layout.names, "landmark": tuple(keys)}[layout.maps]
    return Explainable(
        answers=answers,
        members=tuple(Member(network.requires_grad_(False), None) for network in predictor.networks),
        prepare=predictor.prepare,
        channels=predictor.channels,
        device=predictor.device,
        windows=partial(windows, predictor),
        call=call,
        question=partial(question, predictor),
        dims=3,
        says=SAYS,
        may_lack=predictor.may_lack,
        methods=METHODS,
    )


def windows(predictor: LandmarkPredictor, shape: Triple) -> Windows:
    """As in prediction; a slab's middle slice is each slice in turn."""
    overlap = predictor.inference.overlap
    if not predictor.settings.is_slab:
        return Windows.covering(shape, predictor.patch, overlap)
    i, j = (min(p, n) for p, n in zip(predictor.patch[:2], shape[:2], strict=True))  # a smaller slice is seen whole
    found = Windows.covering((shape[0], shape[1], 1), (i, j, 1), overlap)
    depth = predictor.patch[2]
    return Windows((i, j, depth), (*found.starts[:2], tuple(range(-(depth // 2), shape[2] - depth // 2))))


def call(network: nn.Module, window: Tensor, attributes: Mapping[str, Any]) -> Tensor:
    """Logits (1, M, ...) of a window (1, C, i, j, k)."""
    found: Tensor = network(to_layout(window, 3, True))
    return found.float()


def question(predictor: LandmarkPredictor, number: int) -> Question:
    """The logit of the map where it is at least half as sure as at its surest voxel."""
    output, least = output_of(predictor.settings), predictor.settings.threshold

    def ask(plain: Tensor) -> Score | None:
        chance = probabilities_of(plain, output)[:, number]
        if float(chance.max()) < least:
            return None
        there = chance >= chance.max() / 2
        return lambda logits: logits[:, number][there].mean()[None]

    return ask
