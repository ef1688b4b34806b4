"""Every augmentation, loss and network on a pretended card: the numbers of the processor, and nothing that waits for the card."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.card.pretended import NAME, Waits, pretended_card
from tests.losses.test_contract import NAMES, labels, make
from tests.networks.families import FAMILIES
from voxloom.augment import Augmenter, AugmentSettings
from voxloom.augment.sending import sent
from voxloom.losses import DeepSupervisionLoss
from voxloom.losses.classification import MaskedBinaryCrossEntropy, NumberLoss, SoftCrossEntropy
from voxloom.losses.landmarks import BalancedCrossEntropy, FuzzyDiceLoss, HeatMapLoss
from voxloom.networks import build_network, network_settings
from voxloom.networks.case_networks import build_case_network
from voxloom.networks.case_settings import case_network_settings
from voxloom.networks.slabnet import SlabNet, multi_net, single_net
from voxloom.optim import EMA
from voxloom.tasks.classification.objective import OrdinalLoss
from voxloom.tasks.whole_case.feed import mixed

#: Changes that TorchIO makes, on the processor.
ON_PROCESSOR = ("ghosting", "motion", "spike", "anisotropy")
#: Of a change, keys beside its chance.
WITH: dict[str, dict[str, Any]] = {
    "shift": {"shift": (3.0, 3.0, 0.0)}, "intensity": {}, "rotation": {"scale_axes": "apart"}, "elastic": {"elastic_points": 4},
}  # fmt: skip
CHANGES = [name.removesuffix("_chance") for name in AugmentSettings.model_fields if name.endswith("_chance")]
OTHERS: dict[str, dict[str, Any]] = {
    "mirror": {"mirror": (0, 1)}, "invert": {"invert_chance": 1.0}, "channel_dropout": {"channel_dropout": 0.5},
    "own": {"own": ({"kind": "tests.card.test_parts:Brighter", "chance": 0.5},)},
}  # fmt: skip


class Brighter:
    """A change of intensities as another package may bring one."""

    def __call__(self, patches: Tensor, generator: torch.Generator) -> Tensor:
        return patches + sent(torch.rand(len(patches), 1, 1, 1, 1, generator=generator), patches.device)


def only(name: str) -> AugmentSettings:
    """One change alone, in about half of the patches."""
    off = AugmentSettings().off().model_dump()
    keys = OTHERS.get(name, {f"{name}_chance": 0.6, **WITH.get(name, {})})
    return AugmentSettings.model_validate({**off, "batch_chance": 1.0, **keys})


@pytest.mark.parametrize("flat", [False, True], ids=["3D", "2D"])
@pytest.mark.parametrize("name", [*CHANGES, *OTHERS])
def test_every_augmentation(name: str, flat: bool) -> None:
    shape = (20, 18, 1 if flat else 12)
    augmenter = Augmenter(only(name), (1.0, 1.0, 2.0), 2)
    generator = torch.Generator().manual_seed(3)
    image = torch.randn(6, 2, *shape, generator=generator)
    label = torch.randint(0, 3, (6, *shape), generator=generator)
    parameters = augmenter.sample(6, shape, torch.Generator().manual_seed(5))
    size = (16, 16, shape[2])
    expected, moved = augmenter.apply(image, label, parameters, size)
    with pretended_card() as waits:
        found, there = augmenter.apply(image.to(NAME), label.to(NAME), parameters, size)
        del waits.found[:2]  # the image and the label, sent by this test
        assert waits.found == [] or name in ON_PROCESSOR, waits.found
        assert found.device.type == NAME
        assert torch.allclose(found.cpu(), expected, atol=1e-5)
        assert torch.equal(there.cpu(), moved)


def both_gradients(loss: nn.Module, answer: Tensor, target: Tensor) -> Waits:
    """Value and gradient on both devices; the waits of the card."""
    here = answer.clone().requires_grad_()
    loss(here, target).backward()
    with pretended_card() as waits:
        there, its_target = answer.to(NAME).requires_grad_(), target.to(NAME)
        moved = loss.to(NAME)
        del waits.found[:]
        value = moved(there, its_target)
        value.backward()
        found = list(waits.found)
        assert torch.allclose(there.grad.cpu(), here.grad, atol=1e-5)
    waits.found[:] = found
    return waits


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("regions", [False, True])
def test_every_segmentation_loss(kind: str, regions: bool) -> None:
    logits = torch.randn(2, 2 if regions else 3, 6, 5, 4, generator=torch.Generator().manual_seed(1))
    assert both_gradients(make(kind, regions, False), logits, labels(4)).found == []


def test_deep_supervision() -> None:
    with pretended_card() as waits:
        loss = DeepSupervisionLoss(make("dice_ce", False, True), [1.0, 0.5]).to(NAME)
        heads = [torch.randn(2, 3, *size, device=NAME) for size in ((6, 5, 4), (3, 3, 2))]
        label = labels().to(NAME)
        del waits.found[:]
        assert loss(heads, label).device.type == NAME
        assert waits.found == []


LOSSES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "classes": (SoftCrossEntropy([0.5, 1.0, 2.0], 2.0, 0.1), (4, 3)),
    "findings": (MaskedBinaryCrossEntropy([1.0, 2.0, 3.0], 2.0, 0.1), (4, 3)),
    "ordinal": (OrdinalLoss(MaskedBinaryCrossEntropy()), (4, 2)),
    **{kind: (NumberLoss(kind), (4, 6 if kind == "gaussian" else 3)) for kind in ("l1", "mse", "huber", "gaussian")},
    "fuzzy_dice": (FuzzyDiceLoss([1.0, 0.5, 0.2]), (2, 3, 5, 4, 3)),
    "fuzzy_dice_whole": (FuzzyDiceLoss(None, "softmax"), (2, 3, 5, 4, 3)),
    "sigmoid_ce": (BalancedCrossEntropy("sigmoid"), (2, 3, 5, 4, 3)),
    "softmax_ce": (BalancedCrossEntropy("softmax"), (2, 3, 5, 4, 3)),
    "heatmap": (HeatMapLoss(8.0), (2, 3, 5, 4, 3)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_other_loss(name: str) -> None:
    loss, shape = LOSSES[name]
    answer = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    wanted = (4, 3) if len(shape) == 2 else shape
    target = torch.rand(wanted, generator=torch.Generator().manual_seed(2))
    target = target / target.sum(1, keepdim=True)
    assert both_gradients(loss, answer, target).found == []


CASES: dict[str, dict[str, Any]] = {
    "encoder 3D": {"kind": "encoder", "dims": 3, "features": [4, 8, 8], "covariates": 2},
    "resnet 3D": {"kind": "resnet", "dims": 3}, "densenet 2D": {"kind": "densenet", "dims": 2},
}  # fmt: skip


def network_of(name: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A network, and what it is called with."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(1)
    if name in CASES:
        settings = case_network_settings({"in_channels": 2, "out_channels": 3, **CASES[name]})
        size = (32, 32, 32)[: settings.dims]
        image, numbers = torch.randn(2, 2, *size, generator=generator), torch.randn(2, 2, generator=generator)
        return build_case_network(settings), (image, numbers) if settings.covariates else (image,)
    if name in ("single_net", "multi_net"):
        make_settings = single_net if name == "single_net" else multi_net
        settings = make_settings(levels=2, channels=2, dropout=0.0)
        return SlabNet(settings), (torch.randn(2, settings.in_channels, 17, 17, 3, generator=generator),)
    settings = network_settings(FAMILIES[name])
    size = (64, 32) if settings.dims == 2 else (16, 8, 8)
    return build_network(settings, seed=1), (torch.randn(2, 2, *size, generator=generator),)


@pytest.mark.parametrize("name", [*FAMILIES, *CASES, "single_net", "multi_net"])
def test_every_network_learns_on_the_card_without_waiting(name: str) -> None:
    network, inputs = network_of(name)
    network.train()
    with pretended_card() as waits:
        network.to(NAME)
        sent_inputs = [one.to(NAME) for one in inputs]
        del waits.found[:]
        outputs = network(*sent_inputs)
        heads = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        torch.stack([head.square().mean() for head in heads]).sum().backward()
        average = EMA(network, 0.9)
        average.update(network)
        assert waits.found == []
        assert all(p.grad is None or p.grad.device.type == NAME for p in network.parameters())
        assert sum(p.grad is not None for p in network.parameters()) > 0


def test_mixup_mixes_on_the_card() -> None:
    image, rows = torch.randn(4, 1, 3, 3, 3), torch.randn(4, 2)
    expected = mixed(image, rows, 0.4, 7)
    with pretended_card() as waits:
        found = mixed(image.to(NAME), rows.to(NAME), 0.4, 7)
        assert len(waits.found) == 2, "the two that this test sends"
        assert all(torch.allclose(a.cpu(), b, atol=1e-6) for a, b in zip(found, expected, strict=True))
