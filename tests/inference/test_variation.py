"""Views of a scan: what they show, that probabilities come back to their places, and their weighted mean."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from voxloom.augment import AugmentSettings
from voxloom.inference.band import Slab
from voxloom.inference.looks import mean_of_views
from voxloom.inference.variation import Variation, drawn, mirrored, moved

SPACING = (1.0, 1.5, 2.0)
SIZE = (26, 22, 14)
STILL = {"elastic_chance": 0.0, "rotation_chance": 0.0, "scale_chance": 0.0}
MOVING = AugmentSettings(
    rotation=(15, 15, 15), rotation_chance=1, scale=0.1, scale_chance=1, shift=(2, 2, 2), shift_chance=1
)


def ball(center: tuple[float, ...] = (15, 9, 6)) -> np.ndarray:
    """A smooth ball (1, I, J, K), 1 in its middle."""
    grid = np.meshgrid(*(np.arange(n) for n in SIZE), indexing="ij")
    far = sum(((g - c) * mm) ** 2 for g, c, mm in zip(grid, center, SPACING, strict=True))
    return np.exp(-far / 60).astype(np.float32)[None]


def only_moving() -> AugmentSettings:
    """Rotation, scale and shift alone."""
    off = AugmentSettings().off()
    keys = ("rotation", "rotation_chance", "scale", "scale_chance", "shift", "shift_chance")
    return off.model_copy(update={key: getattr(MOVING, key) for key in keys})


@pytest.mark.parametrize("number", range(4))
def test_what_moved_comes_back_to_its_place(number: int) -> None:
    look = drawn(only_moving(), 4, 0, flat=False)[number]
    assert look.moves
    image = ball()
    changed = look.image(image, SPACING)
    assert changed.shape[1:] == look.size(SIZE, SPACING)
    more = [(n - m) // 2 for n, m in zip(changed.shape[1:], SIZE, strict=True)]
    middle = changed[0][tuple(slice(m, m + n) for m, n in zip(more, SIZE, strict=True))]
    assert np.abs(middle - image[0]).max() > 0.1
    (found,) = look.brought_back(changed.astype(np.float16), SIZE, SPACING)
    inner = (slice(4, -4), slice(4, -4), slice(3, -3))
    assert np.abs(found - image[0])[inner].max() < 0.08
    assert np.abs(found - image[0])[inner].max() < np.abs(middle - image[0])[inner].max() / 2
    (everywhere,) = look.brought_back(np.ones((1, *changed.shape[1:]), np.float16), SIZE, SPACING)
    assert everywhere == pytest.approx(1, abs=1e-4), "the changed image shows every place of the scan"


def test_a_shift_is_exact_and_loses_nothing() -> None:
    look = shifted()
    assert look.size(SIZE, SPACING) == (SIZE[0] + 12, *SIZE[1:])
    changed = look.image(ball(), SPACING)
    np.testing.assert_allclose(changed[0, 1:27], ball()[0], atol=1e-5)
    (found,) = look.brought_back(changed.astype(np.float16), SIZE, SPACING)
    np.testing.assert_allclose(found, ball()[0], atol=2e-3)


def shifted() -> Variation:
    """The scan 5 mm further along i, and nothing else."""
    draw = drawn(only_moving(), 1, 0, flat=False)[0].drawn
    assert draw is not None
    draw.matrix[0], draw.shift[0] = torch.eye(3), torch.tensor([5.0, 0.0, 0.0])
    return Variation(drawn=draw)


def test_blocks_of_planes_are_read_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = drawn(only_moving(), 1, 3, flat=False)[0].drawn
    assert draw is not None
    image = torch.from_numpy(ball())
    whole = moved(image, draw.matrix[0], draw.shift[0], SPACING, SIZE)
    monkeypatch.setattr("voxloom.inference.variation._BLOCK", 1)
    torch.testing.assert_close(moved(image, draw.matrix[0], draw.shift[0], SPACING, SIZE), whole, atol=1e-4, rtol=1e-4)


def test_slices_stay_slices() -> None:
    look = drawn(only_moving(), 1, 1, flat=True)[0]
    image = np.zeros((1, *SIZE), np.float32)
    image[..., 5] = ball()[..., 6]
    changed = look.image(image, SPACING)
    assert np.abs(changed[..., 5]).max() > 0.5
    changed[..., 5] = 0
    assert np.abs(changed).max() < 1e-4


def test_draws_repeat_change_something_and_are_those_of_training() -> None:
    settings = AugmentSettings(gamma_chance=0.3, **STILL).model_copy(update={"noise_chance": 0.0})
    views, again, other = (drawn(settings, 4, seed, flat=False) for seed in (0, 0, 1))
    assert [v.name for v in views] == [v.name for v in again]
    assert [v.name for v in views] != [v.name for v in other]
    assert all(v.name != "as is" and "rotation" not in v.name and "noise" not in v.name for v in views)
    assert not any(v.moves for v in views)
    assert np.array_equal(views[0].image(ball(), SPACING), again[0].image(ball(), SPACING))
    assert drawn(AugmentSettings().off(), 4, 0, flat=False) == []
    assert drawn(AugmentSettings(elastic_chance=1).off(), 4, 0, flat=False) == []
    assert all("mirror" not in v.name for v in drawn(AugmentSettings(mirror=(0, 1, 2)), 4, 0, flat=False))


def test_names() -> None:
    assert [v.name for v in mirrored((0, 2))] == ["as is", "mirror i", "mirror k", "mirror ik"]
    assert "rotation" in drawn(only_moving(), 1, 0, flat=False)[0].name
    assert "size" in drawn(only_moving(), 1, 0, flat=False)[0].name


def test_the_mean_is_weighted() -> None:
    views = (Variation(weight=1.0), dataclasses.replace(shifted(), weight=3.0))

    def predict(view: Variation) -> list[Slab]:
        value = 0.8 if view.drawn is None else 0.4
        maps = np.full((2, *view.size(SIZE, SPACING)), value, np.float32)
        return [Slab(2, 0, maps[..., :6]), Slab(2, 6, maps[..., 6:])]

    slabs = list(mean_of_views(views, predict, SIZE, SPACING))
    mean = np.concatenate([slab.values for slab in slabs], axis=1)
    assert mean.shape == (2, *SIZE)
    assert mean == pytest.approx(0.5, abs=1e-3)
    alone = next(mean_of_views(views[1:], predict, SIZE, SPACING))
    assert alone.values == pytest.approx(0.4, abs=1e-3)
    read = next(mean_of_views(views, predict, SIZE, SPACING, lambda maps: maps.sum(0, keepdim=True)))
    assert read.values == pytest.approx(1.0, abs=2e-3)
