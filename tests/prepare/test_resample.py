"""Resampling against SciPy, SimpleITK and Pillow-like averages, and labels against the definition."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from voxloom.prepare import PrepareSettings, prepare_image
from voxloom.prepare.resample import (
    apply_taps,
    average_taps,
    cubic_taps,
    image_taps,
    linear_taps,
    resample_labels,
)
from voxloom.volume import Volume

RNG = np.random.default_rng(3)
SHAPE = (13, 17, 9)


def grid(shape: tuple[int, ...], out: tuple[int, ...]) -> list[np.ndarray]:
    """Centered positions of ``out`` voxels over ``shape`` voxels."""
    return [(np.arange(m) - (m - 1) / 2) * n / m + (n - 1) / 2 for n, m in zip(shape, out, strict=True)]


@pytest.mark.parametrize(("taps", "order", "mode"), [(linear_taps, 1, "nearest"), (cubic_taps, 3, "mirror")])
def test_interpolation_agrees_with_scipy(taps, order: int, mode: str) -> None:
    data = RNG.normal(size=SHAPE).astype(np.float32)
    at = [np.clip(a, 0, n - 1) for a, n in zip(grid(SHAPE, (20, 31, 14)), SHAPE, strict=True)]
    expected = map_coordinates(data, np.meshgrid(*at, indexing="ij"), order=order, mode=mode)
    np.testing.assert_allclose(
        apply_taps(data, [taps(a, n) for a, n in zip(at, SHAPE, strict=True)]),
        expected,
        atol=2e-5,
    )


@pytest.mark.parametrize("spacing", [(0.7, 0.6, 1.1), (1.0, 0.5, 2.0), (0.9, 1.0, 0.4)])
def test_upsampling_agrees_with_simpleitk(spacing: tuple[float, float, float]) -> None:
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[:3, 3] = (5, -7, 11)
    source = Volume(RNG.normal(size=(1, *SHAPE)).astype(np.float32), affine)
    prepared, geometry = prepare_image(source, PrepareSettings(spacing=spacing, normalize="none"))
    image = sitk.GetImageFromArray(source.data[0].T)
    image.SetSpacing((1.0, 1.0, 2.0))
    image.SetOrigin((5.0, -7.0, 11.0))
    resample = sitk.ResampleImageFilter()
    resample.SetInterpolator(sitk.sitkLinear)
    resample.UseNearestNeighborExtrapolatorOn()
    resample.SetSize(geometry.shape)
    resample.SetOutputSpacing(geometry.spacing)
    resample.SetOutputOrigin(tuple(geometry.affine[:3, 3]))
    expected = sitk.GetArrayFromImage(resample.Execute(image)).T
    inside = tuple(slice(2, -2) for _ in range(3))
    np.testing.assert_allclose(prepared[0][inside], expected[inside], atol=1e-4)


def test_halving_averages_by_hand() -> None:
    taps = average_taps(np.array([0.5, 2.5, 4.5]), 6, 2.0)
    line = np.array([0.0, 0, 0, 8, 0, 0], np.float32)
    np.testing.assert_allclose((line[taps.index] * taps.weight).sum(1), [0, 3.0, 8 / 7], atol=1e-6)


def test_averaging_agrees_with_pillow() -> None:
    from PIL import Image

    picture = RNG.normal(size=(40, 30)).astype(np.float32)
    expected = np.asarray(Image.fromarray(picture).resize((12, 16), Image.Resampling.BILINEAR))
    source = Volume(picture[None, :, :, None], np.eye(4))
    prepared, _ = prepare_image(source, PrepareSettings(spacing=(40 / 16, 30 / 12, 1), normalize="none"))
    np.testing.assert_allclose(prepared[0, :, :, 0], expected, atol=1e-5)


def test_averaging_quiets_noise_and_keeps_constants() -> None:
    noise = Volume(RNG.normal(size=(1, 40, 40, 40)).astype(np.float32), np.eye(4))
    prepared, _ = prepare_image(noise, PrepareSettings(spacing=(3, 3, 3), normalize="none"))
    assert prepared.std() < 0.25
    same, _ = prepare_image(
        noise.with_data(np.full((1, 40, 40, 40), 7)),
        PrepareSettings(spacing=(3, 2, 1), normalize="none"),
    )
    np.testing.assert_allclose(same, 7, rtol=1e-6)


def test_a_linear_ramp_stays_a_ramp_in_millimetres() -> None:
    affine = np.diag([0.8, 1.3, 4.0, 1.0])
    affine[:3, 3] = (-30, 12, 5)
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    source = Volume((world @ [1.0, -2.0, 0.5])[None], affine)
    for order in ("linear", "cubic"):
        chosen = PrepareSettings(spacing=(0.5, 1.0, 2.0), normalize="none", image_order=order)
        prepared, geometry = prepare_image(source, chosen)
        index = np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), -1)
        expected = (index @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]) @ [
            1.0,
            -2.0,
            0.5,
        ]
        inside = tuple(slice(n // 4, -(n // 4)) for n in geometry.shape)
        np.testing.assert_allclose(
            prepared[0][inside],
            expected[inside],
            atol=0.2 if order == "cubic" else 1e-4,
        )


def test_thick_axis_of_cubic_is_linear() -> None:
    at = np.array([0.25, 1.5])
    assert image_taps(at, 9, 0.5, "cubic").index.shape == (2, 4)
    data = np.zeros((1, 9, 9, 9), np.float32)
    data[0, :, :, 4] = 1
    thick = Volume(data, np.diag([1.0, 1.0, 5.0, 1.0]))
    prepared, _ = prepare_image(thick, PrepareSettings(spacing=(1, 1, 1), normalize="none", image_order="cubic"))
    assert prepared.min() >= -1e-5  # a cubic thick axis would swing below 0


def definition(inner: np.ndarray, at: list[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of every label by SciPy; the winner, and by how much it leads."""
    where = np.meshgrid(
        *[np.clip(a, 0, n - 1) for a, n in zip(at, inner.shape, strict=True)],
        indexing="ij",
    )
    shares = np.stack(
        [map_coordinates((inner == n).astype(np.float64), where, order=1, mode="nearest") for n in range(count)]
    )
    ranked = np.sort(shares, axis=0)
    return shares.argmax(0), ranked[-1] - ranked[-2]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.tuples(*[st.integers(2, 20)] * 3))
