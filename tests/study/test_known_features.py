"""What a run keeps of how its cases look to its first network, and scans that are told to be unlike them."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from tests.study.conftest import Trained, write_balls
from voxloom import digests
from voxloom.cli.app import run as voxloom
from voxloom.dataset import Case, Dataset, read_splits
from voxloom.errors import BadInput
from voxloom.evaluation.nearness import Nearness
from voxloom.files import sha256_file
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
    """A copy of the run that held out twelve cases, and scans: like the training, of another contrast, striped, but noise."""
    root = tmp_path_factory.mktemp("told")
    more = Dataset(write_balls(root / "more", 24))
    shutil.copytree(trained.run.folder, root / "run")
    run = Run(root / "run")
    known, look = KnownFeatures.of(run.fold(0), run.patients), features_of(run)
    assert known is not None
    held_out = {case.id: look.of_scan(case.read_image()) for case in list(more)[10:22]}
    KnownFeatures(known.training, held_out).write(run.fold(0))
    like = more["ball23"].read_image()
    noise = np.random.default_rng(0).normal(100, 60, like.data.shape).astype(np.float32)
    contrast = (np.maximum(like.data, 1) ** 3).astype(np.float32)
    dark = np.arange(like.shape[0])[:, None, None] % 4 < 2
    changed = {"contrast": contrast, "noise": noise, "striped": np.where(dark, like.data, 0)}
    return run, {"like": like, **{name: like.with_data(data) for name, data in changed.items()}}


def test_the_first_fold_keeps_its_training_and_held_out_cases(trained: Trained) -> None:
    run, fold = trained.run, read_splits(trained.run.folder / "splits_final.json", Dataset(trained.data))[0]
    known, look = KnownFeatures.of(run.fold(0), run.patients), features_of(run, 0)
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
    assert [places[name]["rarer"] for name in ("contrast", "noise", "striped")] == pytest.approx([1 / 13] * 3)
    assert places["contrast"]["distance"] > 1.5, "farther than all held-out ones, which is not yet one of 100"
    for name in scans:
        capsys.readouterr()
        assert voxloom(["predict", str(run.folder), str(paths[name]), "-o", str(tmp_path / name)]) == 0
        said = [line for line in capsys.readouterr().err.splitlines() if TOLD in line]
        assert len(said) == (name in ("noise", "striped")) == places[name]["unlike"], said
        assert all("as far: 0 of 12 held-out patients" in line for line in said)


def test_predictions_are_the_same_and_with_changed_views_the_scan_itself_is_compared(
    told: tuple[Run, dict[str, Volume]], tmp_path: Path
) -> None:
    run, scans = told
    path = write_volume(scans["like"], tmp_path / "like.nii.gz")
    plain, tta = PredictOptions(device="cpu"), PredictOptions(device="cpu", tta=True)
    found = predict_with(open_predictor(run.folder, plain), [path], tmp_path / "a", plain)
    assert np.array_equal(read_volume(found.files["like"]).data, run.predict(path).data)
    place = found.told["features"]["like"]
    changed = predict_with(open_predictor(run.folder, tta), [path], tmp_path / "b", tta).told["features"]["like"]
    assert changed["distance"] == pytest.approx(place["distance"], rel=1e-4)
    assert (changed["rarer"], changed["unlike"]) == (place["rarer"], place["unlike"])


def test_an_ensemble_compares_by_the_first_member_that_keeps_features(
    told: tuple[Run, dict[str, Volume]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, scans = told
    other = Run(shutil.copytree(run.folder, tmp_path / "other"))
    other.fold(0).features.unlink()
    paths = [str(write_volume(scan, tmp_path / f"{name}.nii.gz")) for name, scan in scans.items()]
    assert voxloom(["ensemble", str(other.folder), str(run.folder), "-o", str(tmp_path / "both")]) == 0
    capsys.readouterr()
    places = {}
    for folder in (run.folder, tmp_path / "both"):
        line = ["predict", str(folder), *paths, "-o", str(tmp_path / f"out {folder.name}"), "--json"]
        assert voxloom(line) == 0
        places[folder.name] = json.loads(capsys.readouterr().out)["features"]
    assert places["both"].keys() == scans.keys()
    for name, place in places["both"].items():
        assert place["distance"] == pytest.approx(places["run"][name]["distance"], rel=1e-4)
        assert place["unlike"] == places["run"][name]["unlike"]
    run_without = open_predictor(tmp_path / "both", PredictOptions(device="cpu"))
    assert run_without.member == 1


def test_a_run_without_the_file_or_with_other_weights_says_nothing(
    told: tuple[Run, dict[str, Volume]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(told[0].folder, tmp_path / "run")
    run, path = Run(tmp_path / "run"), write_volume(told[1]["noise"], tmp_path / "s.nii.gz")
    options, line = (
        PredictOptions(device="cpu"),
        ["predict", str(tmp_path / "run"), str(path), "-o", str(tmp_path / "o")],
    )
    shutil.copy(run.fold(1).weights, run.fold(0).weights)
    assert KnownFeatures.of(run.fold(0), run.patients) is None
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
    known, before = KnownFeatures.of(fold, {}), fold.features.read_bytes()
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
        KnownFeatures.of(fold, {})


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


def test_unlike_is_told_only_beside_enough_held_out_patients() -> None:
    """Held-out patients at distances about 1: one of 100 lies beyond a Student's bound, or, of 99 and more, beyond all but 1 %."""
    training = np.array([[-1.0], [1.0]])  # a row x lies |x| - 1 from the nearer, in units of the SD, which is 1
    held_out = 2 + np.linspace(-0.5, 0.5, 12)[:, None]
    near = Nearness(training, held_out)
    assert near.farthest.tolist() == pytest.approx((held_out[:, 0] - 1).tolist())
    found = near.unlike([1.0, 1.6, 2.0, 5.0])
    assert found is not None
    assert found.tolist() == [False, False, False, True], "farther than all twelve is not yet one of 100"
    assert near.shares([1.6, 5.0]).tolist() == pytest.approx([1 / 13, 1 / 13])
    assert Nearness(training, held_out[:9]).unlike([50.0]) is None
    scans = Nearness(training, held_out, [f"p{n // 4}" for n in range(12)])
    assert scans.farthest.shape == (3,)
    assert scans.unlike([50.0]) is None, "four scans of a patient are not four patients"
    many = Nearness(training, 2 + np.linspace(-0.5, 0.5, 99)[:, None]).unlike([1.49, 1.51])
    assert many is not None
    assert many.tolist() == [False, True]
    assert Place(4.0, 1 / 13, 12, True).sentence() is not None
    assert Place(4.0, 1 / 10, 9, None).sentence() is None
    assert Place(0.8, 0.5, 40, False).sentence() is None


def test_a_service_does_not_read_unchanged_weights_again(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash of weights that have settled is kept in the process; other weights are seen by what the file looks like."""
    run, read = trained.run, []
    settled = time.time() - 3600
    os.utime(run.fold(0).weights, (settled, settled))
    monkeypatch.setattr(digests, "SETTLED_SECONDS", -1e9)  # the change of the record itself cannot be set back
    monkeypatch.setattr(digests, "sha256_file", lambda path: read.append(path) or sha256_file(path))
    monkeypatch.setattr(digests, "_known", {})
    for _ in range(3):
        assert KnownFeatures.of(run.fold(0), run.patients) is not None
    assert read == [run.fold(0).weights]


def test_a_look_at_the_training_costs_little() -> None:
    """60 cases: of 1000 windows that were trained on two each, half a forward pass each of three, are 2 %."""
    assert windows_of(60, 1000) == 2
    assert windows_of(60, 12) == 1
    assert windows_of(5, 10**6) == MOST_WINDOWS
