"""SingleNet and MultiNet: published parameter counts, shapes, and that every switch changes what it says."""

from __future__ import annotations

import pytest
import torch

from voxloom.networks import count_parameters
from voxloom.networks.slabnet import SlabNet, SlabSettings, multi_net, single_net

SMALL = {"levels": 2, "channels": 2, "dropout": 0.0}


def test_published_parameter_counts() -> None:
    assert count_parameters(SlabNet(single_net())) == 179_115
    multi = count_parameters(SlabNet(multi_net()))
    assert multi == 397_112
    assert abs(multi / 397_371 - 1) < 0.001


@pytest.mark.parametrize("size", [(33, 17), (30, 21), (5, 9)])
@pytest.mark.parametrize("supervision", [True, False])
def test_three_slices_in_the_middle_one_out(size: tuple[int, int], supervision: bool) -> None:
    network = SlabNet(SlabSettings(in_channels=2, outputs=3, supervision=supervision, **SMALL)).eval()
    assert network(torch.randn(2, 2, *size, 3)).shape == (2, 3, *size, 1)


def test_every_slice_of_the_slab_matters_and_the_network_is_not_symmetric_in_plane() -> None:
    torch.manual_seed(0)
    network = SlabNet(multi_net(**SMALL)).eval()
    image = torch.randn(1, 1, 17, 17, 3)
    before = network(image)
    for k in range(3):
        changed = image.clone()
        changed[..., k] += 1
        assert not torch.allclose(network(changed), before, atol=1e-4)


def test_switches() -> None:
    counts = {a: count_parameters(SlabNet(multi_net(activation=a))) for a in ("relu", "elu", "crelu")}
    assert counts["relu"] == counts["elu"] < counts["crelu"]
    without = SlabNet(single_net(batch_norm=False))
    assert not any(isinstance(m, torch.nn.BatchNorm3d) for m in without.modules())
    torch.manual_seed(0)
    he = SlabNet(single_net()).first.weight.std()
    torch.manual_seed(0)
    glorot = SlabNet(single_net(he=False)).first.weight.std()
    assert he > 1.3 * glorot
    assert len(SlabNet(multi_net(supervision=False)).heads) == 1
    assert len(SlabNet(multi_net()).heads) == 6
    assert multi_net(channels=12, max_channels=32).widths == (12, 24, 32, 32, 32, 32)
    torch.manual_seed(0)
    noisy = SlabNet(single_net(dropout=0.5)).train()
    image = torch.randn(2, 1, 9, 9, 3)
    assert not torch.equal(noisy(image), noisy(image))


def test_it_learns_a_bright_square() -> None:
    torch.manual_seed(0)
    network = SlabNet(single_net(channels=4, dropout=0.0))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    image = 0.1 * torch.randn(2, 1, 17, 17, 3)
    target = torch.zeros(2, 1, 17, 17, 1)
    target[:, :, 4:8, 5:9] = 1
    image[:, :, 4:8, 5:9, 1] += 2
    losses = []
    for _ in range(25):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
