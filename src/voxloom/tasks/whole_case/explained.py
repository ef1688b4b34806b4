"""How networks that answer for whole cases are explained: one window, the middle of the scan, and a score per answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from voxloom.attribution import Explainable, Question, Windows
from voxloom.attribution.explainable import Scored, looks_at_all
from voxloom.inference.views import Member
from voxloom.networks.layout import to_layout
from voxloom.run.run import Run
from voxloom.tasks.whole_case.crop import focused_scan, refuse_whole
from voxloom.tasks.whole_case.material import scaled
from voxloom.tasks.whole_case.predictor import CasePredictor
from voxloom.tasks.whole_case.settings import CropSettings
from voxloom.volume import Volume


def explain_cases(
    networks: CasePredictor,
    answers: tuple[str, ...],
    question: Callable[[int], Question],
    says: str,
    chosen: Callable[[Volume, Mapping[str, Any]], tuple[str, ...]],
    mirrors: tuple[int, ...],
    of_features: Scored | None = None,
) -> Explainable:
    """The networks with a question per answer; see :class:`voxloom.attribution.Explainable`."""
    members = tuple(Member(m.network.requires_grad_(False), m.statistics) for m in networks.members)
    return Explainable(
        answers=answers,
        members=members,
        prepare=networks.prepare,
        channels=networks.channels,
        device=networks.device,
        windows=partial(Windows.middle, size=networks.training.patch),
        call=partial(call, networks),
        question=question,
        dims=networks.network.dims,
        says=says,
        chosen=chosen,
        may_lack=networks.may_lack,
        focus=looks_at_all if networks.crop is None else partial(box_of, networks.crop),
        refuse=partial(refuse_whole, crop=networks.crop),
        mirrors=mirrors,
        of_features=of_features,
    )


def mirrors_of(run: Run) -> tuple[int, ...]:
    """Axes along which the training of a run showed mirror images."""
    return tuple(run.recipe.augment.get("mirror", ()))


def box_of(crop: CropSettings, volume: Volume, around: Path) -> Volume:
    """The box that the networks look at."""
    return focused_scan(volume, crop, around)


def call(networks: CasePredictor, network: nn.Module, window: Tensor, attributes: Mapping[str, Any]) -> Tensor:
    """Answers (1, L) float32 for a window (1, C, i, j, k), with the covariates of the case."""
    seen = to_layout(window, networks.network.dims, networks.training.channels_last)
    if not networks.covariates:
        found: Tensor = network(seen)
    else:
        found = network(seen, torch.from_numpy(scaled(attributes, networks.covariates))[None].to(window.device))
    return found.float()
