"""Normalization by hand: constants, NaN, windows, masks."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from voxloom.errors import BadInput
from voxloom.prepare import ChannelStatistics, PrepareSettings, Statistics
from voxloom.prepare.intensity import mean_and_sd, normalize_channels

RNG = np.random.default_rng(0)


def prepared(data: np.ndarray, statistics: Statistics | None = None, **chosen: object) -> np.ndarray:
    return normalize_channels(data, PrepareSettings(**chosen), statistics)


def test_zscore_has_mean_0_and_sd_1() -> None:
    for seed in range(8):  # means at several distances from the next value that float32 holds
        data = np.random.default_rng(seed).normal(1.7e6, 3, (1, 20, 20, 20)).astype(np.float32)
        result = prepared(data)
        assert abs(result.mean(dtype=np.float64)) < 1e-3
        assert abs(result.std() - 1) < 1e-3
        assert result.dtype == np.float32


@pytest.mark.parametrize("method", ["zscore", "zscore_nonzero", "minmax"])
@pytest.mark.parametrize("value", [0, 7, -1000, 1_700_000])
def test_a_constant_volume_becomes_0(method: str, value: int) -> None:
    result = prepared(np.full((1, 4, 5, 6), value, np.int32), normalize=method)
    assert (result == 0).all()


def test_nonzero_leaves_zeros() -> None:
    data = np.array([0, 0, 2, 4, 6.0]).reshape(1, 5, 1, 1)
    expected = [0, 0, -(1.5**0.5), 0, 1.5**0.5]
    np.testing.assert_allclose(prepared(data, normalize="zscore_nonzero").ravel(), expected, atol=1e-6)


def test_minmax_and_window() -> None:
    data = np.array([-2000, -100, 0, 100, 3000], np.int16).reshape(1, 5, 1, 1)
    np.testing.assert_allclose(prepared(data, normalize="minmax").ravel()[[0, 4]], [0, 1])
    window = prepared(data, normalize="minmax", hu_window=(-100, 300)).ravel()
    np.testing.assert_allclose(window, [0, 0, 0.25, 0.5, 1], atol=1e-6)
    low = prepared(np.full((1, 2, 2, 2), -100), normalize="minmax", hu_window=(-100, 300))
    assert (low == 0).all()


def test_percentile_clip_agrees_with_numpy() -> None:
    data = RNG.normal(size=(1, 11, 12, 13)).astype(np.float32)
    lo, hi = np.percentile(data, (5, 95))
    np.testing.assert_allclose(
        prepared(data, normalize="none", percentile_clip=(5, 95)),
        data.clip(lo, hi),
        atol=1e-6,
    )


def test_ct_and_mask_use_the_training_statistics() -> None:
    learned = Statistics((ChannelStatistics(100, 50, 0, 200),))
    data = np.array([-1000, 100, 900], np.int16).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(prepared(data, learned, normalize="ct").ravel(), [-2, 0, 2])
    np.testing.assert_allclose(
        prepared(data, learned, normalize="zscore_mask").ravel(),
        [-22, 0, 16],
        rtol=1e-6,
    )
    with pytest.raises(BadInput, match="need the training statistics"):
        prepared(data, normalize="ct")


def test_channels_have_their_own_method() -> None:
    data = np.arange(16).reshape(2, 2, 2, 2)
    result = prepared(data, normalize=("minmax", "none"))
    assert result[0].max() == 1
    np.testing.assert_array_equal(result[1], data[1])
    with pytest.raises(BadInput, match="1 normalizations for 2 channels"):
        prepared(data, normalize=("minmax",))


def test_nan_and_infinite_voxels_take_the_smallest_value() -> None:
    data = np.array([np.nan, np.inf, -np.inf, 3, 5], np.float32).reshape(1, 5, 1, 1)
    np.testing.assert_array_equal(prepared(data, normalize="none").ravel(), [3, 3, 3, 3, 5])
    assert (prepared(np.full((1, 2, 2, 2), np.nan)) == 0).all()


def test_integers_keep_their_sign() -> None:
    data = np.array([0, 250], np.uint8).reshape(1, 2, 1, 1)
    np.testing.assert_allclose(prepared(data).ravel(), [-1, 1])


def test_mean_and_sd_of_many_voxels() -> None:
    values = RNG.normal(5, 2, 3_000_001).astype(np.float32)
    exact = values.astype(np.float64)
    np.testing.assert_allclose(mean_and_sd(values), (exact.mean(), exact.std()), rtol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"orientation": "RAR"},
        {"spacing": (1, 0, 1)},
        {"hu_window": (5, 5)},
        {"percentile_clip": (1, 101)},
        {"spacng": None},
    ],
)
def test_settings_refuse_what_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PrepareSettings(**wrong)


def test_statistics_travel_as_json() -> None:
    learned = Statistics((ChannelStatistics(1.5, 2, -3, 4), ChannelStatistics(0, 1, 0, 1)))
    assert Statistics.from_dict(learned.to_dict()) == learned
    with pytest.raises(BadInput):
        Statistics.from_dict({"channels": [{"mean": 1}]})


def test_named_windows_are_their_numbers() -> None:
    data = RNG.normal(-300, 600, (1, 12, 12, 12)).astype(np.float32)
    for name, window in (("organ", (-160, 240)), ("bone", (-500, 1300)), ("lung", (-1350, 150))):
        np.testing.assert_array_equal(
            prepared(data, normalize="minmax", hu_window=name), prepared(data, normalize="minmax", hu_window=window)
        )
    organ = prepared(data, normalize="none", percentile_clip="organ")
    np.testing.assert_allclose([organ.min(), organ.max()], np.percentile(data, (60, 99)), rtol=1e-5)
    with pytest.raises(ValidationError, match="organ"):
        PrepareSettings(hu_window="liver")


def test_minmax_cancels_a_zscore_before_it() -> None:
    """Paper A's z-score inside the label mask, then min-max per volume: the second undoes the first."""
    data = RNG.normal(300, 40, (1, 6, 6, 6)).astype(np.float32)
    learned = Statistics((ChannelStatistics(280, 35, 0, 0),))
    after = prepared(prepared(data, learned, normalize="zscore_mask"), normalize="minmax")
    np.testing.assert_allclose(prepared(data, normalize="minmax"), after, atol=1e-5)
