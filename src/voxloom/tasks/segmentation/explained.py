"""What is explained of a label map: the mean log odds of a label over the voxels that are predicted as it.

After Seg-Grad-CAM (Vinogradova, Dibrov and Myers 2020). A window without a voxel of the label explains nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn

from voxloom.attribution import Explainable, Question, Windows
from voxloom.attribution.explainable import Method, Score, Triple
from voxloom.errors import BadInput
from voxloom.inference.views import Member
from voxloom.networks.layout import to_layout
from voxloom.tasks.segmentation.predictor import Predictor

SAYS = "mean log odds of the label over the voxels predicted as it"
#: Maps of labels are seen through their windows; pooling, and so CAM, is of networks that answer for a case.
METHODS: tuple[Method, ...] = ("grad-cam", "grad-cam++", "integrated-gradients", "occlusion")


def explain_labels(predictor: Predictor) -> Explainable:
    """Every label (BadInput for networks that see slices spread over the volume)."""
    if predictor.slices.stack.spread:
        what = "a network that sees slices spread over the volume cannot be explained: they do not lie side by side"
        raise BadInput(what, "slices.spread")
    return Explainable(
        answers=predictor.labels.names,
        members=tuple(Member(m.network.requires_grad_(False), m.statistics) for m in predictor.members),
        prepare=predictor.prepare,
        channels=predictor.channels,
        device=predictor.device,
        windows=partial(windows, predictor),
        call=partial(call, predictor),
        question=partial(question, predictor),
        dims=2 if predictor.patch[2] == 1 else 3,
        says=SAYS,
        may_lack=predictor.may_lack,
        methods=METHODS,
        edges=predictor.slices.stack.edges,
    )


def windows(predictor: Predictor, shape: Triple) -> Windows:
    """The windows of a prediction; of slices with neighbors, one slice is the middle of each."""
    found = Windows.covering(shape, predictor.patch, predictor.inference.overlap)
    stack = predictor.slices.stack
    if not stack.neighbors:
        return found
    i, j, k = found.starts
    return Windows((*found.size[:2], stack.depth), (i, j, tuple(at - stack.neighbors for at in k)))


def call(predictor: Predictor, network: nn.Module, window: Tensor, attributes: Mapping[str, Any]) -> Tensor:
    """Logits (1, L, ...) of a window (1, C, i, j, k)."""
    flat = predictor.patch[2] == 1
    if flat and window.shape[-1] > 1:  # neighboring slices are further channels
        window = window.movedim(-1, 2).flatten(1, 2)[..., None]
    found: Tensor = network(to_layout(window, 2 if flat else 3, predictor.channels_last))
    return found.float()


def question(predictor: Predictor, number: int) -> Question:
    """The label's log odds where it is predicted."""
    regions = predictor.labels.has_regions
    maps = [number] if regions else np.flatnonzero(predictor.labels.membership()[number]).tolist()

    def odds(logits: Tensor) -> Tensor:
        if regions:
            return logits[:, number]
        others = [n for n in range(logits.shape[1]) if n not in maps]
        return logits[:, maps].logsumexp(1) - logits[:, others].logsumexp(1)

    def ask(plain: Tensor) -> Score | None:
        if regions:
            there = plain[:, number] > 0
        else:
            best = plain.argmax(1)
            there = sum((best == n for n in maps), best < 0)
        return None if not bool(there.any()) else lambda logits: odds(logits)[there].mean()[None]

    return ask
