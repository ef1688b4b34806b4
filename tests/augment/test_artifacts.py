"""MR artifacts and blurs: what each does to an image whose answer is known, on volumes and on single slices."""

from __future__ import annotations

import pytest
import torch

from voxloom.augment import Augmenter, AugmentSettings, artifacts, intensity

SHAPES = [(16, 12, 10), (16, 12, 1)]


def blob(shape: tuple[int, int, int]) -> torch.Tensor:
    """A bright box off the center, two channels."""
    image = torch.zeros((1, 2, *shape))
    image[:, :, 5:8, 4:8, shape[2] // 2] = 1
    image[:, 1] *= 2
    return image


@pytest.mark.parametrize("shape", SHAPES)
def test_ghosts_appear_along_their_axis_only(shape: tuple[int, int, int]) -> None:
    image = blob(shape)
    found = artifacts.ghosting(image, torch.tensor([[4.0, 0.0, 0.8]]))
    difference = (found - image).abs().amax((0, 1, 4))
    assert difference[:, 4:8].amax(1).min() > 0.01  # all along i
    assert difference[:, 9:].max() < 1e-5  # nothing beside


@pytest.mark.parametrize("shape", SHAPES)
def test_a_spike_is_one_wave_over_the_whole_image(shape: tuple[int, int, int]) -> None:
    image = blob(shape)
    wave = artifacts.spike(image, torch.tensor([[0.7, 0.6, 0.5, 1.5]])) - image
    spectrum = torch.fft.fftn(wave[0, 0]).abs().flatten().sort(descending=True).values
    assert spectrum[1] > 0.99 * spectrum[0] > 100 * spectrum[2]


@pytest.mark.parametrize("shape", SHAPES)
def test_motion_keeps_what_did_not_move_and_mixes_what_did(shape: tuple[int, int, int]) -> None:
    still = torch.tensor([[[0.3, *[0.0] * 6], [0.6, *[0.0] * 6]]])
    image = blob(shape)
    assert artifacts.motion(image, still, (1, 1, 1)) is image
    moved = still.clone()
    moved[..., 4] = 4.0  # mm along i
    found = artifacts.motion(image, moved, (1.0, 1.0, 1.0))
    assert found.shape == image.shape
    assert (found - image).abs().max() > 0.1
    turned = still.clone()
    turned[..., 3] = 20.0  # degrees about k, through the center of the patch
    flat = torch.ones((1, 1, *shape))
    torch.testing.assert_close(artifacts.motion(flat, turned, (1, 1, 1))[..., 7:9, 5:7, :], flat[..., 7:9, 5:7, :])
    assert (artifacts.motion(image, turned, (1, 1, 1)) - image).abs().max() > 0.1


def test_anisotropy_smears_one_axis_and_knows_the_spacing() -> None:
    image = torch.randn((1, 1, 16, 16, 16), generator=torch.Generator().manual_seed(0))
    found = artifacts.anisotropy(image, torch.tensor([[2.0, 4.0]]), (1.0, 1.0, 2.5))
    steps = [found.diff(dim=axis).std() / image.diff(dim=axis).std() for axis in (2, 3, 4)]
    assert steps[2] < 0.5
    assert min(steps[0], steps[1]) > 0.6


def test_box_blur_is_the_mean_of_neighbors() -> None:
    image = torch.rand((2, 1, 9, 8, 7))
    found = intensity.box_blur(image, torch.tensor([1.0, 3.0]))
    assert torch.equal(found[0], image[0])
    expected = torch.nn.functional.avg_pool3d(image[1:], 3, 1)
    torch.testing.assert_close(found[1:, :, 1:-1, 1:-1, 1:-1], expected)


@pytest.mark.parametrize("axis", [0, 1])
def test_motion_blur_smears_along_its_line_and_keeps_the_sum(axis: int) -> None:
    image = torch.zeros((1, 1, 21, 21, 2))
    image[:, :, 10, 10] = 1
    extent = torch.zeros((1, 2))
    extent[0, axis] = 8.0
    found = intensity.motion_blur(image, extent)
    assert found.sum() == pytest.approx(2.0, rel=1e-4)
    along, across = (found[0, 0, :, :, 0].sum(dim=d) > 1e-4 for d in (1 - axis, axis))
    assert int(along.sum()) in (9, 10, 11)
    assert int(across.sum()) == 1


def test_artifacts_leave_torch_s_generator_alone() -> None:
    settings = AugmentSettings(anisotropy_chance=1, spike_chance=1, ghosting_chance=1, motion_chance=1)
    tool = Augmenter(settings, (1, 1, 1))
    parameters = tool.sample(1, (12, 12, 12), torch.Generator().manual_seed(0))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    tool.apply(torch.rand((1, 1, 12, 12, 12), generator=torch.Generator().manual_seed(1)), None, parameters, (8, 8, 8))
    assert torch.equal(torch.get_rng_state(), before)


def test_no_change_at_all_where_the_batch_is_left_alone() -> None:
    tool = Augmenter(AugmentSettings(mirror=(0, 1, 2), motion_chance=1), (1, 1, 1))
    image = torch.rand((3, 1, 8, 8, 8))
    same, _ = tool.apply(image, None, tool.none(3, (8, 8, 8)), (8, 8, 8))
    assert torch.equal(same, image)
