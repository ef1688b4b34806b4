"""Changes of intensity against what they promise."""

import pytest
import torch

from voxloom.augment import intensity

NOTHING = {
    "soften": lambda x: intensity.soften(x, torch.zeros(len(x)), torch.ones(len(x))),
    "bias": lambda x: intensity.bias_field(x, torch.zeros(len(x), 1, 3, 3, 3)),
    "gamma": lambda x: intensity.gamma(x, torch.zeros(len(x))),
    "linear": lambda x: intensity.linear(x, torch.ones(len(x)), torch.zeros(len(x))),
    "noise": lambda x: intensity.add_noise(x, torch.zeros(len(x)), 1),
}
CHANGED = {
    "soften": lambda x: intensity.soften(x, torch.full((len(x),), 0.8), torch.full((len(x),), 0.6)),
    "bias": lambda x: intensity.bias_field(x, torch.full((len(x), 1, 3, 3, 3), 0.2)),
    "gamma": lambda x: intensity.gamma(x, torch.full((len(x),), 0.4)),
    "linear": lambda x: intensity.linear(x, torch.full((len(x),), 0.8), torch.full((len(x),), 0.1)),
    "noise": lambda x: intensity.add_noise(x, torch.full((len(x),), 0.1), 1),
}


@pytest.mark.parametrize("name", NOTHING)
def test_neutral_strength_returns_the_image(name: str) -> None:
    image = torch.randn(3, 2, 5, 6, 4)
    assert NOTHING[name](image) is image


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("shape", [(2, 1, 6, 7, 5), (2, 3, 6, 7, 1)])
def test_a_constant_image_stays_finite(name: str, shape: tuple[int, ...]) -> None:
    assert CHANGED[name](torch.full(shape, 2.0)).isfinite().all()


def test_gamma_keeps_mean_deviation_and_order() -> None:
    image = torch.randn(2, 2, 8, 8, 8) * 3 + 1
    changed = intensity.gamma(image, torch.tensor([0.3, -0.3]))
    assert torch.allclose(changed.mean((2, 3, 4)), image.mean((2, 3, 4)), atol=1e-4)
    assert torch.allclose(changed.std((2, 3, 4)), image.std((2, 3, 4)), atol=1e-3)
    order = image[0, 0].flatten().argsort()
    assert (changed[0, 0].flatten()[order].diff() >= -1e-5).all()


def test_contrast_keeps_the_mean_and_scales_the_deviation() -> None:
    image = torch.randn(1, 1, 8, 8, 8) + 5
    changed = intensity.linear(image, torch.tensor([1.5]), torch.tensor([0.25]))
    assert float(changed.mean() - image.mean()) == pytest.approx(0.25, abs=1e-4)
    assert float(changed.std() / image.std()) == pytest.approx(1.5, rel=1e-4)


def test_bias_field_leaves_the_darkest_voxel_and_stays_in_range() -> None:
    image = torch.rand(1, 1, 9, 9, 9) - 3
    changed = intensity.bias_field(image, (torch.rand(1, 1, 3, 3, 3) * 2 - 1) * 0.3)
    dark = image.min()
    ratio = (changed - dark) / (image - dark).clamp(min=1e-9)
    ratio = ratio[image > dark + 0.1]
    assert changed.min() == dark
    assert (ratio.log().abs() <= 0.3 + 1e-4).all()
    assert ratio.std() > 0


def test_noise_has_the_asked_deviation_and_follows_its_seed() -> None:
    image = torch.zeros(2, 1, 20, 20, 20)
    sd = torch.tensor([0.1, 0.4])
    first = intensity.add_noise(image, sd, 5)
    assert torch.allclose(first.std((1, 2, 3, 4)), sd, rtol=0.05)
    assert torch.equal(first, intensity.add_noise(image, sd, 5))
    assert not torch.equal(first, intensity.add_noise(image, sd, 6))


def test_an_axis_of_one_voxel_is_not_softened() -> None:
    image = torch.randn(1, 1, 8, 8, 1)
    softened = intensity.soften(image, torch.tensor([0.8]), torch.tensor([1.0]))
    lifted = intensity.soften(image.expand(1, 1, 8, 8, 3), torch.tensor([0.8]), torch.tensor([1.0]))
    assert torch.allclose(softened[..., 0], lifted[..., 1], atol=1e-5)
