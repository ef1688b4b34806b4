"""Changes of contrast against what they promise."""

import numpy as np
import pytest
import torch

from voxloom.augment import contrast


def image(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 1


def test_neutral_strength_returns_the_image() -> None:
    x = image(3, 2, 5, 6, 4)
    assert contrast.remap(x, torch.zeros(3, contrast.KNOTS)) is x
    assert contrast.invert(x, torch.zeros(3, dtype=torch.bool)) is x


def test_inverting_turns_the_order_around_and_twice_is_nothing() -> None:
    x = image(2, 2, 6, 6, 6)
    chosen = torch.tensor([True, False])
    turned = contrast.invert(x, chosen)
    assert torch.equal(turned[1], x[1])
    order = x[0, 1].flatten().argsort()
    assert (turned[0, 1].flatten()[order].diff() <= 0).all()
    assert torch.allclose(contrast.invert(turned, chosen), x, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_remap_keeps_mean_and_deviation_and_equal_voxels_equal(seed: int) -> None:
    x = image(2, 2, 10, 10, 10).round(decimals=1)
    curve = torch.rand((2, contrast.KNOTS), generator=torch.Generator().manual_seed(seed)) - 0.5
    y = contrast.remap(x, curve)
    assert torch.allclose(y.mean((2, 3, 4)), x.mean((2, 3, 4)), atol=1e-3)
    assert torch.allclose(y.std((2, 3, 4)), x.std((2, 3, 4)), rtol=1e-3)
    for value in x[0, 0].unique()[::7]:
        assert float(y[0, 0][x[0, 0] == value].std(correction=0)) < 1e-5


def test_remap_follows_its_curve() -> None:
    """Against NumPy, at the knots, up to the mean and deviation that are restored."""
    levels = torch.linspace(-1, 5, 6001)
    x = levels.view(1, 1, -1, 1, 1)
    curve = torch.tensor([[0.0, 0.5, -0.5, 0.2, 0.0, 0.3, -0.4]])
    y = contrast.remap(x, curve).flatten().numpy()
    kept = levels[:: max(1, len(levels) // contrast.SAMPLED)].numpy()
    low, high = np.quantile(kept, [0.01, 0.99])
    at = np.linspace(low, high, contrast.KNOTS)
    wanted = at + (high - low) * curve[0].numpy()
    found = np.interp(at, levels.numpy(), y)
    slope, shift = np.polyfit(wanted, found, 1)
    assert slope > 0
    np.testing.assert_allclose(found, slope * wanted + shift, atol=0.02)


def test_flat_channels_and_single_slices_stay_finite() -> None:
    curve = torch.full((2, contrast.KNOTS), 0.4)
    assert contrast.remap(torch.full((2, 1, 4, 4, 4), 2.0), curve).isfinite().all()
    assert contrast.remap(image(2, 3, 7, 7, 1), curve).isfinite().all()
