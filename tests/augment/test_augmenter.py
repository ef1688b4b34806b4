"""The contract of augmentation: identity at zero strength, image and label together, millimetres, replay."""

import json

import pytest
import torch
from torch import Tensor

from voxloom.augment import Augmenter, AugmentParameters, AugmentSettings

SHAPE = (14, 16, 12)
SIZE = (10, 12, 8)
CHANCES = (
    "rotation",
    "scale",
    "shift",
    "elastic",
    "noise",
    "blur",
    "intensity",
    "gamma",
    "low_resolution",
    "bias_field",
    "box_blur",
    "motion_blur",
    "ghosting",
    "motion",
    "spike",
    "anisotropy",
    "remap",
    "invert",
)
OFF = {f"{name}_chance": 0.0 for name in CHANCES}
ALL = {f"{name}_chance": 1.0 for name in CHANCES}
SPATIAL = {
    "rotation": {"rotation_chance": 1.0, "rotation": (25, 25, 25)},
    "scale": {"scale_chance": 1.0, "scale": 0.3},
    "shift": {"shift_chance": 1.0, "shift": (2, 2, 2)},
    "mirror": {"mirror": (0, 1)},
    "elastic": {"elastic_chance": 1.0, "elastic": 1.5, "elastic_spacing": 6.0},
    "elastic points": {"elastic_chance": 1.0, "elastic": 2, "elastic_points": 5, "elastic_draw": "uniform"},
    "enlarge": {"scale_chance": 1.0, "scale": (1.0, 1.3)},
}
INTENSITY = {
    "noise": {"noise_chance": 1.0, "noise": 0.3},
    "blur": {"blur_chance": 1.0},
    "brightness": {"intensity_chance": 1.0, "contrast": 0.0, "brightness": 0.5},
    "contrast": {"intensity_chance": 1.0, "contrast": 0.5, "brightness": 0.0},
    "gamma": {"gamma_chance": 1.0},
    "low resolution": {"low_resolution_chance": 1.0},
    "bias field": {"bias_field_chance": 1.0},
    "box blur": {"box_blur_chance": 1.0},
    "motion blur": {"motion_blur_chance": 1.0, "motion_blur": 6.0},
    "ghosting": {"ghosting_chance": 1.0},
    "motion": {"motion_chance": 1.0},
    "spike": {"spike_chance": 1.0},
    "anisotropy": {"anisotropy_chance": 1.0},
    "remap": {"remap_chance": 1.0},
    "invert": {"invert_chance": 1.0},
}


def augmenter(spacing: tuple[float, float, float] = (1, 1, 1), **changes: object) -> Augmenter:
    return Augmenter(AugmentSettings.model_validate({**OFF, **changes}), spacing)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 4, shape: tuple[int, int, int] = SHAPE) -> tuple[Tensor, Tensor]:
    """Smooth random images whose label is a threshold of the image."""
    coarse = torch.randn((count, 1, 4, 4, 4 if shape[2] > 1 else 1), generator=seeded(7))
    image = torch.nn.functional.interpolate(coarse, shape, mode="trilinear", align_corners=True)
    return image, (image[:, 0] > 0.2).long()


