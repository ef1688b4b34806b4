"""What is explained of classes: the log odds of each against all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from voxloom.attribution import Explainable, Question
from voxloom.attribution.explainable import Scored
from voxloom.tasks.classification.classes import Meaning
from voxloom.tasks.classification.predictor import ClassPredictor
from voxloom.tasks.whole_case.explained import explain_cases
from voxloom.volume import Volume

SAYS = "log odds of the class against all others"
#: Log odds subtract answers that other places gave: where these are lowest a map of features would light up, though the class was not
#: seen there and nobody was asked. The papers explain the class's own answer before softmax, too.
OWN = Scored(lambda number: lambda plain: lambda answers: answers[:, number], "answer of the class before softmax")


def explain_classes(predictor: ClassPredictor, mirrors: tuple[int, ...]) -> Explainable:
    """Every class or finding; the predicted one where none is asked for. ``mirrors``: axes that training mirrored."""

    def chosen(volume: Volume, attributes: Mapping[str, Any]) -> tuple[str, ...]:
        found = predictor.predict(volume, attributes)
        if found.several:
            likely = max(zip(found.probabilities, found.classes, strict=True))[1]
            return tuple(name for name in found.prediction.split(", ") if name) or (likely,)
        return (found.prediction,)

    def question(number: int) -> Question:
        return lambda plain: lambda answers: log_odds(answers, predictor.meaning, number)

    networks, meaning = predictor.networks, predictor.meaning
    own = OWN if networks.network.places_answer and meaning.kind == "single" else None
    return explain_cases(networks, meaning.classes, question, SAYS, chosen, mirrors, own)


def log_odds(answers: Tensor, meaning: Meaning, number: int) -> Tensor:
    """log(p / (1 - p)) (B,) of one class from answers (B, L): softmax knows no shift that all its logits share, nor does this."""
    if meaning.kind == "findings":
        return answers[:, number]
    if meaning.kind == "single":
        others = [n for n in range(answers.shape[1]) if n != number]
        return answers[:, number] - answers[:, others].logsumexp(1)
    steps = torch.cummin(answers, dim=1).values  # being beyond a later step is never likelier
    above = torch.full_like(steps[:, :1], torch.inf)
    whole = torch.cat([above, steps, -above], dim=1)
    reached, beyond = whole[:, number], whole[:, number + 1]
    inside = (reached.sigmoid() - beyond.sigmoid()).clamp_min(1e-6)
    return inside.log() - torch.log1p(-inside.clamp_max(1 - 1e-6))
