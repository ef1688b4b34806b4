"""Values against independent formulas, weights, and deep supervision."""

import numpy as np
import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss, FocalLoss, TverskyLoss
from pydantic import ValidationError

from voxloom.losses import DeepSupervisionLoss, LossSettings, SegmentationLoss
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


def flat(logits: torch.Tensor, label: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Probability and truth (L, voxels) of the labels, background left out."""
    p = torch.softmax(logits, 1).movedim(1, 0).flatten(1)[1:]
    truth = torch.nn.functional.one_hot(label, logits.shape[1]).movedim(-1, 0).flatten(1)[1:].float()
    return p, truth


def value_of(logits: torch.Tensor, label: torch.Tensor, **settings: object) -> float:
    chosen = LossSettings.model_validate(settings)
    return float(SegmentationLoss(chosen, count=logits.shape[1], batch_dice=True)(logits, label))


def test_overlaps_agree_with_their_formulas() -> None:
    logits, label = torch.randn(3, 4, 6, 6), torch.randint(0, 4, (3, 6, 6))
    p, truth = flat(logits, label)
    both, either = (p * truth).sum(1), p.sum(1) + truth.sum(1)
    expected = {
        "dice": 1 - 2 * both / either,
        "negative_dice": -2 * both / either,
        "jaccard": 1 - both / (either - both),
        "tanimoto": 1 - both / (p.square().sum(1) + truth.square().sum(1) - both),
    }
    for kind, values in expected.items():
        assert value_of(logits, label, kind=kind) == pytest.approx(float(values.mean()), abs=1e-4)
    judge = TverskyLoss(include_background=False, to_onehot_y=True, softmax=True, alpha=0.3, beta=0.7, batch=True)
    plain = value_of(logits, label, kind="focal_tversky", exponent=1.0)
    assert plain == pytest.approx(float(judge(logits, label[:, None])), abs=1e-4)
    each = torch.stack(
        [
            1 - b / (b + 0.7 * (t - p * t).sum() + 0.3 * (p - p * t).sum())
            for b, p, t in zip(both, p, truth, strict=True)
        ]
    )
    assert value_of(logits, label, kind="focal_tversky") == pytest.approx(float((each**0.75).mean()), abs=1e-3)


def test_voxelwise_losses_agree_with_independent_ones() -> None:
    logits, label = torch.randn(3, 4, 6, 6), torch.randint(0, 3, (3, 6, 6))
    p, truth = flat(logits, label)
    bce = torch.nn.functional.binary_cross_entropy(p, truth)
    assert value_of(logits, label, kind="bce") == pytest.approx(float(bce), abs=1e-5)
    one_hot = torch.nn.functional.one_hot(label, 4).movedim(-1, 1).float()
    judge = FocalLoss(gamma=2.0, use_softmax=True, reduction="none")(logits, one_hot).sum(1).mean()
    assert value_of(logits, label, kind="focal") == pytest.approx(float(judge), abs=1e-4)
    ce = torch.nn.functional.cross_entropy(logits, label, reduction="none")
    balanced = torch.stack([ce[label == n].mean() for n in range(3)]).mean()  # label 3 does not occur
    assert value_of(logits, label, kind="balanced_ce") == pytest.approx(float(balanced), abs=1e-5)
    both = value_of(logits, label, kind="dice") + value_of(logits, label, kind="focal")
    assert value_of(logits, label, kind="dice_focal") == pytest.approx(both, abs=1e-5)


def test_tanimoto_and_cross_entropy_mix_as_written() -> None:
    logits, label = torch.randn(2, 3, 6, 6), torch.randint(0, 3, (2, 6, 6))
    t, ce = (value_of(logits, label, kind=kind) for kind in ("tanimoto", "ce"))
    expected = {"sum": 0.6 * t + 0.4 * ce, "product": t**0.6 * ce**0.4, "powers": t**0.6 + ce**0.4}
    for mix, value in expected.items():
        assert value_of(logits, label, kind="tanimoto_ce", mix=mix) == pytest.approx(value, abs=6e-3)


def test_weights_of_the_settings_weigh_the_labels_dice() -> None:
    logits, label = torch.randn(2, 3, 6, 6), torch.randint(0, 3, (2, 6, 6))
    p, truth = flat(logits, label)
    each = 1 - 2 * (p * truth).sum(1) / (p.sum(1) + truth.sum(1))
    expected = (each[0] + 0.5 * each[1]) / 1.5
    assert value_of(logits, label, kind="dice", weights=(1.0, 1.0, 0.5)) == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize(
    "settings", [{"kind": "dise"}, {"weights": (1.0, 0.0)}, {"share": 1.0}, {"gama": 2}, {"smooth": 0}]
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        LossSettings.model_validate(settings)


def test_weights_by_counts_need_counts() -> None:
    with pytest.raises(ValueError, match="need the counts"):
        SegmentationLoss(LossSettings(weights="counts"), count=3)


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
