"""Every patch is changed in the millimetres of its own grid; one size for all axes; noise of a fixed strength."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from voxloom.augment import Augmenter, AugmentParameters, AugmentSettings
from voxloom.augment.spatial import offsets_of

OFF = AugmentSettings().off().model_dump()
#: A square around a knee, 120 mm wide: 36 thick slices of 224 pixels, as `resize_to` makes them; and an even grid.
KNEE, EVEN = (0.536, 0.536, 3.4), (1.0, 1.0, 1.0)


def augmenter(**changes: object) -> Augmenter:
    return Augmenter(AugmentSettings.model_validate({**OFF, **changes}), EVEN)


def drawn(settings: dict[str, object], grids: list[tuple[float, float, float]], shape=(56, 56, 36), seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    return augmenter(**settings).sample(len(grids), shape, generator, torch.tensor(grids))


def test_a_turn_by_an_angle_is_one_on_thick_slices() -> None:
    """A rod of 60 mm along j is turned about i; its angle in millimetres is the one that was drawn, on either grid."""
    shape = (3, 121, 41)
    for grid in ((1.0, 1.0, 4.0), (1.0, 1.0, 1.0)):
        p = drawn({"rotation": (20, 0, 0), "rotation_chance": 1.0}, [grid], shape, seed=3)
        angle = math.degrees(math.acos(float(p.matrix[0, 1, 1])))
        assert 8 < angle < 20
        image = torch.zeros(1, 1, *shape)
        image[0, 0, :, 30:91, 20] = 1
        moved, _ = augmenter().apply(image, None, p, shape)
        at = torch.nonzero(moved[0, 0, 1] > 0.3).float() * torch.tensor(grid[1:])
        spread = at - at.mean(0)
        axis = torch.linalg.eigh(spread.T @ spread)[1][:, -1]
        assert math.degrees(math.atan(abs(float(axis[1] / axis[0])))) == pytest.approx(angle, abs=1.5)


def test_a_turned_knee_stays_in_view() -> None:
    """36 slices taken for millimetres are a thin plate, which a turn by 20 degrees takes out of view; in mm they are a cube."""
    shape, turn = (56, 56, 36), math.radians(20)
    tilted = torch.tensor([[[1, 0, 0], [0, math.cos(turn), -math.sin(turn)], [0, math.sin(turn), math.cos(turn)]]])
    share = {}
    for grid in (KNEE, EVEN):
        wide = (grid[0] * 224 / 56, grid[1] * 224 / 56, grid[2])
        half = torch.tensor(shape) * torch.tensor(wide) / 2
        offsets = offsets_of(tilted, torch.zeros(1, 3), wide, shape)
        share[grid] = float((offsets.abs() <= half.view(1, 3, 1, 1, 1)).all(1).float().mean())
    assert share[KNEE] > 0.8
    assert share[EVEN] < 0.6


def test_patches_of_one_batch_are_changed_on_their_own_grids() -> None:
    settings = {
        "rotation": (20, 20, 20), "rotation_chance": 1.0, "shift": (9, 9, 9), "shift_chance": 1.0, "elastic": 3.0,
        "elastic_chance": 1.0, "anisotropy_chance": 1.0, "motion_chance": 1.0,
    }  # fmt: skip
    grids, shape = [(2.0, 2.0, 2.0), (0.7, 0.7, 4.0)], (16, 16, 12)
    image, label = torch.rand(2, 1, *shape), torch.randint(0, 3, (2, *shape))
    together = drawn(settings, grids, shape)
    mixed, mixed_label = augmenter(**settings).apply(image, label, together, shape)
    for n, grid in enumerate(grids):
        alone = Augmenter(augmenter(**settings).settings, grid)
        own = AugmentParameters(**{**together.__dict__, "spacing": None})
        seen, truth = alone.apply(image, label, own, shape)
        torch.testing.assert_close(seen[n], mixed[n], atol=2e-4, rtol=0)
        assert float((truth[n] != mixed_label[n]).float().mean()) < 0.01  # type: ignore[index]
    assert not torch.allclose(
        mixed[0], Augmenter(augmenter(**settings).settings, grids[1]).apply(image, label, own, shape)[0][0]
    )


def test_parameters_with_their_grids_survive_json() -> None:
    import json

    p = drawn({"elastic_chance": 1.0}, [KNEE, EVEN])
    again = AugmentParameters.from_dict(json.loads(json.dumps(p.to_dict())))
    assert torch.equal(again.spacing, p.spacing)  # type: ignore[arg-type]
    assert (
        augmenter().sample(2, (8, 8, 8), torch.Generator()).spacing is None
    )  # the grid of the one who carries them out
    older = {key: value for key, value in p.to_dict().items() if key != "spacing"}
    assert AugmentParameters.from_dict(older).spacing is None


def test_control_points_span_the_patch_in_its_own_millimetres() -> None:
    p = drawn({"elastic": 50.0, "elastic_chance": 1.0, "elastic_points": 5, "elastic_draw": "uniform"}, [KNEE, EVEN])
    assert p.control is not None
    most = p.control.abs().amax((2, 3, 4))
    limits = torch.tensor([[55 * 0.536, 55 * 0.536, 35 * 3.4], [55.0, 55.0, 35.0]]) / 4 * 0.4
    assert (most <= limits.clamp(max=50) + 1e-4).all()
    assert (most > 0.8 * limits.clamp(max=50)).all()


def sizes(**changes: object) -> torch.Tensor:
    """(400, 3) by how much objects are enlarged along i, j, k."""
    p = augmenter(scale_chance=1.0, **changes).sample(400, (8, 8, 8), torch.Generator().manual_seed(0))
    return 1 / p.matrix.diagonal(dim1=1, dim2=2)


def test_one_size_is_drawn_for_all_axes_unless_they_are_scaled_apart() -> None:
    together, apart = sizes(scale=0.3), sizes(scale=0.3, scale_axes="apart")
    assert torch.allclose(together, together[:, :1].expand(-1, 3))
    assert (apart[:, 0] - apart[:, 1]).abs().mean() > 0.1
    for found in (together, apart):
        assert 1 / 1.3 - 1e-4 <= float(found.min()) < 0.8
        assert 1.25 < float(found.max()) <= 1.3 + 1e-4


@pytest.mark.parametrize("recipe", ["skull-strip-2d", "skull-strip-3d", "cervical-cancer"])
def test_recipes_of_texts_that_enlarge_only_never_shrink(recipe: str) -> None:
    from voxloom.recipe.recipe import Recipe

    found = sizes(scale=Recipe.load(recipe).augment["scale"])
    assert float(found.min()) >= 1 - 1e-5
    assert float(found.max()) > 1.04


def test_noise_of_a_fixed_strength() -> None:
    generator = torch.Generator().manual_seed(0)
    fixed = augmenter(noise=(0.25, 0.25), noise_chance=1.0).sample(50, (8, 8, 8), generator)
    assert torch.allclose(fixed.noise_sd, torch.tensor(0.25))
    drawn_ = augmenter(noise=0.25, noise_chance=1.0).sample(200, (8, 8, 8), generator)
    assert float(drawn_.noise_sd.min()) < 0.02
    with pytest.raises(ValidationError, match="smaller deviation comes first"):
        AugmentSettings(noise=(0.3, 0.2))
