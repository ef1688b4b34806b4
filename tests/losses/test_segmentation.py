"""Values against independent formulas, weights, and deep supervision."""

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss

from voxloom.losses import DeepSupervisionLoss, SegmentationLoss
from voxloom.losses.supervision import thinned


@pytest.mark.parametrize("batch_dice", [False, True])
def test_agrees_with_monai_where_every_class_is_present(batch_dice: bool) -> None:
    logits, label = torch.randn(3, 4, 6, 6, 6), torch.randint(0, 4, (3, 6, 6, 6))
    judge = DiceCELoss(
        include_background=False, to_onehot_y=True, softmax=True, batch=batch_dice, smooth_nr=1e-5, smooth_dr=1e-5
    )
    ours = SegmentationLoss(count=4, batch_dice=batch_dice)(logits, label)
    assert torch.allclose(ours, judge(logits, label[:, None]), atol=1e-5)


def test_regions_agree_with_monai() -> None:
    table = np.array([[False, True, True], [False, False, True]])
    logits, label = torch.randn(2, 2, 6, 6, 6), torch.randint(0, 3, (2, 6, 6, 6))
    truth = torch.from_numpy(table)[:, label].movedim(0, 1).float()
    dice = DiceLoss(sigmoid=True, smooth_nr=1e-5, smooth_dr=1e-5)(logits, truth)
    expected = dice + torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)
    assert torch.allclose(SegmentationLoss(count=2, membership=table)(logits, label), expected, atol=1e-5)


def test_gradient_agrees_with_finite_differences() -> None:
    label = torch.randint(0, 4, (2, 3, 3, 2))
    loss = SegmentationLoss(count=3, ignore_index=3)
    logits = torch.randn(2, 3, 3, 3, 2, requires_grad=True)
    loss(logits, label).backward()
    assert logits.grad is not None
    step = 1e-2 * torch.randn_like(logits)
    with torch.no_grad():
        slope = (loss(logits + step, label) - loss(logits - step, label)) / 2
    assert float(slope) == pytest.approx(float((logits.grad * step).sum()), rel=2e-2, abs=1e-5)


def test_an_absent_class_costs_its_mean_probability() -> None:
    label = torch.zeros(1, 2, 2, 2, dtype=torch.long)
    logits = torch.zeros(1, 2, 2, 2, 2)
    assert float(SegmentationLoss("dice", count=2)(logits, label)) == pytest.approx(0.5)


def test_a_heavier_class_counts_more() -> None:
    label = torch.tensor([[[0, 1, 2, 2]]])
    right = torch.nn.functional.one_hot(label, 3).movedim(-1, 1) * 20.0
    wrong = right.clone()
    wrong[:, :, 0, 1] = torch.tensor([20.0, 0, 0])  # class 1 is missed
    light, heavy = (float(SegmentationLoss(count=3, weights=w)(wrong, label)) for w in ((1, 1, 1), (1, 5, 1)))
    assert heavy > light
    assert float(SegmentationLoss(count=3, weights=(1, 5, 1))(right, label)) == pytest.approx(0, abs=1e-4)


def test_weights_or_regions_of_the_wrong_number_are_refused() -> None:
    with pytest.raises(ValueError, match="weights has 2 entries for 3 channels"):
        SegmentationLoss(count=3, weights=(1, 1))
    with pytest.raises(ValueError, match="membership has 1 entries for 2 channels"):
        SegmentationLoss(count=2, membership=np.ones((1, 2), dtype=bool))


def test_deep_supervision_is_the_weighted_mean_over_heads() -> None:
    loss = SegmentationLoss(count=3)
    label = torch.randint(0, 3, (2, 8, 8, 4))
    heads = [torch.randn(2, 3, 8, 8, 4), torch.randn(2, 3, 4, 4, 4), torch.randn(2, 3, 2, 2, 2)]
    parts = [float(loss(head, thinned(label, head.shape[2:]))) for head in heads]
    total = DeepSupervisionLoss(loss, [1, 0.5, 0.25])(heads, label)
    assert float(total) == pytest.approx(np.average(parts, weights=[1, 0.5, 0.25]), rel=1e-5)
    assert torch.equal(DeepSupervisionLoss(loss, [1])(heads[0], label), loss(heads[0], label))
    with pytest.raises(ValueError, match="3 heads, but 2 weights"):
        DeepSupervisionLoss(loss, [1, 0.5])(heads, label)


@pytest.mark.parametrize(
    ("n", "m", "expected"), [(8, 4, [1, 3, 5, 7]), (8, 2, [2, 6]), (9, 3, [1, 4, 7]), (7, 3, [1, 3, 5])]
)
def test_a_coarse_label_is_the_middle_of_its_cell(n: int, m: int, expected: list[int]) -> None:
    assert thinned(torch.arange(n)[None], [m])[0].tolist() == expected
