"""The contract that every loss keeps: perfect = 0, order, gradient, absent classes, ignored voxels, precision."""

import itertools
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from voxloom.losses import LossKind, LossSettings, SegmentationLoss

CLASSES, IGNORE = 3, 3
NESTED = np.array([[False, True, True], [False, False, True]])
#: What a perfect prediction costs, where it is not 0.
BEST = {"negative_dice": -1.0}
MIXED = ["tanimoto_ce-product", "tanimoto_ce-powers"]
NAMES = [*get_args(LossKind), *MIXED]
VOXELWISE = ("ce", "bce", "balanced_ce", "focal")  # they have no overlap over the batch or the sample
VARIANTS = [
    (kind, regions, batch_dice)
    for kind, regions, batch_dice in itertools.product(NAMES, [False, True], [False, True])
    if not (batch_dice and kind in VOXELWISE)
]
each_variant = pytest.mark.parametrize(("kind", "regions", "batch_dice"), VARIANTS)


def make(kind: str, regions: bool, batch_dice: bool, **more: object) -> SegmentationLoss:
    table = NESTED if regions else None
    count = 2 if regions else CLASSES
    name, _, mix = kind.partition("-")
    settings = LossSettings.model_validate({"kind": name, **({"mix": mix} if mix else {})})
    return SegmentationLoss(settings, count=count, ignore_index=IGNORE, membership=table, batch_dice=batch_dice, **more)


def labels(highest: int = CLASSES, seed: int = 0) -> Tensor:
    return torch.randint(0, highest, (2, 6, 5, 4), generator=torch.Generator().manual_seed(seed))


def certain(label: Tensor, regions: bool, size: float = 20.0) -> Tensor:
    """Logits that say ``label`` with certainty."""
    known = label.clamp(max=CLASSES - 1)
    if regions:
        truth = torch.from_numpy(NESTED)[:, known].movedim(0, 1).float()
    else:
        truth = torch.nn.functional.one_hot(known, CLASSES).movedim(-1, 1).float()
    return (2 * truth - 1) * size


