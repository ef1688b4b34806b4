"""The way there and back: flips, cuts, padding and slabs on random grids."""

from __future__ import annotations

import itertools
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import aff2axcodes

from voxloom.errors import BadInput
from voxloom.prepare import Geometry, PrepareSettings, plan, prepare_image
from voxloom.volume import Volume


def random_affine(rng: np.random.Generator) -> np.ndarray:
    """Oblique, anisotropic, permuted, left- or right-handed."""
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(rng.uniform(0.4, 5, 3) * rng.choice([-1, 1], 3))
    affine[:3, 3] = rng.uniform(-200, 200, 3)
    return affine


def world(affine: np.ndarray, index: np.ndarray) -> np.ndarray:
    return index @ affine[:3, :3].T + affine[:3, 3]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.tuples(*[st.integers(2, 11)] * 3),
    st.sampled_from(["RAS", "LPS", "PIR", None]),
)
def test_without_resampling_every_voxel_comes_back(seed: int, shape: tuple[int, int, int], codes: str | None) -> None:
    rng = np.random.default_rng(seed)
    source = Volume(rng.integers(0, 5, (1, *shape)).astype(np.uint8), random_affine(rng))
    chosen = PrepareSettings(orientation=codes, pad_to=(8, 8, 8), normalize="none", crop="nonzero")
    prepared, geometry = prepare_image(source, chosen)
    if codes is not None:
        assert "".join(aff2axcodes(geometry.affine)) == codes
    np.testing.assert_array_equal(geometry.restore_labels(prepared[0].astype(np.uint8)), source.data[0])
    restored = np.concatenate(list(geometry.restore_map(prepared[0], max_voxels=3 * shape[1] * shape[2])))
    np.testing.assert_array_equal(restored, source.data[0])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.tuples(*[st.integers(6, 14)] * 3))
def test_prepared_voxels_lie_where_the_affine_says(seed: int, shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(seed)
    affine = random_affine(rng)
    plane, offset = rng.normal(size=3), rng.normal()
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    source = Volume((world(affine, index) @ plane + offset)[None], affine)
    own = np.sort(source.spacing)
    spacing = tuple(float(x) for x in rng.uniform(0.4, 1.0, 3) * own[0])
    prepared, geometry = prepare_image(source, PrepareSettings(spacing=spacing, normalize="none"))
    inside = np.stack(
        np.meshgrid(*[np.arange(n // 3, n - n // 3) for n in geometry.shape], indexing="ij"),
        -1,
    )
    expected = world(geometry.affine, inside) @ plane + offset
    found = prepared[0][tuple(np.moveaxis(inside, -1, 0))]
    np.testing.assert_allclose(found, expected, atol=1e-3 * max(1, np.abs(expected).max()) / 100)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.5, 2.0), st.booleans())
def test_a_restored_map_lies_on_the_source(seed: int, factor: float, crop: bool) -> None:
    rng = np.random.default_rng(seed)
    affine = random_affine(rng)
    shape = tuple(int(n) for n in rng.integers(6, 15, 3))
    data = np.ones((1, *shape), np.float32)
    if crop:
        data[:, :2] = 0
    source = Volume(data, affine)
    spacing = tuple(float(s) * factor for s in np.array(source.spacing))
    geometry = plan(
        source,
        PrepareSettings(spacing=spacing, orientation=None, crop="nonzero", pad_to=(9, 9, 9)),
    )
    index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1)
    values = world(geometry.affine, index).astype(np.float32)
    whole = np.stack(
        [geometry.restore_slab(values[..., axis], (0, shape[0]), fill=-1e6) for axis in range(3)],
        -1,
    )
    expected = world(affine, np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1))
    at = world(np.linalg.inv(geometry.affine), expected) - geometry.pad
    inside = ((at >= 0) & (at <= np.array(geometry.resampled) - 1)).all(-1)  # beyond, the outermost voxel holds
    assert inside.any()
    np.testing.assert_allclose(whole[inside], expected[inside], atol=2e-3)
    if crop:
        assert (whole[:2] == -1e6).all()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_slabs_equal_the_whole(order: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(n * 10**i for i, n in enumerate(order)))
    affine = np.eye(4)
    affine[:3, :3] = np.diag([1.0, -1.5, 2.0])[:, order]
    source = Volume(np.zeros((1, 12, 7, 9)), affine)
    geometry = plan(source, PrepareSettings(spacing=(0.7, 1.1, 1.6)))
    values = rng.random(geometry.shape).astype(np.float16)
    whole = geometry.restore_slab(values, (0, 12))
    parts = list(geometry.restore_map(values, 2 * 63))
    assert [len(part) for part in parts] == [2] * 6
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    assert whole.dtype == np.float32


def test_slabs_read_only_their_planes() -> None:
    geometry = plan(Volume(np.zeros((1, 40, 8, 8)), np.eye(4)), PrepareSettings(spacing=(0.5, 1, 1)))
    values = np.full(geometry.shape, np.nan, np.float32)
    values[18:44] = 1
    assert (geometry.restore_slab(values, (10, 20)) == 1).all()


def test_affine_is_centered_and_has_the_target_spacing() -> None:
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    source = Volume(np.zeros((1, 10, 11, 12)), affine)
    geometry = plan(source, PrepareSettings(spacing=(1.0, 1.0, 1.0)))
    assert geometry.shape == (20, 33, 48)
    np.testing.assert_allclose(geometry.spacing, (1, 1, 1), atol=1e-9)
    middle = (np.array(geometry.shape) - 1) / 2
    np.testing.assert_allclose(
        world(geometry.affine, middle),
        world(affine, np.array([4.5, 5, 5.5])),
        atol=1e-4,
    )