def crop(x: Tensor, size: tuple[int, int, int] = SIZE) -> Tensor:
    window = [slice(n // 2 - m // 2, n // 2 - m // 2 + m) for n, m in zip(x.shape[-3:], size, strict=True)]
    return x[(..., *window)]


def run(tool: Augmenter, image: Tensor, label: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    shape = (image.shape[2], image.shape[3], image.shape[4])
    size = SIZE if shape[2] > 1 else (SIZE[0], SIZE[1], 1)
    moved, moved_label = tool.apply(image, label, tool.sample(len(image), shape, seeded(seed)), size)
    assert moved_label is not None
    return moved, moved_label


def test_zero_strength_is_exactly_the_middle_of_the_window() -> None:
    image, label = batch()
    moved, moved_label = run(augmenter(), image, label)
    assert torch.equal(moved, crop(image))
    assert torch.equal(moved_label, crop(label))


@pytest.mark.parametrize("name", [*SPATIAL, *INTENSITY])
def test_chosen_patches_change_and_the_others_stay_bit_for_bit(name: str) -> None:
    changes = {k: 0.5 if k.endswith("chance") else v for k, v in {**SPATIAL, **INTENSITY}[name].items()}
    image, label = batch(24)
    before = image.clone()
    moved, _ = run(augmenter(**changes), image, label, seed=3)
    same = [torch.equal(a, b) for a, b in zip(moved, crop(image), strict=True)]
    assert any(same)
    assert not all(same)
    assert torch.equal(image, before), "the input was written to"


@pytest.mark.parametrize("name", INTENSITY)
def test_intensity_changes_leave_the_label(name: str) -> None:
    image, label = batch()
    moved, moved_label = run(augmenter(**INTENSITY[name]), image, label)
    assert torch.equal(moved_label, crop(label))
    assert moved.isfinite().all()
    assert not torch.allclose(moved, crop(image), atol=1e-4)


@pytest.mark.parametrize("name", SPATIAL)
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.0, 2.5)])
def test_image_and_label_stay_together(name: str, spacing: tuple[float, float, float]) -> None:
    image, label = batch()
    moved, moved_label = run(augmenter(spacing, **SPATIAL[name]), image, label, seed=5)
    inside = run(augmenter(spacing, **SPATIAL[name]), torch.ones_like(image), label, seed=5)[0][:, 0] > 0.999
    clear = inside & ((moved[:, 0] - 0.2).abs() > 0.25)  # where half a voxel cannot cross the threshold
    assert clear.float().mean() > 0.3
    agree = (moved_label[clear] == (moved[:, 0][clear] > 0.2)).float().mean()
    assert agree > 0.98


def test_same_seed_same_batch_and_another_seed_another() -> None:
    image, label = batch()
    tool = augmenter(**ALL)
    first, again, other = run(tool, image, label, 1), run(tool, image, label, 1), run(tool, image, label, 2)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_parameters_survive_json_and_replay_the_batch() -> None:
    image, label = batch()
    tool = augmenter(**ALL)
    parameters = tool.sample(4, SHAPE, seeded())
    replayed = AugmentParameters.from_dict(json.loads(json.dumps(parameters.to_dict())))
    assert torch.equal(tool.apply(image, label, parameters, SIZE)[0], tool.apply(image, label, replayed, SIZE)[0])


def test_without_a_label_the_image_is_the_same() -> None:
    image, label = batch()
    tool = augmenter(**ALL)
    parameters = tool.sample(4, SHAPE, seeded())
    alone, nothing = tool.apply(image, None, parameters, SIZE)
    assert nothing is None
    assert torch.equal(alone, tool.apply(image, label, parameters, SIZE)[0])


def test_a_single_slice_stays_in_its_plane() -> None:
    image, label = batch(shape=(14, 16, 1))
    moved, moved_label = run(augmenter(**ALL, rotation=(30, 30, 30), mirror=(0, 1, 2), shift=(1, 1, 1)), image, label)
    assert moved.shape == (4, 1, 10, 12, 1)
    assert moved_label.shape == (4, 10, 12, 1)
    parameters = augmenter(**ALL).sample(4, (14, 16, 1), seeded())
    assert torch.equal(parameters.matrix[:, 2], torch.tensor([0.0, 0, 1]).expand(4, 3))


def test_every_channel_moves_alike() -> None:
    image, label = batch()
    moved, _ = run(augmenter(**SPATIAL["rotation"], **SPATIAL["mirror"]), torch.cat([image, 2 * image], 1), label)
    assert torch.allclose(2 * moved[:, 0], moved[:, 1], atol=1e-5)


