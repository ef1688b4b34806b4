"""SingleNet and MultiNet: published parameter counts, shapes, and that every switch changes what it says."""

from __future__ import annotations

import pytest
import torch

from voxloom.networks import count_parameters
from voxloom.networks.slabnet import LearnedELU, SlabNet, SlabSettings, multi_net, single_net

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


def test_the_receptive_field_is_the_one_that_the_page_names() -> None:
    """47 to 51 pixels by where a pixel lies on the coarse grids; the text says 42 (docs/recipes.md)."""
    torch.manual_seed(0)
    network = SlabNet(single_net(dropout=0.0, batch_norm=False, activation="elu")).double().eval()
    widths = set()
    for shift in range(4):
        image = torch.randn(1, 1, 121, 121, 3, dtype=torch.double, requires_grad=True)
        network(image)[0, 0, 60 + shift, 60 + shift, 0].backward()
        assert image.grad is not None
        touched = torch.nonzero(image.grad[0, 0].abs().sum(2))
        widths |= {int(extent) for extent in touched.amax(0) - touched.amin(0) + 1}
    assert (min(widths), max(widths)) == (47, 51)


def test_elu_with_a_learned_a() -> None:
    layer = LearnedELU(2)
    x = torch.linspace(-3, 3, 24).view(2, 2, 6)
    torch.testing.assert_close(layer(x), torch.nn.functional.elu(x))
    with torch.no_grad():
        layer.a.copy_(torch.tensor([0.5, 2.0]))
    for channel, a in enumerate((0.5, 2.0)):
        torch.testing.assert_close(layer(x)[:, channel], torch.nn.functional.elu(x[:, channel], alpha=a))
    layer(x).sum().backward()
    assert (layer.a.grad < 0).all()
    learned, fixed = (SlabNet(single_net(activation=name)) for name in ("elu_learned", "elu"))
    values = [value for name, value in learned.named_parameters() if name.endswith(".a")]
    assert count_parameters(learned) == count_parameters(fixed) + sum(v.numel() for v in values)
    image = torch.randn(1, 1, 17, 17, 3)
    learned(image).square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().sum() > 0 for value in values)
    older = dict(fixed.state_dict())
    assert not [name for name in older if name.endswith(".a")]  # runs trained with elu have the weights they had


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
