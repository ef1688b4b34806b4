"""The joint crop: learned from labels, found in scans of both views wherever it lies, cut square and resized, and undone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.formats import write_volume
from voxloom.prepare import Cache, PrepareSettings, Statistics, measure_statistics, prepare_image
from voxloom.prepare.joint import HALF, JointModel, correlation, joint_box, meeting_point
from voxloom.prepare.pipeline import turn_for
from voxloom.volume import Volume

SETTINGS = PrepareSettings(orientation="slices", crop="joint", joint_mm=80, resize_to=(40, 40, 6), normalize="minmax")
#: Voxel axes of a coronal and of a sagittal scan as files have them, slices last.
VIEWS = {"coronal": ((0, -1.5), (2, 1.5), (1, 5.0)), "sagittal": ((1, 1.5), (2, -1.5), (0, 5.0))}


def knee(seed: int, view: str) -> tuple[Volume, Volume, np.ndarray]:
    """Two bones with a dark line between them in a shaded leg; its labels, and where the bones meet (RAS mm)."""
    random = np.random.default_rng(seed)
    shape = (80, 100, 8)
    affine = np.eye(4)
    for axis, (world, mm) in enumerate(VIEWS[view]):
        affine[:3, axis] = 0
        affine[world, axis] = mm
    middle = np.array([random.uniform(34, 46), random.uniform(36, 64), 3.5])
    i, j, _ = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    up = (j - middle[1]) * 1.5 * np.sign(VIEWS[view][1][1])
    across = np.abs(i - middle[0]) * 1.5
    wide = 22 - 0.35 * np.clip(np.abs(up) - 14, 0, 30)
    bone = (across < wide) & (np.abs(up) > 1.5)
    label = np.where(bone, np.where(up > 0, 1, 2), 0).astype(np.uint8)
    grey = np.where(bone, 0.8, np.where(across < 40, 0.4, 0.0))
    grey[(across < wide + 2) & ~bone] = 0.1
    shade = np.exp(0.4 * (i - 40) / 40) * random.uniform(50, 400)
    image = (grey * shade + random.normal(0, 2, shape)).astype(np.float32)
    return Volume(image[None], affine), Volume(label[None], affine), (affine @ [*middle, 1])[:3]


@pytest.fixture(scope="module")
def knees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("knees")
    for n in range(6):
        image, label, _ = knee(n, ("coronal", "sagittal")[n % 2])
        write_volume(image, root / "imagesTr" / f"k{n}_0000.nii.gz")
        write_volume(label, root / "labelsTr" / f"k{n}.nii.gz")
    about = {"channel_names": {"0": "MR"}, "labels": {"background": 0, "femur": 1, "tibia": 2}}
    (root / "dataset.json").write_text(json.dumps({**about, "numTraining": 6, "file_ending": ".nii.gz"}))
    return root


@pytest.fixture(scope="module")
def learned(knees: Path) -> Statistics:
    dataset = Dataset(knees)
    return measure_statistics(dataset.cases, SETTINGS, dataset.labels, workers=1)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("seed", [20, 21, 22, 23])
def test_the_joint_of_a_new_scan_is_the_middle_of_the_prepared_square(
    learned: Statistics, view: str, seed: int
) -> None:
    image, _, joint = knee(seed, view)
    prepared, geometry = prepare_image(image, SETTINGS, learned)
    assert prepared.shape == (1, 40, 40, 6)
    assert np.allclose(geometry.spacing, (2, 2, 40 / 6), rtol=0.02)
    at = (np.linalg.inv(geometry.affine) @ [*joint, 1])[:2]
    assert np.abs(at - 19.5).max() * 2 < 4.0


def test_statistics_survive_json_and_prepare_the_same(learned: Statistics) -> None:
    again = Statistics.from_dict(json.loads(json.dumps(learned.to_dict())))
    assert learned.joint is not None
    assert set(learned.joint.templates) == {"RSA", "ASR"}
    image, _, _ = knee(30, "coronal")
    np.testing.assert_array_equal(prepare_image(image, SETTINGS, again)[0], prepare_image(image, SETTINGS, learned)[0])


def test_a_view_that_was_not_trained_on_is_searched_with_the_other(learned: Statistics) -> None:
    assert learned.joint is not None
    coronal = Statistics(learned.channels, JointModel({"RSA": learned.joint.templates["RSA"]}))
    image, _, joint = knee(31, "sagittal")
    _, geometry = prepare_image(image, SETTINGS, coronal)
    assert np.abs((np.linalg.inv(geometry.affine) @ [*joint, 1])[:2] - 19.5).max() * 2 < 4.0
    with pytest.raises(BadInput, match="only in RSA"):
        prepare_image(image, SETTINGS.model_copy(update={"orientation": "RAS"}), coronal)


def test_the_cache_prepares_it_and_labels_come_back_onto_the_scan(knees: Path, tmp_path: Path) -> None:
    dataset = Dataset(knees)
    prepared = Cache(tmp_path / "cache").prepare(dataset, SETTINGS)
    assert {case.shape for case in prepared.values()} == {(40, 40, 6)}
    case = prepared["k1"]
    inner = case.label()
    assert inner is not None
    back = case.geometry.restore_labels(inner)
    truth = knee(1, "sagittal")[1].data[0]
    assert back.shape == truth.shape
    near = back > 0
    assert near.sum() > 5000
    assert (back[near] == truth[near]).mean() > 0.9


def test_without_training_cases_or_bones_it_is_refused(knees: Path) -> None:
    image, _, _ = knee(0, "coronal")
    with pytest.raises(BadInput, match="training cases taught"):
        prepare_image(image, SETTINGS, None)
    dataset = Dataset(knees)
    with pytest.raises(BadInput, match="both bones"):
        measure_statistics(
            dataset.cases, SETTINGS.model_copy(update={"joint_labels": (1, 7)}), dataset.labels, workers=1
        )


@pytest.mark.parametrize("view", VIEWS)
def test_slices_come_last_in_both_views(view: str) -> None:
    image, _, _ = knee(0, view)
    turn = turn_for(image, SETTINGS)
    assert turn.apply(image.data).shape == (1, 80, 100, 8)


def test_the_window_stays_square_inside_the_volume() -> None:
    assert joint_box((100, 80, 10), (1.0, 1.0, 4.0), (50.0, 40.0), 40) == ((30, 70), (20, 60), (0, 10))
    assert joint_box((100, 80, 10), (1.0, 1.0, 4.0), (5.0, 78.0), 40) == ((0, 40), (40, 80), (0, 10))
    assert joint_box((100, 80, 10), (1.0, 2.0, 4.0), (50.0, 40.0), 500) == ((0, 100), (16, 66), (0, 10))


def test_meeting_point_and_correlation_by_hand() -> None:
    first, second = np.zeros((9, 9, 3), bool), np.zeros((9, 9, 3), bool)
    first[3:6, :4], second[3:6, 5:] = True, True
    assert meeting_point(first, second, (1, 1, 1)) == pytest.approx((4, 4, 1))
    assert meeting_point(first, np.zeros_like(first), (1, 1, 1)) is None
    image = np.random.default_rng(0).normal(size=(90, 80)).astype(np.float32)
    part = image[20 : 20 + 2 * HALF + 1, 15 : 15 + 2 * HALF + 1]
    score = correlation(image, 3 * part + 5)
    assert np.unravel_index(score.argmax(), score.shape) == (20 + HALF, 15 + HALF)
    assert score.max() == pytest.approx(1, abs=1e-4)
