"""Every stress does what its level says, keeps image and truth together, and is the same again."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.evaluation import dice_score
from voxloom.evaluation.stress import STRESSES, stresses_named, thick_axis
from voxloom.volume import Volume


def scan(shape=(24, 20, 12), spacing=(1.0, 1.0, 2.5)) -> tuple[Volume, Volume]:
    """A bright box that is off the middle in a dim, textured volume, and its mask."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (-10, 5, 30)
    label = np.zeros(shape, np.uint8)
    label[tuple(slice(n // 5, n // 2 + 1) if n > 1 else slice(0, 1) for n in shape)] = 1
    image = 20 + 80.0 * label + np.random.default_rng(0).normal(0, 1, shape)
    return Volume(image.astype(np.float32)[None], affine), Volume(label[None], affine)


def apply(name: str, level, shape=(24, 20, 12), spacing=(1.0, 1.0, 2.5)):
    image, truth = scan(shape, spacing)
    return image, truth, STRESSES[name].apply(image, truth, level, np.random.default_rng(3))


def threshold(image: Volume) -> Volume:
    """A model that knows the box by its brightness."""
    return image.with_data((image.data > 60).astype(np.uint8))


@pytest.mark.parametrize("shape", [(24, 20, 12), (24, 20, 1)])
@pytest.mark.parametrize("name", STRESSES)
def test_truth_follows_the_image(name: str, shape) -> None:
    """A model that is right about the content stays right, at the mildest level, once its answer is taken back."""
    stress = STRESSES[name]
    image, _, found = apply(name, stress.levels[0], shape)
    prediction = found.restore(threshold(found.image))
    assert prediction.same_grid(found.truth)
    assert found.truth.data.dtype == np.uint8
    score = dice_score(prediction.data[0] == 1, found.truth.data[0] == 1)
    assert score > (0.8 if name in ("resolution", "slices", "blur") else 0.9)
    again = stress.apply(*scan(shape), stress.levels[0], np.random.default_rng(3))
    assert (again.image.data == found.image.data).all()
    assert (image.data == scan(shape)[0].data).all()  # the scan itself is left alone


@pytest.mark.parametrize("name", [n for n in STRESSES if n not in ("orientation", "contrast")])
def test_levels_are_graded(name: str) -> None:
    """Each level is further from the scan than the one before, in what the stress changes."""
    sizes = []
    for level in STRESSES[name].levels:
        image, _, found = apply(name, level)
        same = found.image.data.shape == image.data.shape
        sizes.append(float(np.abs(found.image.data - image.data).mean()) if same else -found.image.data.size)
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == len(sizes)


def test_noise_and_bias_have_the_asked_size() -> None:
    image, _, noisy = apply("noise", 0.5)
    assert (noisy.image.data - image.data).std() == pytest.approx(0.5 * image.data.std(), rel=0.05)
    image, _, shaded = apply("bias", 1.0)
    floor = image.data.min()
    factor = (shaded.image.data - floor + 1e-6) / (image.data - floor + 1e-6)
    bright = image.data - floor > 5
    assert factor[bright].max() <= 2.001
    assert factor[bright].min() >= 0.499
    assert factor[bright].max() / factor[bright].min() > 2


def test_coarser_grids_cover_the_same_space() -> None:
    for name, level, spacing in (("resolution", 2.0, (2.0, 2.0, 2.5)), ("slices", 3.0, (1.0, 1.0, 7.5))):
        image, _, found = apply(name, level)
        assert found.image.spacing == pytest.approx(spacing)
        for grid in (image, found.image):  # outer faces of the first and last voxel
            ends = grid.affine @ np.array([[-0.5] * 3 + [1], [n - 0.5 for n in grid.shape] + [1]]).T
            assert ends[:3, 0] == pytest.approx([-10.5, 4.5, 28.75])
            assert ends[:3, 1] == pytest.approx([13.5, 24.5, 58.75])


def test_rotation_turns_millimetres_not_voxels() -> None:
    """On voxels of 1 x 2 mm a disc stays a disc."""
    grid = np.indices((41, 21, 3)).astype(float)
    disc = np.hypot(grid[0] - 20, 2 * (grid[1] - 10)) <= 12
    affine = np.diag([1.0, 2.0, 5.0, 1.0])
    image, truth = Volume(disc[None].astype(np.float32), affine), Volume(disc[None].astype(np.uint8), affine)
    found = STRESSES["rotation"].apply(image, truth, 45.0, np.random.default_rng(0))
    assert dice_score(found.truth.data[0] == 1, disc) > 0.95
    assert (found.truth.data[0, 20] != disc[20]).sum() <= 12


def test_orientation_mirrors_one_anatomical_axis_whatever_the_storage_order() -> None:
    image, truth = scan()
    turned = Volume(image.data.transpose(0, 3, 1, 2), image.affine[:, [2, 0, 1, 3]])
    label = Volume(truth.data.transpose(0, 3, 1, 2), turned.affine)
    found = STRESSES["orientation"].apply(turned, label, "left-right", np.random.default_rng(0))
    assert (found.image.data == np.flip(turned.data, 2)).all()  # x is the second voxel axis here
    assert found.image.same_grid(turned)


def test_crop_keeps_places() -> None:
    image, truth, found = apply("crop", 0.1)
    assert found.image.shape == (20, 16, 10)
    assert (found.image.affine @ [0, 0, 0, 1])[:3] == pytest.approx((image.affine @ [2, 2, 1, 1])[:3])
    assert (found.truth.data == truth.data[:, 2:-2, 2:-2, 1:-1]).all()


@pytest.mark.parametrize(
    ("shape", "spacing", "axis"), [((9, 9, 9), (1, 1, 1), 2), ((9, 9, 9), (3, 1, 1), 0), ((9, 1, 9), (1, 1, 4), 1)]
)
def test_slices_lie_across_the_coarsest_axis(shape, spacing, axis) -> None:
    assert thick_axis(scan(shape, spacing)[0]) == axis


def test_names() -> None:
    assert [s.name for s in stresses_named("blur, noise")] == ["blur", "noise"]
    assert len(stresses_named(None)) == 10
    with pytest.raises(BadInput, match="Did you mean rotation"):
        stresses_named("rotate")


def test_contrast_moves_brightness_along_its_curve_and_nothing_else() -> None:
    ramp = np.linspace(100, 300, 8000).reshape(1, 20, 20, 20)
    image = Volume(np.concatenate([ramp, 10 * ramp]), np.eye(4))
    truth = Volume((ramp > 200).astype(np.uint8), np.eye(4))
    found = {
        level: STRESSES["contrast"].apply(image, truth, level, np.random.default_rng(0))
        for level in STRESSES["contrast"].levels
    }
    assert all(f.truth is truth and f.image.same_grid(image) for f in found.values())
    dark, middle, bright = ((0, 1, 0, 0), (0, 10, 0, 0), (0, 19, 14, 0))
    for level, expected in {
        "inverted": (290, 200, 103), "gamma 2": (101, 150, 295), "gamma 0.5": (143, 241, 298), "T1-like": (117, 269, 164),
        "fat-suppressed": (115, 144, 295),
    }.items():  # fmt: skip
        data = found[level].image.data
        for at, value in zip((dark, middle, bright), expected, strict=True):
            assert float(data[at]) == pytest.approx(value, abs=3), level
        assert np.allclose(data[1], 10 * data[0], rtol=1e-4)