def test_labels_agree_with_the_definition(seed: int, count: int, out: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(seed)
    inner = rng.integers(0, count + 1, SHAPE).astype(np.uint8)
    inner[rng.random(SHAPE) < 0.4] = 0
    at = grid(SHAPE, out)
    result = resample_labels(inner, [linear_taps(a, n) for a, n in zip(at, SHAPE, strict=True)])
    expected, lead = definition(inner, at, count + 1)
    assert result.dtype == np.uint8
    assert set(np.unique(result)) <= set(np.unique(inner))
    np.testing.assert_array_equal(result[lead > 1e-4], expected[lead > 1e-4])


def test_label_ties_go_to_the_background_then_the_smaller_index() -> None:
    half = [
        linear_taps(np.array([0.5]), 2),
        linear_taps(np.array([0.0]), 1),
        linear_taps(np.array([0.0]), 1),
    ]
    assert resample_labels(np.array([0, 3], np.uint8).reshape(2, 1, 1), half).item() == 0
    assert resample_labels(np.array([5, 3], np.uint8).reshape(2, 1, 1), half).item() == 3


def test_sparse_and_wide_label_indices() -> None:
    inner = np.zeros((8, 8, 8), np.uint16)
    inner[1:7, 1:7, 1:7] = 700
    up = [linear_taps(a, 8) for a in grid((8, 8, 8), (16, 16, 16))]
    result = resample_labels(inner, up)
    assert result.dtype == np.uint16
    expected = np.zeros((16, 16, 16), np.uint16)
    expected[2:14, 2:14, 2:14] = 700
    corners = np.ix_([2, 13], [2, 13], [2, 13])
    assert (result[corners] == 0).all()  # 0.75 ** 3 of the share: the background leads
    expected[corners] = 0
    assert (result != expected).sum() == 0
