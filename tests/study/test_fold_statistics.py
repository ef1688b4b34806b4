"""Every fold's network sees a scan as its own training cases taught: in prediction, and in a MONAI bundle."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from voxloom.files import read_json, write_json
from voxloom.formats import read_volume, write_volume
from voxloom.inference import views
from voxloom.prepare import ChannelStatistics, PrepareSettings, Statistics
from voxloom.prepare.joint import JointModel
from voxloom.tasks.segmentation.postprocessing import ChosenStep, as_json
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.verbs.run import Run
from voxloom.volume import Volume

from .conftest import Trained
from .test_export import check_same

TAUGHT = (ChannelStatistics(100.0, 25.0, 40.0, 180.0), ChannelStatistics(130.0, 40.0, 70.0, 150.0))


def taught(trained: Trained, folder: Path, normalize: str) -> Run:
    """A copy of the run whose two folds learned different intensities."""
    shutil.copytree(trained.run.folder, folder)
    for number, statistics in enumerate(TAUGHT):
        about = read_json(folder / f"fold_{number}" / "model.json")
        about["prepare"]["normalize"] = normalize
        about["statistics"] = Statistics((statistics,)).to_dict()
        write_json(folder / f"fold_{number}" / "model.json", about)
    return Run(folder)


def mean_of_folds(predictor: Predictor, volume: Volume) -> np.ndarray:
    """What the folds say one by one, averaged."""
    alone = [replace(predictor, members=(member,)).probabilities(volume) for member in predictor.members]
    return np.mean(alone, axis=0, dtype=np.float32)


@pytest.mark.parametrize("normalize", ["zscore_mask", "zscore_sample", "ct"])
def test_folds_see_a_scan_as_their_own_cases_taught(normalize: str, trained: Trained, tmp_path: Path) -> None:
    scan = read_volume(trained.unseen / "imagesTr" / "ball13_0000.nii.gz")
    predictor = Predictor.of(taught(trained, tmp_path / "run", normalize), device="cpu")
    expected = mean_of_folds(predictor, scan)
    assert np.allclose(predictor.probabilities(scan), expected, atol=2e-3)
    wrong = replace(predictor, members=tuple(replace(m, statistics=Statistics(TAUGHT[:1])) for m in predictor.members))
    assert np.abs(wrong.probabilities(scan) - expected).max() > 0.1
    labels = predictor.labels.decode(expected.argmax(axis=0))
    assert np.mean(predictor.predict(scan).data[0] == labels) > 0.999


def test_joints_that_folds_find_elsewhere(trained: Trained) -> None:
    """The folds cut different squares out of the scan, so their answers meet on the scan's own grid."""
    noise = np.random.default_rng(5).normal(100, 60, (1, 70, 64, 7))
    scan = Volume(noise.astype(np.float32), np.diag([-1.5, 1.5, 3.0, 1.0]))
    plain = Predictor.of(trained.run, device="cpu")
    settings = PrepareSettings(orientation="RAS", crop="joint", joint_mm=60, normalize="zscore")
    codes, members = ("RAS", "LAS"), []
    for number, member in enumerate(plain.members):
        look = np.random.default_rng(number).normal(size=(49, 49)).round(3).tolist()
        joint = JointModel({code: tuple(map(tuple, look)) for code in codes})
        members.append(replace(member, statistics=Statistics(TAUGHT[number : number + 1], joint)))
    predictor = replace(plain, prepare=settings, members=tuple(members), largest=(), steps=())
    with predictor.views(scan) as seen:
        assert len({view.geometry.box for view in seen}) == 2
    expected = mean_of_folds(predictor, scan)
    assert np.allclose(predictor.probabilities(scan), expected, atol=2e-3)
    assert np.mean(predictor.predict(scan).data[0] == predictor.labels.decode(expected.argmax(axis=0))) > 0.999


def test_equal_statistics_prepare_once(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = trained.unseen / "imagesTr" / "ball13_0000.nii.gz"
    made: list[str] = []
    for name in ("prepare_corrected", "prepare_on"):
        real = getattr(views, name)
        monkeypatch.setattr(views, name, lambda *given, name=name, real=real: (made.append(name), real(*given))[1])
    Predictor.of(trained.run, device="cpu").predict(scan)
    assert made == ["prepare_corrected"]
    made.clear()
    predictor = Predictor.of(taught(trained, tmp_path / "run", "ct"), device="cpu")
    replace(predictor, members=predictor.members * 2).predict(scan)
    assert made == ["prepare_on"] * 2, "four members, two statistics"


@pytest.mark.parametrize("normalize", ["zscore_mask", "ct"])
def test_a_bundle_says_the_same_as_folds_that_learned_different_intensities(
    normalize: str, trained: Trained, tmp_path: Path
) -> None:
    run = taught(trained, tmp_path / "run", normalize)
    bundle = run.export(tmp_path / "bundle")
    about = read_json(bundle / "configs" / "metadata.json")
    assert about["network_data_format"]["inputs"]["image"]["num_channels"] == 2
    check_same(bundle, replace(trained, run=run))


def test_a_bundle_keeps_the_largest_component_where_the_run_does(trained: Trained, tmp_path: Path) -> None:
    scan = read_volume(trained.unseen / "imagesTr" / "ball13_0000.nii.gz")
    scan.data[0, 17:21, 1:5, 1:5] += 80  # a second bright thing, smaller than the ball
    path = write_volume(scan, tmp_path / "imagesTr" / "ball13_0000.nii.gz")
    run = taught(trained, tmp_path / "run", "zscore")
    for largest, things in (([], 2), (["bright"], 1)):
        write_json(run.folder / "summary.json", {**run.summary, "largest_component": largest})
        found = Run(run.folder).predict(path).data[0]
        assert ndimage.label(found == 3, np.ones((3, 3, 3)))[1] == things
    check_same(Run(run.folder).export(tmp_path / "bundle"), replace(trained, run=Run(run.folder), unseen=tmp_path))


@pytest.mark.parametrize("key", ["inference.postprocess", "inference.mirror"])
def test_what_monai_cannot_say_runs_voxloom_inside(key: str, trained: Trained, tmp_path: Path) -> None:
    run = taught(trained, tmp_path / "run", "ct")
    if key == "inference.mirror":
        path = run.folder / "fold_0" / "model.json"
        about = read_json(path)
        about["inference"]["mirror"] = [0]
        write_json(path, about)
    else:
        step = ChosenStep("remove_small", "bright", 2.0, used=True)
        write_json(run.folder / "summary.json", {**run.summary, "postprocess": as_json([step])})
    made = Run(run.folder).export(tmp_path / "bundle")
    assert f"MONAI cannot express {key}" in (made / "docs" / "README.md").read_text()
