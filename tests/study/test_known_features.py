"""What a run keeps of how its cases look to its first network, and scans that are told to be unlike them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.study.conftest import Trained, write_balls
from voxloom.cli.app import run as voxloom
from voxloom.dataset import Case, Dataset, read_splits
from voxloom.errors import BadInput
from voxloom.evaluation.nearness import is_rare
from voxloom.formats import read_volume, write_volume
from voxloom.run.features import KnownFeatures, Place
from voxloom.tasks.task import task_of
from voxloom.tasks.values import Features
from voxloom.verbs import first_network
from voxloom.verbs.known_features import MOST_WINDOWS, windows_of
from voxloom.verbs.options import PredictOptions
from voxloom.verbs.predict import open_predictor, predict_with
from voxloom.verbs.run import Run
from voxloom.verbs.shift import shift_report
from voxloom.volume import Volume

pytestmark = pytest.mark.usefixtures("one_thread")
TOLD = "unlike the training scans to the network"


def features_of(run: Run, fold: int | None = None) -> Features:
    task = task_of(run)
    predictor = task.open(run) if fold is None else task.load([run.fold(fold)], device="cpu")
    found = task.features(predictor)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def told(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, dict[str, Volume]]:
    """A copy of the run that held out twelve cases, and scans: like the training, of another contrast, nothing but noise."""
    root = tmp_path_factory.mktemp("told")
    more = Dataset(write_balls(root / "more", 24))
    shutil.copytree(trained.run.folder, root / "run")
    run = Run(root / "run")
    known, look = KnownFeatures.of(run.fold(0)), features_of(run)
    assert known is not None
    held_out = {case.id: look.of_scan(case.read_image()) for case in list(more)[10:22]}
    KnownFeatures(known.training, held_out).write(run.fold(0))
    like = more["ball23"].read_image()
    noise = np.random.default_rng(0).normal(100, 60, like.data.shape).astype(np.float32)
    contrast = (np.maximum(like.data, 1) ** 3).astype(np.float32)
    return run, {"like": like, "contrast": like.with_data(contrast), "noise": like.with_data(noise)}


def test_the_first_fold_keeps_its_training_and_held_out_cases(trained: Trained) -> None:
    run, fold = trained.run, read_splits(trained.run.folder / "splits_final.json", Dataset(trained.data))[0]
    known, look = KnownFeatures.of(run.fold(0)), features_of(run, 0)
    assert known is not None
    assert (set(known.training), set(known.held_out)) == (set(fold.train), set(fold.val))
    assert not run.fold(1).features.exists()
    cases = Dataset(trained.data)
    for name, row in known.held_out.items():
        np.testing.assert_allclose(row, look.of_scan(cases[name].read_image()), rtol=1e-5, atol=1e-6)
    for name, row in known.training.items():  # one window holds these cases, so that nothing is left out
        np.testing.assert_allclose(row, look.of_scan(cases[name].read_image()), rtol=1e-4, atol=1e-5)


def test_a_scan_unlike_the_training_is_told_and_one_like_it_is_not(
    told: tuple[Run, dict[str, Volume]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, scans = told
    paths = {name: write_volume(scan, tmp_path / f"{name}.nii.gz") for name, scan in scans.items()}
    assert voxloom(["predict", str(run.folder), *map(str, paths.values()), "-o", str(tmp_path / "out"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    places = result["features"]
    assert set(places) == set(scans)
    assert places["like"]["rarer"] > 0.08
    assert places["contrast"]["rarer"] == places["noise"]["rarer"] == pytest.approx(1 / 13)
    assert min(places["contrast"]["distance"], places["noise"]["distance"]) > 1.5
    for name in scans:
        capsys.readouterr()
        assert voxloom(["predict", str(run.folder), str(paths[name]), "-o", str(tmp_path / name)]) == 0
        said = [line for line in capsys.readouterr().err.splitlines() if TOLD in line]
        assert len(said) == (name != "like"), said
        assert all("as far: 0 of 12 held-out cases" in line for line in said)


def test_predictions_are_the_same_and_changed_views_are_not_compared(
    told: tuple[Run, dict[str, Volume]], tmp_path: Path
) -> None:
    run, scans = told
    path = write_volume(scans["like"], tmp_path / "like.nii.gz")
    plain, tta = PredictOptions(device="cpu"), PredictOptions(device="cpu", tta=True)
    found = predict_with(open_predictor(run.folder, plain), [path], tmp_path / "a", plain)
    assert np.array_equal(read_volume(found.files["like"]).data, run.predict(path).data)
    assert "features" in found.told
    assert "features" not in predict_with(open_predictor(run.folder, tta), [path], tmp_path / "b", tta).told


def test_a_run_without_the_file_or_with_other_weights_says_nothing(
    told: tuple[Run, dict[str, Volume]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(told[0].folder, tmp_path / "run")
    run, path = Run(tmp_path / "run"), write_volume(told[1]["contrast"], tmp_path / "s.nii.gz")
    options, line = (
        PredictOptions(device="cpu"),
        ["predict", str(tmp_path / "run"), str(path), "-o", str(tmp_path / "o")],
    )
    shutil.copy(run.fold(1).weights, run.fold(0).weights)
    assert KnownFeatures.of(run.fold(0)) is None
    assert open_predictor(run.folder, options).known is None
    run.fold(0).features.write_bytes(b"PK damaged")
    assert voxloom(line) == 2
    assert "features.npz" in capsys.readouterr().err
    run.fold(0).features.unlink()
    assert voxloom([*line, "--json"]) == 0
    assert "features" not in json.loads(capsys.readouterr().out)


def test_the_file_is_written_whole_or_not_at_all(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = Run(shutil.copytree(trained.run.folder, tmp_path / "run")).fold(0)
    known, before = KnownFeatures.of(fold), fold.features.read_bytes()
    assert known is not None

    def fail(file: object, **arrays: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", fail)
        with pytest.raises(OSError, match="no space"):
            known.write(fold)
    assert fold.features.read_bytes() == before
    assert not list(fold.folder.glob(".*part*"))
    known.write(fold)
    assert fold.features.read_bytes() == before, "the same features are the same bytes"
    KnownFeatures(dict(list(known.training.items())[:1]), known.held_out).write(fold)
    with pytest.raises(BadInput, match="too few cases"):
        KnownFeatures.of(fold)


def test_shift_reads_the_file_and_every_image_once(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(shutil.copytree(trained.run.folder, tmp_path / "run"))
    read: list[str] = []
    whole = Case.read_image

    def counted(case: Case) -> Volume:
        read.append(case.id)
        return whole(case)

    monkeypatch.setattr(Case, "read_image", counted)
    kept = shift_report(run.folder, trained.unseen, device="cpu")
    assert sorted(read) == [f"ball{n}" for n in range(10, 14)]
    assert kept.embedding is not None
    assert (kept.embedding.training, kept.embedding.held_out) == (5, 5)
    read.clear()
    apart = shift_report(run.folder, trained.unseen, device="cpu", workers=0)
    assert sorted(read) == sorted([f"ball{n}" for n in range(10, 14)] * 2)
    assert apart.embedding == kept.embedding
    run.fold(0).features.unlink()
    anew = shift_report(run.folder, trained.unseen, device="cpu")
    assert anew.embedding is not None
    for name, distance in kept.embedding.distances.items():
        assert anew.embedding.distances[name] == pytest.approx(distance, rel=1e-2)
    monkeypatch.setattr(first_network, "open_study", gone)
    assert "cannot be read" in shift_report(run.folder, trained.unseen, device="cpu").why


def gone(run: Run) -> None:
    raise BadInput("the data set has gone", run.folder)


def test_an_image_that_the_network_cannot_take_is_not_a_fault_of_its_file(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def of_scan(self, image: Volume) -> None:
            raise RuntimeError("out of memory")

    look = first_network.Look(Refusing())  # type: ignore[arg-type]
    case = next(iter(Dataset(trained.unseen)))
    look(case, case.read_image())
    with pytest.raises(RuntimeError, match="out of memory"):
        look.raise_what_failed()


def test_rare_is_told_only_beside_enough_held_out_cases() -> None:
    assert is_rare(0.05, 40)
    assert not is_rare(2 / 20, 19)
    assert is_rare(1 / 11, 10)
    assert Place(4.0, 1 / 11, 10).sentence() is not None
    assert Place(4.0, 1 / 10, 9).sentence() is None
    assert Place(0.8, 0.5, 40).sentence() is None


def test_a_look_at_the_training_costs_little() -> None:
    """60 cases: of 1000 windows that were trained on two each, half a forward pass each of three, are 2 %."""
    assert windows_of(60, 1000) == 2
    assert windows_of(60, 12) == 1
    assert windows_of(5, 10**6) == MOST_WINDOWS