def gradient_of(loss: SegmentationLoss, logits: Tensor, label: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    loss(logits, label).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    return logits.grad


@each_variant
def test_a_perfect_prediction_costs_least(kind: str, regions: bool, batch_dice: bool) -> None:
    label, loss = labels(), make(kind, regions, batch_dice)
    best = float(loss(certain(label, regions), label))
    assert best == pytest.approx(BEST.get(kind, 0), abs=1e-3)
    noise = torch.randn(certain(label, regions).shape, generator=torch.Generator().manual_seed(2))
    assert best < float(loss(noise, label))


@each_variant
def test_the_worst_prediction_costs_most(kind: str, regions: bool, batch_dice: bool) -> None:
    label, loss = labels(), make(kind, regions, batch_dice)
    right = certain(label, regions)
    worst = float(loss(-right, label))
    noise = torch.randn(right.shape, generator=torch.Generator().manual_seed(2))
    assert worst > float(loss(noise, label))
    overlaps = ("dice", "negative_dice", "jaccard", "tanimoto", "focal_tversky")
    if kind in overlaps:  # softmax shares a wrong voxel between two labels; nothing overlaps all the same
        assert worst == pytest.approx(1 + BEST.get(kind, 0), abs=1e-3)


@each_variant
def test_a_worse_prediction_costs_more(kind: str, regions: bool, batch_dice: bool) -> None:
    label, loss = labels(), make(kind, regions, batch_dice)
    right = certain(label, regions, 3.0)
    costs = [float(loss((1 - t) * right - t * right, label)) for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert costs == sorted(costs)
    assert costs[-1] > costs[0] + 0.3


@each_variant
def test_the_gradient_is_finite_points_down_and_is_not_zero(kind: str, regions: bool, batch_dice: bool) -> None:
    label, loss = labels(), make(kind, regions, batch_dice)
    logits = torch.randn(certain(label, regions).shape, generator=torch.Generator().manual_seed(1))
    gradient = gradient_of(loss, logits, label)
    assert float(gradient.abs().sum()) > 1e-3
    assert loss(logits - gradient, label) < loss(logits, label)


@each_variant
def test_ignored_voxels_have_no_cost_and_no_gradient(kind: str, regions: bool, batch_dice: bool) -> None:
    label, loss = labels(CLASSES + 1), make(kind, regions, batch_dice)
    logits = torch.randn(certain(label, regions).shape, generator=torch.Generator().manual_seed(1))
    ignored = (label == IGNORE)[:, None].expand_as(logits)
    assert gradient_of(loss, logits, label)[ignored].abs().max() == 0
    other = torch.where(ignored, torch.full_like(logits, 9.0), logits)
    assert torch.allclose(loss(logits, label), loss(other, label))


@each_variant
def test_nothing_but_ignored_voxels_costs_nothing(kind: str, regions: bool, batch_dice: bool) -> None:
    label = torch.full((2, 4, 4, 4), IGNORE)
    logits = torch.randn(certain(label, regions).shape)
    assert float(make(kind, regions, batch_dice)(logits, label)) == pytest.approx(BEST.get(kind, 0), abs=1e-6)
    assert gradient_of(make(kind, regions, batch_dice), logits, label).abs().max() == 0


@each_variant
def test_a_class_absent_from_truth_and_prediction_pulls_nowhere(kind: str, regions: bool, batch_dice: bool) -> None:
    label, loss = labels(highest=2), make(kind, regions, batch_dice)
    logits = certain(label, regions)
    assert float(loss(logits, label)) == pytest.approx(BEST.get(kind, 0), abs=1e-3)
    assert gradient_of(loss, logits, label).abs().max() < 1e-5


@each_variant
def test_a_class_absent_from_the_truth_but_predicted_is_pulled_down(kind: str, regions: bool, batch_dice: bool) -> None:
    label, loss = labels(highest=2), make(kind, regions, batch_dice)
    wrong = certain(torch.full_like(label, 2), regions, 2.0)
    last = gradient_of(loss, wrong, label)[:, -1]
    assert (last > 0).all()
    assert last.abs().max() < 1


@each_variant
def test_empty_truth_of_every_class(kind: str, regions: bool, batch_dice: bool) -> None:
    label = torch.zeros(2, 4, 4, 4, dtype=torch.long)
    found = make(kind, regions, batch_dice)(certain(label, regions), label)
    assert float(found) == pytest.approx(BEST.get(kind, 0), abs=1e-3)


@each_variant
def test_bfloat16_logits_are_computed_in_float32(kind: str, regions: bool, batch_dice: bool) -> None:
    label, loss = labels(), make(kind, regions, batch_dice)
    logits = torch.randn(certain(label, regions).shape, generator=torch.Generator().manual_seed(1)).bfloat16()
    value = loss(logits, label)
    assert value.dtype is torch.float32
    assert torch.equal(value, loss(logits.float(), label))
    assert gradient_of(loss, logits, label).dtype is torch.bfloat16


@each_variant
def test_equal_weights_and_an_ignore_index_that_does_not_occur_change_nothing(
    kind: str, regions: bool, batch_dice: bool
) -> None:
    label = labels()
    logits = torch.randn(certain(label, regions).shape, generator=torch.Generator().manual_seed(1))
    loss = make(kind, regions, batch_dice)
    plain = make(kind, regions, batch_dice)
    plain.ignore_index = None
    equal = make(kind, regions, batch_dice, weights=(2.0,) * loss.count)
    assert torch.allclose(loss(logits, label), plain(logits, label), atol=1e-6)
    assert torch.allclose(loss(logits, label), equal(logits, label), atol=1e-6)


@each_variant
def test_a_sample_of_no_importance_does_not_count(kind: str, regions: bool, batch_dice: bool) -> None:
    label, loss = labels(CLASSES + 1), make(kind, regions, batch_dice)
    logits = torch.randn(certain(label, regions).shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
    value = loss(logits, label, torch.tensor([1.0, 0.0]))
    assert torch.allclose(value, loss(logits[:1], label[:1]), atol=1e-5)
    value.backward()
    assert logits.grad is not None
    assert logits.grad[1].abs().max() == 0
    assert logits.grad[0].abs().max() > 0
    assert torch.allclose(loss(logits, label, torch.full((2,), 3.0)), loss(logits, label), atol=1e-4)


@each_variant
def test_two_spatial_axes_and_small_label_types(kind: str, regions: bool, batch_dice: bool) -> None:
    label, loss = labels()[..., 0], make(kind, regions, batch_dice)
    logits = certain(label, regions, 1.0)
    assert torch.equal(loss(logits, label), loss(logits[..., None], label[..., None].to(torch.uint8)))