def test_a_2d_image_keeps_its_axes_and_is_resampled_in_plane_only() -> None:
    sagittal = np.array([[0, 0, 3.0, 0], [0.5, 0, 0, 0], [0, -0.5, 0, 0], [0, 0, 0, 1]])
    source = Volume(np.random.default_rng(0).random((3, 20, 30, 1)), sagittal)
    prepared, geometry = prepare_image(source, PrepareSettings(spacing=(1, 1, 1), pad_to=(16, 16, 16)))
    assert prepared.shape == (3, 16, 16, 1)
    assert geometry.resampled == (10, 15, 1)
    np.testing.assert_allclose(geometry.spacing, (1, 1, 3))
    assert geometry.restore_labels(np.zeros((16, 16, 1), np.uint8)).shape == (20, 30, 1)


def test_geometry_travels_as_json_and_pickle() -> None:
    source = Volume(np.zeros((1, 5, 6, 7)), random_affine(np.random.default_rng(1)))
    geometry = plan(source, PrepareSettings(spacing=(0.7, 2, 1), pad_to=(16, 1, 1)))
    assert Geometry.from_dict(json.loads(json.dumps(geometry.to_dict()))) == geometry
    assert pickle.loads(pickle.dumps(geometry)) == geometry


def test_a_map_of_another_shape_is_refused() -> None:
    geometry = plan(Volume(np.zeros((1, 5, 6, 7)), np.eye(4)), PrepareSettings())
    with pytest.raises(BadInput, match=r"shape \(5, 6, 8\) does not fit the prepared grid \(5, 6, 7\)"):
        geometry.restore_labels(np.zeros((5, 6, 8), np.uint8))


def test_thin_label_survives_a_round_trip_through_a_finer_grid() -> None:
    rng = np.random.default_rng(5)
    inner = (rng.random((9, 10, 11)) < 0.3).astype(np.uint8) * 2
    geometry = plan(
        Volume(inner[None], np.diag([3.0, 3.0, 3.0, 1.0])),
        PrepareSettings(spacing=(1, 1, 1)),
    )
    np.testing.assert_array_equal(geometry.restore_labels(geometry.prepare_labels(inner)), inner)


def test_resize_to_leaves_an_axis_to_the_spacing():
    volume = Volume(np.zeros((1, 40, 30, 12), np.float32), np.diag([1.0, 1.0, 4.0, 1.0]))
    assert plan(volume, PrepareSettings(resize_to=(20, 20, None))).shape == (20, 20, 12)
    assert plan(volume, PrepareSettings(resize_to=(20, 20, None), spacing=(None, None, 2.0))).shape == (20, 20, 24)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.tuples(*[st.integers(2, 14)] * 3),
    st.sampled_from(["RAS", "PIR", None]),
    st.sampled_from([None, (1.3, 2.0, 0.9)]),
)
def test_every_grid_has_the_size_that_is_asked_for(
    seed: int, shape: tuple[int, int, int], codes: str | None, spacing: tuple[float, float, float] | None
) -> None:
    rng = np.random.default_rng(seed)
    source = Volume(rng.normal(5, 2, (1, *shape)).astype(np.float32), random_affine(rng))
    chosen = PrepareSettings(orientation=codes, spacing=spacing, crop_or_pad_to=(8, 6, 9), normalize="none")
    prepared, geometry = prepare_image(source, chosen)
    assert prepared.shape[1:] == geometry.shape == (8, 6, 9)
    middle = (np.array(geometry.shape) - 1) / 2
    own = (np.array(shape) - 1) / 2
    apart = np.linalg.inv(source.affine[:3, :3]) @ (world(geometry.affine, middle) - world(source.affine, own))
    assert np.abs(apart).max() <= 1.01 * max(1, *np.array(geometry.spacing) / np.array(source.spacing).min())


def test_what_is_cut_is_the_middle_comes_back_and_is_normalized_as_before() -> None:
    rng = np.random.default_rng(0)
    data = rng.normal(0, 1, (1, 10, 4, 6)).astype(np.float32)
    source = Volume(data, np.diag([2.0, 1.0, 1.0, 1.0]))
    prepared, geometry = prepare_image(source, PrepareSettings(crop_or_pad_to=(6, 8, 6), normalize="zscore"))
    expected = (data[0, 2:8] - data.mean()) / data.std()
    np.testing.assert_allclose(prepared[0, :, 2:6], expected, atol=1e-5)  # mean and SD are those of the whole volume
    assert not prepared[0, :, :2].any()
    assert not prepared[0, :, 6:].any()
    back = geometry.restore_labels(np.ones((6, 8, 6), np.uint8))
    assert back[2:8].all()
    assert not back[:2].any()  # nothing is predicted beyond
    assert not back[8:].any()
    (slab,) = geometry.restore_map(np.ones((6, 8, 6), np.float32), 10**6, fill=-1.0)
    np.testing.assert_array_equal(slab[:, 0, 0], [-1, -1, 1, 1, 1, 1, 1, 1, -1, -1])
    with pytest.raises(ValueError, match="do not go together"):
        PrepareSettings(pad_to=(8, 8, 8), crop_or_pad_to=(8, 8, 8))
