"""The published weights, the formula of fuzzy Dice, and losses that rare channels and voxels move."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from voxloom.losses.landmarks import BalancedCrossEntropy, FuzzyDiceLoss, HeatMapLoss, count_weights, probabilities_of


def test_published_weights() -> None:
    assert [round(w, 2) for w in count_weights([1154, 1274, 1582, 2060, 2267])] == [1.00, 0.91, 0.73, 0.56, 0.51]
    with pytest.raises(ValueError, match="without a marker"):
        count_weights([3, 0])


def example() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 7, 8, 1, generator=generator)
    target = (torch.rand(2, 3, 7, 8, 1, generator=generator) > 0.8).float()
    return logits, target


def test_fuzzy_dice_is_the_formula() -> None:
    logits, target = example()
    p = logits.sigmoid()
    each = [1 - 2 * (p[:, c] * target[:, c]).sum() / (p[:, c].sum() + target[:, c].sum()) for c in range(3)]
    weights = [1.0, 0.5, 0.25]
    expected = sum(w * e for w, e in zip(weights, each, strict=True)) / sum(weights)
    assert FuzzyDiceLoss(weights)(logits, target).item() == pytest.approx(float(expected), abs=1e-5)
    whole = 1 - 2 * (p * target).sum() / (p.sum() + target.sum())
    assert FuzzyDiceLoss(None)(logits, target).item() == pytest.approx(float(whole), abs=1e-5)


def test_weights_decide_which_channel_matters() -> None:
    logits, target = example()
    wrong = logits.clone()
    wrong[:, 0] = torch.where(target[:, 0] > 0, -20.0, 20.0)
    heavy, light = FuzzyDiceLoss([1.0, 0.1, 0.1]), FuzzyDiceLoss([0.1, 1.0, 1.0])
    assert heavy(wrong, target) - heavy(logits, target) > light(wrong, target) - light(logits, target)


@pytest.mark.parametrize(
    "loss",
    [
        FuzzyDiceLoss([1.0] * 3),
        FuzzyDiceLoss(None, "softmax"),
        BalancedCrossEntropy(),
        BalancedCrossEntropy("softmax"),
        HeatMapLoss(2.0),
    ],
)
def test_a_perfect_answer_costs_nothing_and_a_wrong_one_does(loss: torch.nn.Module) -> None:
    target = torch.zeros(2, 3, 6, 6, 1)
    target[:, 0, 1, 1], target[:, 2, 4, 4] = 1, 1  # channel 1 does not occur
    right = (target * 2 - 1) * 30
    assert loss(right, target).item() == pytest.approx(0, abs=1e-4)
    assert loss(-right, target).item() > 0.3
    logits = right.clone().requires_grad_()
    loss(0.01 * logits, target).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[target == 1] < 0).all()


@pytest.mark.parametrize("kind", ["sigmoid", "softmax"])
def test_markers_weigh_as_much_as_everything_else(kind: str) -> None:
    target = torch.zeros(1, 1, 10, 10, 1)
    target[0, 0, 0, 0] = 1
    loss = BalancedCrossEntropy(kind)(torch.zeros(1, 1, 10, 10, 1), target)  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(math.log(2))
    missed = torch.full((1, 1, 10, 10, 1), -4.0)
    assert BalancedCrossEntropy(kind)(missed, target).item() == pytest.approx(2.0, abs=0.05)  # type: ignore[arg-type]


def test_softmax_competes_with_a_background_of_zero() -> None:
    p = probabilities_of(torch.tensor([[0.0, math.log(2.0)]])[..., None, None, None], "softmax")
    assert p.flatten().tolist() == pytest.approx([0.25, 0.5])


def test_heat_maps_are_compared_by_their_divergence() -> None:
    logits, target = example()
    heat = 0.8 * target + 0.1
    p, t = torch.distributions.Bernoulli(logits=logits), torch.distributions.Bernoulli(probs=heat)
    expected = torch.distributions.kl_divergence(t, p).sum() / (5.0 * 6)
    assert HeatMapLoss(5.0)(logits, heat).item() == pytest.approx(float(expected), rel=1e-5)
    assert HeatMapLoss(5.0)(torch.logit(heat), heat).item() == pytest.approx(0, abs=1e-5)


def test_a_blob_in_the_wrong_place_costs_as_much_in_a_large_volume_as_in_a_small_one() -> None:
    loss = HeatMapLoss(1.0)
    costs = []
    for size in (8, 64):
        target, logits = torch.zeros(1, 1, size, size, 1), torch.full((1, 1, size, size, 1), -30.0)
        target[0, 0, 1, 1], logits[0, 0, 1, 1], logits[0, 0, 6, 6] = 1, 5, 5
        costs.append(loss(logits, target).item())
    assert costs[0] == pytest.approx(costs[1])
    assert costs[0] > 4