def test_label_type_and_values_survive() -> None:
    image, _ = batch()
    label = torch.randint(0, 300, (4, *SHAPE), generator=seeded()).to(torch.int32)
    _, moved = run(augmenter(**SPATIAL["rotation"]), image, label)
    assert moved.dtype is torch.int32
    assert set(moved.unique().tolist()) <= {0, *label.unique().tolist()}


def test_the_largest_changes_are_told_to_those_who_read_windows() -> None:
    assert AugmentSettings(rotation=(1, 2, 3)).angles == (1, 2, 3)
    assert AugmentSettings(rotation_chance=0).angles == (0, 0, 0)
    assert AugmentSettings(scale=0.25).largest_scale == 1.25
    assert AugmentSettings(scale_chance=0).largest_scale == 1.0


def test_a_pair_of_sizes_only_enlarges() -> None:
    parameters = augmenter(scale=(1.0, 1.2), scale_chance=1.0).sample(200, SHAPE, seeded())
    sizes = 1 / torch.diagonal(parameters.matrix, dim1=1, dim2=2)
    assert sizes.min() >= 1 - 1e-6
    assert sizes.max() <= 1.2 + 1e-6
    assert sizes.max() - sizes.min() > 0.18
    assert AugmentSettings(scale=(1.0, 1.2)).largest_scale == 1.0
    assert AugmentSettings(scale=(0.5, 1.2)).largest_scale == 2.0
    with pytest.raises(ValueError, match="smaller size comes first"):
        AugmentSettings(scale=(1.2, 1.0))


def test_control_points_span_the_patch_and_move_uniformly() -> None:
    tool = augmenter((1.0, 1.0, 4.0), elastic=4.0, elastic_points=5, elastic_draw="uniform", elastic_chance=1.0)
    control = tool.sample(50, (101, 81, 33), seeded()).control
    assert control is not None
    assert control.shape == (50, 3, 5, 5, 5)
    assert 3.99 < control.abs().max() <= 4.0
    assert float(control.std()) == pytest.approx(4 / 3**0.5, rel=0.02)


def test_channels_are_dropped_by_chance_and_one_always_stays() -> None:
    tool = Augmenter(AugmentSettings.model_validate({**OFF, "channel_dropout": 0.6}), (1, 1, 1), channels=3)
    drawn = tool.sample(2000, SHAPE, seeded(1))
    assert drawn.kept is not None
    assert drawn.kept.any(1).all()
    lost = 1 - drawn.kept.float().mean().item()
    assert abs(lost - (0.6 - 0.6**3 / 3)) < 0.02  # one of three is given back where all would go
    assert tool.none(4, SHAPE).kept is None
    assert augmenter(channel_dropout=0.6).sample(4, SHAPE, seeded()).kept is None  # a single channel stays


def test_a_lost_channel_is_zero_and_the_others_are_as_without_dropout() -> None:
    changes = {**OFF, "noise_chance": 1.0, "intensity_chance": 1.0}
    image = torch.randn(8, 4, *SIZE, generator=seeded(3))
    image[0, 1] = 0  # missing in the case itself
    plain = Augmenter(AugmentSettings.model_validate(changes), (1, 1, 1), channels=2)
    tool = Augmenter(AugmentSettings.model_validate({**changes, "channel_dropout": 0.5}), (1, 1, 1), channels=2)
    drawn = tool.sample(8, SIZE, seeded(2))
    assert drawn.kept is not None
    found, _ = tool.apply(image, None, drawn, SIZE)
    expected, _ = plain.apply(image, None, plain.sample(8, SIZE, seeded(2)), SIZE)
    stays = drawn.kept.repeat_interleave(2, 1)  # two neighboring slices of each of two channels
    stays[0, 1] = False
    assert 0 < stays.float().mean() < 1
    assert torch.equal(found[stays], expected[stays])
    assert not found[~stays].any()
    assert AugmentParameters.from_dict(drawn.to_dict()).kept.tolist() == drawn.kept.tolist()  # type: ignore[union-attr]
