"""Facts of cases against figures computed by hand, NumPy and SciPy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from voxloom.dataset import Dataset, Label, Labels
from voxloom.dataset.inspect import PERCENTILES, Fingerprint, fingerprint, ras_order
from voxloom.dataset.inspect.components import count_components
from voxloom.dataset.inspect.intensities import content_hash, describe_channel, sample_steps
from voxloom.dataset.inspect.measure import count_values

from .conftest import Make, block, volume


def test_facts_of_a_case(make: Make) -> None:
    found = fingerprint(make(2, affines={"c00": np.diag([2.0, 1.0, 3.0, 1.0]), "c01": np.diag([-2.0, -1.0, 3.0, 1.0])}))
    case = found.cases[0]
    image, mask = volume(0), block() > 0
    assert (case.shape, case.spacing, case.orientation) == ((12, 10, 8), (2.0, 1.0, 3.0), "RAS")
    channel = case.channels["MR"]
    np.testing.assert_allclose(channel.whole.percentiles, np.percentile(image, PERCENTILES), rtol=1e-6)
    assert channel.foreground is not None
    np.testing.assert_allclose(channel.foreground.percentiles, np.percentile(image[mask], PERCENTILES), rtol=1e-6)
    assert channel.foreground.mean == pytest.approx(image[mask].mean(), rel=1e-6)
    assert (channel.whole.voxels, channel.foreground.voxels) == (960, 64)
    assert sum(channel.histogram) == 960
    assert dict(case.label_voxels) == {"organ": 64}
    assert dict(case.components) == {"organ": 1}
    assert found.orientations == {"RAS": 1, "LPS": 1}
    assert found.median_spacing == (2.0, 1.0, 3.0)
    assert found.label_frequencies == {"organ": 64 / 960}


def test_json_and_back(make: Make) -> None:
    found = fingerprint(make(2))
    assert Fingerprint.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_processes_give_the_same(make: Make) -> None:
    made = make(3)
    seen: list[tuple[int, int]] = []
    assert fingerprint(made, workers=2, progress=lambda a, b: seen.append((a, b))) == fingerprint(made, workers=0)
    assert seen[-1] == (3, 3)


def test_the_hash_is_of_values_only() -> None:
    data = np.random.default_rng(0).integers(0, 200, (1, 7, 6, 5)).astype(np.uint8)
    assert content_hash(data) == content_hash(np.asfortranarray(data)) == content_hash(data.astype(np.float64))
    changed = data.copy()
    changed[0, 3, 3, 3] ^= 1
    assert content_hash(changed) != content_hash(data)
    assert content_hash(data.reshape(1, 6, 7, 5)) != content_hash(data)


def test_a_huge_volume_is_sampled() -> None:
    steps = sample_steps((512, 512, 600))
    counts = [len(range(0, n, s.step)) for n, s in zip((512, 512, 600), steps, strict=True)]
    assert 1_000_000 < np.prod(counts) <= 2_000_000
    data = np.zeros((200, 200, 100), np.int16)
    mask = np.zeros(data.shape, bool)
    data[101, 101, 51], mask[101, 101, 51] = 999, True
    found = describe_channel(data, mask)
    assert found.whole.percentile(100) == 999
    assert found.foreground is not None
    assert found.foreground.mean == 999


def test_voxels_that_are_no_numbers() -> None:
    data = volume(0)
    data[0, 0, 0], data[1, 1, 1] = np.nan, np.inf
    found = describe_channel(data, None)
    assert found.nonfinite == 2
    assert np.isfinite(found.whole.percentiles).all()


def test_components_against_scipy() -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(30, 28, 26)), 2)
    outer = np.digitize(noise, np.quantile(noise, [0.8, 0.9])).astype(np.uint8) * 5
    labels = Labels((Label("a", (5,)), Label("b", (10,))))
    cube = np.ones((3, 3, 3))
    assert count_components(outer, labels) == {
        "a": ndimage.label(outer == 5, cube)[1],
        "b": ndimage.label(outer == 10, cube)[1],
    }
    regions = Labels((Label("both", (5, 10)), Label("b", (10,))))
    assert count_components(outer, regions)["both"] == ndimage.label(outer > 0, cube)[1]
    assert count_components(np.zeros_like(outer), labels) == {"a": 0, "b": 0}


def test_values_of_any_size() -> None:
    data = np.array([0, 1, 1, 70_000, 4_000_000], dtype=np.int64).reshape(5, 1, 1)
    assert count_values(data) == {0: 1, 1: 2, 70_000: 1, 4_000_000: 1}


def test_ignored_voxels_do_not_count(make: Make) -> None:
    mask = block()
    mask[8:] = 2
    found = fingerprint(make(1, labels={"c00": mask}, names={"background": 0, "organ": 1, "ignore": 2}))
    case = found.cases[0]
    assert case.ignore_voxels == 4 * 80
    assert found.label_frequencies == {"organ": 64 / 640}
    assert case.channels["MR"].foreground is not None
    assert case.channels["MR"].foreground.voxels == 64


def test_axis_order() -> None:
    assert [ras_order(code) for code in ("RAS", "LPI", "ASR", "SLP")] == [(0, 1, 2), (0, 1, 2), (2, 0, 1), (1, 2, 0)]


def test_classes_in_an_npz(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (5, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", train_images=images, train_labels=np.array([[0], [0], [0], [0], [1]]))
    found = fingerprint(Dataset(tmp_path / "x.npz"))
    assert found.class_counts == {"0": 4, "1": 1}
    assert found.cases[0].shape == (8, 8, 1)


def test_hippocampus(data_dir: Path) -> None:
    opened = Dataset(data_dir / "hippocampus")
    found = fingerprint(opened.subset([case.id for case in opened][:12]))
    assert not any(case.problem for case in found.cases)
    assert 0.015 < found.label_frequencies["Anterior"] < 0.05
    assert found.median_spacing == (1.0, 1.0, 1.0)
