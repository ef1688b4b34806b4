"""What is explained of numbers: the predicted value itself, in the unit of its target."""

from __future__ import annotations

from voxloom.attribution import Explainable, Question
from voxloom.tasks.regression.predictor import NumberPredictor
from voxloom.tasks.whole_case.explained import explain_cases

SAYS = "predicted value, in the unit of the target"


def explain_numbers(predictor: NumberPredictor, mirrors: tuple[int, ...]) -> Explainable:
    """Every target. ``mirrors``: axes along which training showed mirror images."""
    scale = predictor.meaning

    def question(number: int) -> Question:
        return lambda plain: lambda answers: answers[:, number] * scale.sds[number] + scale.means[number]

    return explain_cases(predictor.networks, scale.names, question, SAYS, lambda volume, attributes: (), mirrors)
