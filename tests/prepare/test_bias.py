"""N4: a known field fades, results are kept by content and settings, statistics and predictions see the same image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.prepare import Cache, PrepareSettings, measure_statistics, prepare_image
from voxloom.prepare.bias import CaseReader, correct_bias, shrink_factors
from voxloom.volume import Volume

from .test_cache import write_dataset

N4 = PrepareSettings(n4=True, n4_shrink=2, n4_iterations=(50, 50, 50, 50), normalize="none", orientation=None)

QUICK = N4.model_copy(update={"n4_iterations": (3, 3)})


def shaded(shape: tuple[int, int, int] = (32, 28, 16)) -> tuple[Volume, np.ndarray]:
    """Two tissues in air under a smooth field that grows along i by a factor of 2.7; and the tissues' mask."""
    i, j, k = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape), indexing="ij")
    body = i**2 + j**2 + 0.3 * k**2 < 0.8
    tissue = np.where(body, np.where(i**2 + j**2 < 0.25, 140.0, 100.0), 0.0)
    noise = np.random.default_rng(0).normal(0, 1, shape)
    image = (tissue * np.exp(0.5 * i) + noise).astype(np.float32)
    return Volume(image[None], np.diag([2.0, 2, 3, 1])), (i**2 + j**2 < 0.75) & (i**2 + j**2 > 0.3) & (np.abs(k) < 0.4)


def spread(volume: Volume, mask: np.ndarray) -> float:
    values = volume.data[0][mask]
    return float(values.std() / values.mean())


@pytest.mark.parametrize("shape", [(32, 28, 16), (40, 36, 1)])
def test_a_known_field_is_much_weaker_after_it(shape: tuple[int, int, int]) -> None:
    volume, mask = shaded(shape)
    corrected = correct_bias(volume, N4)
    assert corrected.same_grid(volume)
    assert spread(corrected, mask) < 0.65 * spread(volume, mask)


def test_off_changes_nothing_and_a_constant_channel_is_kept() -> None:
    volume, _ = shaded()
    assert correct_bias(volume, PrepareSettings()) is volume
    flat = Volume(np.full((1, 9, 9, 9), 5.0, np.float32), np.eye(4))
    np.testing.assert_array_equal(correct_bias(flat, N4).data, flat.data)


def test_axes_of_few_voxels_are_shrunk_less() -> None:
    assert shrink_factors((320, 64, 20, 7), 4) == [4, 4, 2, 1]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset(write_dataset(tmp_path / "Dataset001_Test", 3, (20, 18, 10)))


def test_corrected_images_are_kept_and_found_by_content_and_settings(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, other = dataset["case_0"], dataset["case_1"]
    reader = CaseReader(QUICK, tmp_path / "cache")
    first = reader(case)
    assert reader.path(case) != reader.path(other)
    changed = CaseReader(QUICK.model_copy(update={"n4_shrink": 3}), tmp_path / "cache")
    assert changed.path(case) != reader.path(case)
    monkeypatch.setattr("voxloom.prepare.bias.correct_bias", lambda *_: pytest.fail("corrected a second time"))
    np.testing.assert_array_equal(reader(case).data, first.data)


def test_a_damaged_result_is_made_again(dataset: Dataset, tmp_path: Path) -> None:
    reader = CaseReader(QUICK, tmp_path / "cache")
    first, path = reader(dataset["case_0"]), reader.path(dataset["case_0"])
    assert path is not None
    path.write_bytes(path.read_bytes()[:-5])
    np.testing.assert_array_equal(reader(dataset["case_0"]).data, first.data)


def test_preparation_prediction_and_statistics_see_the_same_image(dataset: Dataset, tmp_path: Path) -> None:
    settings = QUICK.model_copy(update={"normalize": "zscore_mask"})
    prepared = Cache(tmp_path / "cache").prepare(dataset, settings, workers=2)
    assert prepared.statistics == measure_statistics(dataset.cases, settings, dataset.labels, workers=1)
    raw = measure_statistics(dataset.cases, settings.model_copy(update={"n4": False}), dataset.labels, workers=1)
    assert prepared.statistics != raw
    expected, _ = prepare_image(dataset["case_2"].read_image(), settings, prepared.statistics)
    np.testing.assert_array_equal(prepared["case_2"].image(), expected)


def test_sample_statistics_come_from_the_windowed_voxels_of_the_training_cases(dataset: Dataset) -> None:
    settings = PrepareSettings(normalize="zscore_sample", percentile_clip="organ")
    found = measure_statistics(dataset.cases, settings, dataset.labels, workers=1).channels[0]
    values = []
    for case in dataset:
        voxels = case.read_image().data
        values.append(voxels.clip(*np.percentile(voxels, (60, 99))).ravel())
    assert found.mean == pytest.approx(np.concatenate(values).mean(), rel=1e-4)
    assert found.sd == pytest.approx(np.concatenate(values).std(), rel=1e-4)
    again = measure_statistics(dataset.cases, settings, dataset.labels, workers=1, seed=7)
    assert again.channels[0] == found  # 3600 voxels a case are all drawn, whatever the seed


def test_a_large_training_set_is_sampled_by_the_seed(tmp_path: Path) -> None:
    dataset = Dataset(write_dataset(tmp_path / "Dataset002_Large", 2, (40, 30, 20)))
    settings = PrepareSettings(normalize="zscore_sample")
    one, same, other = (measure_statistics(dataset.cases, settings, None, workers=1, seed=s) for s in (1, 1, 2))
    assert one == same
    assert one != other
    assert one.channels[0].mean == pytest.approx(other.channels[0].mean, rel=0.05)
