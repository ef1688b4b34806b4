"""Windows of a landmark training: a pure function of the step, targets where the points are, slabs that stay slabs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voxloom.augment import Augmenter, AugmentSettings
from voxloom.inference import Windowing
from voxloom.landmarks import LandmarkSettings, Layout
from voxloom.networks import NetworkSettings
from voxloom.networks.initial import expect_rarely
from voxloom.networks.slabnet import SlabNet, single_net
from voxloom.points import Point
from voxloom.tasks.landmarks.feed import LandmarkFeed, in_plane
from voxloom.tasks.landmarks.reading import mark_voxels
from voxloom.tasks.landmarks.sampling import LandmarkCase, LandmarkSampler
from voxloom.tasks.landmarks.training import build_landmark_network
from voxloom.training.module import TrainingModule
from voxloom.training.pace import Pace
from voxloom.training.settings import TrainingSettings
from voxloom.training.windows import read_padded


class Block:
    """A prepared image in memory."""

    def __init__(self, shape: tuple[int, int, int], seed: int) -> None:
        self.shape = shape
        self._image = np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)

    def image(self, slices: tuple[slice, slice, slice] | None = None) -> np.ndarray:
        return self._image if slices is None else self._image[(slice(None), *slices)]


AFFINE = np.diag([2.0, 2.0, 4.0, 1.0])
POINTS = (Point("L1", "", (20.0, 30.0, 12.0)), Point("L2", "", (40.0, 10.0, 0.0)))


def sampler(**changed: object) -> LandmarkSampler:
    cases = [LandmarkCase(Block((30, 24, 6), n), AFFINE, POINTS) for n in range(3)]
    values = {
        "cases": cases, "layout": Layout.of([POINTS], "level"), "kind": "disc", "radius": 5.0, "size": (21, 17, 3),
        "patch": (17, 17, 3), "batch": 2, "foreground": 1.0, "seed": 4, "slab": True, "repeats": (1, 1, 1),
    }  # fmt: skip
    return LandmarkSampler(**{**values, **changed})  # type: ignore[arg-type]


def test_a_step_is_always_the_same_and_steps_differ() -> None:
    first, again, other = sampler().read(7), sampler().read(7), sampler().read(8)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    assert first[0].shape == (2, 1, 21, 17, 3)
    assert first[1].shape == (2, 2, 21, 17, 3)


def test_windows_on_marks_show_their_discs_in_the_middle_slice() -> None:
    reader = sampler()
    for step in range(6):
        _, target = reader.read(step)
        assert (target[..., 1].sum(axis=(1, 2, 3)) > 0).all()


def test_an_end_slice_can_be_the_middle_of_a_slab() -> None:
    image = read_padded(Block((8, 8, 4), 0), (0, 0, -1), (8, 8, 3))
    assert not image[..., 0].any()
    assert image[..., 1].any()
    both = read_padded(Block((8, 8, 4), 0), (-3, 6, 3), (14, 5, 3))
    assert both.shape == (1, 14, 5, 3)
    np.testing.assert_array_equal(both[0, 3:11, :2, 0], Block((8, 8, 4), 0).image()[0, :, 6:, 3])


def test_rare_cases_are_drawn_as_often_as_asked() -> None:
    reader = sampler(repeats=(1, 4, 1), batch=1)
    drawn = [reader.cases.index(reader._case_at(n)) for n in range(12)]
    assert [drawn.count(n) for n in range(3)] == [2, 8, 2]


def fed(settings: AugmentSettings, image: torch.Tensor, target: torch.Tensor, *, binary: bool = True):
    training = TrainingSettings(patch=(17, 17, 3), batch=2, ema=0)
    feed = LandmarkFeed(Augmenter(settings, (2.0, 2.0, 4.0)), training, slab=True, binary=binary, job_seed=0)
    return feed((0, image, target), seed=12_345, progress=0.0)


def test_image_and_target_move_together_in_the_slice_plane_only() -> None:
    strong = AugmentSettings(
        rotation=(30, 30, 40), rotation_chance=1, scale=0.3, scale_chance=1, elastic=4, elastic_spacing=12, elastic_chance=1,
        noise_chance=0, blur_chance=0, intensity_chance=0, gamma_chance=0, low_resolution_chance=0, bias_field_chance=0,
    )  # fmt: skip
    _, target = (torch.from_numpy(a) for a in sampler().read(0))
    image = target[:, :1].clone()  # the image shows exactly what the first map is
    moved, seen = fed(strong, image, target, binary=False)
    assert moved.shape == (2, 1, 17, 17, 3)
    assert seen.shape == (2, 2, 17, 17, 1)
    torch.testing.assert_close(moved[:, :1, ..., 1:2], seen[:, :1], atol=1e-5, rtol=0)
    other = image.clone()
    other[..., [0, 2]] += 5  # neighbors must not leak into the middle slice
    again, _ = fed(strong, other, target, binary=False)
    torch.testing.assert_close(again[..., 1], moved[..., 1], atol=1e-5, rtol=0)
    _, whole = fed(strong, image, target)
    assert set(whole.unique().tolist()) <= {0.0, 1.0}


def test_in_plane_leaves_nothing_along_the_slices() -> None:
    drawn = Augmenter(AugmentSettings(shift=(5, 5, 5), shift_chance=1, elastic_chance=1), (1.0, 1.0, 1.0)).sample(
        3, (16, 16, 16), torch.Generator().manual_seed(0)
    )
    flat = in_plane(drawn)
    assert (flat.matrix[:, 2] == torch.tensor([0.0, 0, 1])).all()
    assert not flat.shift[:, 2].any()
    assert flat.control is not None
    assert not flat.control[:, 2].any()
    assert flat.shift[:, :2].any()


@pytest.mark.parametrize(("target", "expected"), [("disc", np.pi * 49 / 4), ("ball", 4 / 3 * np.pi * 343 / 16)])
def test_the_size_of_a_mark_on_the_grid(target: str, expected: float) -> None:
    settings = LandmarkSettings(target=target, radius=7.0)  # type: ignore[arg-type]
    assert mark_voxels(AFFINE, settings) == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("kind", ["unet", "singlenet", "multinet"])
def test_an_untrained_network_expects_marks_to_be_rare(kind: str) -> None:
    settings = LandmarkSettings(network=kind)  # type: ignore[arg-type]
    threes, twos, ones = (3, 3, 3), (2, 2, 2), (1, 1, 1)
    unet = NetworkSettings(
        dims=3, in_channels=1, out_channels=5, features=(4, 8, 8), strides=[ones, twos, twos], kernels=[threes] * 3
    )
    torch.manual_seed(0)
    network = build_landmark_network(settings, unet if kind == "unet" else None, 1, 5).eval()
    patch = (1, 1, 16, 16, 8) if kind == "unet" else (1, 1, 33, 33, 3)
    before = network(torch.zeros(patch)).sigmoid()
    expect_rarely(network, 0.01)
    after = network(torch.zeros(patch)).sigmoid()
    assert before.mean().item() == pytest.approx(0.5, abs=0.2)
    assert after.mean().item() == pytest.approx(0.01, abs=0.01)


def test_a_landmark_step_without_a_finite_gradient_is_skipped_and_named() -> None:
    settings = TrainingSettings(patch=(17, 17, 3), batch=2, ema=0)
    feed = LandmarkFeed(Augmenter(AugmentSettings(), (2.0, 2.0, 4.0)), settings, slab=True, binary=True, job_seed=0)
    network = SlabNet(single_net(channels=2, outputs=2))
    training = TrainingModule(network, torch.nn.BCEWithLogitsLoss(), feed, settings, Pace(3), dims=3, seed=0)
    optimizer = training.configure_optimizers()
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    spoiled = training.network.compress[0].conv.weight
    spoiled.register_hook(lambda gradient: torch.full_like(gradient, torch.inf))
    image, target = (torch.from_numpy(a) for a in sampler().read(0))
    training.training_step((0, image, target), 0).backward()
    training.configure_gradient_clipping(optimizer, 12.0)
    optimizer.step()
    assert training.skips.rows == [(1, "compress.0.conv", "fp32", "gradient")]
    assert all(torch.equal(before[name], value) for name, value in training.network.state_dict().items())


def test_a_softmax_output_is_trained_by_dice_and_predicted_alike() -> None:
    """The maps compete: probabilities of one voxel sum to less than 1, in the loss and in what is predicted."""
    from voxloom.losses.landmarks import FuzzyDiceLoss, probabilities_of
    from voxloom.tasks.landmarks.reading import output_of, predict_maps

    soft, plain = LandmarkSettings(output="softmax"), LandmarkSettings()
    assert (output_of(soft), output_of(plain)) == ("softmax", "sigmoid")
    torch.manual_seed(0)
    network = SlabNet(single_net(channels=2, outputs=2)).eval()
    image = Block((17, 17, 4), 0).image()
    windowing = Windowing((17, 17, 3), overlap=0.0)
    maps = {s.chosen_output: predict_maps([network], 50 * image, s, windowing) for s in (soft, plain)}
    assert maps["softmax"].sum(0).max() <= 1 + 1e-3
    assert not np.allclose(maps["softmax"], maps["sigmoid"], atol=1e-2)
    logits = torch.randn(2, 2, 9, 9, 1, requires_grad=True)
    target = (torch.rand(2, 2, 9, 9, 1) > 0.8).float()
    loss = FuzzyDiceLoss(None, output_of(soft))(logits, target)
    p = probabilities_of(logits, "softmax")
    torch.testing.assert_close(loss, 1 - 2 * (p * target).sum() / (p.sum() + target.sum()), atol=1e-4, rtol=0)


def test_windows_know_the_millimetres_of_their_case() -> None:
    cases = [LandmarkCase(Block((30, 24, 6), n), np.diag([-2.0, 2.0, 3.0 + n, 1.0]), POINTS) for n in range(3)]
    reader = sampler(cases=cases)
    assert reader.spacing(0).shape == (2, 3)
    seen = {tuple(row) for step in range(3) for row in reader.spacing(step).tolist()}
    assert seen == {(2.0, 2.0, 3.0), (2.0, 2.0, 4.0), (2.0, 2.0, 5.0)}
