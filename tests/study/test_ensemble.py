"""Ensembles: a 3D run and a 2D run of coronal slices decide together; nothing is scored or learned on seen cases."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from voxloom.cli.app import run as voxloom
from voxloom.dataset.labels import Label, Labels
from voxloom.ensemble import EnsemblePredictor, build_ensemble
from voxloom.ensemble import build as building
from voxloom.ensemble import stack as stacking
from voxloom.ensemble.combine import vote
from voxloom.ensemble.members import best_members, find_members
from voxloom.ensemble.stack import StackCase, StackNetwork, apply_stack, train_stack
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation
from voxloom.formats import read_label, read_volume
from voxloom.recipe.recipe import Recipe
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.segmentation.tta import with_tta
from voxloom.trust.uncertainty import Sampling, SharedViews, check_sources, members, scan_disagreement
from voxloom.trust.uncertainty_maps import members_of
from voxloom.verbs.run import Run
from voxloom.verbs.train import train

from .conftest import TINY, write_balls

TWO = Labels((Label("a", (10,)), Label("b", (20,))))
NESTED = Labels((Label("whole", (1, 2)), Label("core", (2,))), regions_order=(1, 2))
CORONAL = {
    "slices.plane": "coronal",
    "network.strides": [[1, 1], [2, 2], [2, 2]],
    "network.kernels": [[3, 3], [3, 3], [3, 3]],
    "training.patch": [16, 24, 1],
    "training.batch": 4,
}


@dataclass(frozen=True)
class Pair:
    """Two runs on the same two folds, and a scan of their data."""

    runs: list[Path]
    scan: Path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("ensemble é")
    data = write_balls(root / "balls", 6)
    runs = []
    for name, changes in (("volume", {}), ("coronal", CORONAL)):
        settings = {**TINY, **changes, "training.steps": 30, "training.validations": 1, "folds.count": 2}
        runs.append(train(data, Recipe.load("auto").changed(settings), out=root / name).folder)
    torch.set_num_threads(before)
    return Pair(runs, data / "imagesTr" / "ball02_0000.nii.gz")


def test_majority_and_ties() -> None:
    maps = [np.array([[[v]]]) for v in (10, 10, 20)]
    assert vote(maps, TWO).item() == 10
    assert vote([np.array([[[v]]]) for v in (10, 20)], TWO).item() == 10
    assert vote([np.array([[[v]]]) for v in (0, 20)], TWO).item() == 0
    assert vote([np.array([[[v]]]) for v in (0, 1, 2)], NESTED).item() == 1
    assert vote([np.array([[[v]]]) for v in (2, 1, 2)], NESTED).item() == 2


@pytest.mark.parametrize("rule", ["mean", "vote"])
def test_figures_are_out_of_fold(pair: Pair, tmp_path: Path, rule: Any) -> None:
    """A member's figures must be those of its own held-out cases; the ensemble's are on the same cases."""
    built = build_ensemble(pair.runs, tmp_path / "out", rule)
    assert built.cases == 6
    assert list(built.figures) == ["volume", "coronal", "ensemble"]
    for folder in pair.runs:
        alone = Run(folder).summary["validation"]["dice"]
        assert built.figures[folder.name]["dice"]["bright"]["mean"] == pytest.approx(alone["bright"]["mean"], abs=1e-9)
    assert 0 <= built.figures["ensemble"]["dice"]["mean"]["mean"] <= 1
    assert (tmp_path / "out" / "metrics.csv").is_file()


def test_mean_is_that_of_the_probabilities_on_the_scans_grid(pair: Pair, tmp_path: Path) -> None:
    build_ensemble(pair.runs, tmp_path / "out", "mean")
    found = EnsemblePredictor.of(tmp_path / "out").predict(pair.scan)
    scan = read_volume(pair.scan)
    mean = sum(Predictor.of(Run(folder)).probabilities(scan).astype(np.float32) for folder in pair.runs) / 2
    expected = np.array([0, 3, 207])[mean.argmax(axis=0)]
    assert found.same_grid(scan)
    assert (found.data[0] == expected).mean() > 0.9999


def test_stack_learns_from_unseen_cases_only(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learned: list[list[int]] = []
    asked: list[tuple[str, str]] = []
    original, predictor = train_stack, building._OutOfFold.predictor

    def spy(cases: Any, *arguments: Any, **options: Any) -> StackNetwork:
        learned.append([id(case) for case in cases])
        return original(cases, *arguments, **options)

    def watched(self: Any, n: int, case: str) -> Predictor:
        member = self.members[n]
        about = json.loads((member.held_out[case].folder / "model.json").read_text())
        asked.append((case, ",".join(about["trained_on"])))
        return predictor(self, n, case)

    monkeypatch.setattr(building, "train_stack", spy)
    monkeypatch.setattr(building._OutOfFold, "predictor", watched)
    built = build_ensemble(pair.runs, tmp_path / "out", "stack", steps=20)
    assert asked
    assert not [case for case, trained_on in asked if case in trained_on]
    assert [len(cases) for cases in learned] == [5, 5, 4, 5, 5, 6] or sorted(map(len, learned))[-1] == 6
    assert sum(6 - len(cases) for cases in learned) == 6, "every case is left out of exactly one training"
    assert built.cases == 6
    found = EnsemblePredictor.of(tmp_path / "out").predict(pair.scan)
    assert set(np.unique(found.data)) <= {0, 3, 207}
    (tmp_path / "out" / "stack.safetensors").write_bytes(b"no")
    with pytest.raises(BadInput, match="damaged"):
        EnsemblePredictor.of(tmp_path / "out")


def test_a_stack_begins_as_the_mean() -> None:
    torch.manual_seed(0)
    network = StackNetwork(2, 3, regions=False)
    seen = torch.softmax(torch.randn(1, 2, 3, 6, 6, 6), dim=2)
    found = torch.softmax(network(seen.flatten(1, 2)), dim=1)
    assert torch.allclose(found, seen.mean(dim=1), atol=5e-3)


def misled() -> list[StackCase]:
    """The first member is right, the second one is surer and always names the other label."""
    cases = []
    for n in range(4):
        truth = np.zeros((12, 12, 12), np.uint8)
        truth[2 + n % 3 : 8, 2:6, 2:9] = 1
        truth[8:11, 6:10, 3:9] = 2
        right = np.eye(3)[truth].transpose(3, 0, 1, 2) * 0.4 + 0.2
        swapped = np.eye(3)[np.array([0, 2, 1])[truth]].transpose(3, 0, 1, 2) * 0.7 + 0.1
        cases.append(StackCase(np.concatenate([right, swapped]).astype(np.float16), truth))
    return cases


def test_a_stack_learns_whom_to_trust(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = misled()
    network = train_stack(cases[:3], TWO, 2, steps=80, seed=0)
    mean = cases[3].probabilities.reshape(2, 3, 12, 12, 12).astype(np.float32).mean(axis=0).argmax(axis=0)
    whole, parts = (np.empty((3, 12, 12, 12), np.float32) for _ in range(2))
    apply_stack(network, cases[3].probabilities, whole)
    truth = cases[3].truth
    assert (mean == truth)[truth > 0].mean() < 0.1
    assert (whole.argmax(axis=0) == truth)[truth > 0].mean() > 0.95
    monkeypatch.setattr(stacking, "_BLOCK_VALUES", 6 * 12 * 12 * 5)
    apply_stack(network, cases[3].probabilities, parts)
    assert np.allclose(parts, whole, atol=1e-5)


def test_folds_as_members_have_no_common_case(pair: Pair, tmp_path: Path) -> None:
    built = build_ensemble([pair.runs[0]], tmp_path / "out", "vote", each_fold=True)
    assert (built.cases, built.figures) == (0, {})
    assert len(EnsemblePredictor.of(tmp_path / "out").members) == 2
    assert [m.name for m in find_members([pair.runs[0] / "fold_1", pair.runs[1]])] == ["volume/fold_1", "coronal"]
    with pytest.raises(BadInput, match="every member held out, and there are 0"):
        build_ensemble([pair.runs[0]], tmp_path / "stack", "stack", each_fold=True)


def test_refusals(pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="needs two members"):
        build_ensemble(pair.runs[:1], tmp_path / "out")
    with pytest.raises(BadInput, match="named twice"):
        build_ensemble([pair.runs[0], pair.runs[0]], tmp_path / "out")
    other = tmp_path / "other"
    shutil.copytree(pair.runs[0], other)
    for about in other.glob("fold_*/model.json"):
        about.write_text(about.read_text().replace('"bright"', '"light"'))
    with pytest.raises(BadInput, match="same labels"):
        build_ensemble([pair.runs[1], other], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(BadInput, match="not empty"):
        build_ensemble(pair.runs, tmp_path / "full")
    with pytest.raises(BadInput, match="no ensemble.json"):
        EnsemblePredictor.of(tmp_path)


def as_if_mirrored(predictor: Predictor) -> Predictor:
    """The predictor as if its training had mirrored the second prepared axis."""
    assert predictor.augment is not None
    return replace(predictor, augment=predictor.augment.model_copy(update={"mirror": (1,)}))


def test_uncertainty_is_the_spread_over_members(pair: Pair) -> None:
    """Two networks, each with the scan, its mirror image along the second prepared axis, and four views as in training."""
    predictor = as_if_mirrored(Predictor.of(Run(pair.runs[0])))
    scan = read_volume(pair.scan)
    sampling = Sampling.parse("tta,folds")
    shape = (predictor.maps, *scan.shape)
    passes = []
    with SharedViews(scan) as shared:
        for one in members([predictor], shared, sampling):
            out = np.empty(shape, np.float16)
            one(out)
            passes.append(out.astype(np.float64))
    assert len(passes) == 2 * (2 + 4)
    with scan_disagreement([predictor], scan, sampling) as (found, count):
        assert count == 12
        assert np.allclose(found.spread, np.std(passes, axis=0, ddof=1).max(axis=0), atol=1e-3)
    first = Predictor.from_folds([pair.runs[0] / "fold_0"])
    assert np.allclose(passes[0], first.probabilities(scan), atol=2e-3)
    together = with_tta(as_if_mirrored(first)).probabilities(scan)
    assert np.allclose((passes[0] + passes[1]) / 2, together, atol=2e-3), "the mirror images are those of prediction"
    averaged = np.empty(shape, np.float16)
    with SharedViews(scan) as shared:
        members([predictor], shared, Sampling.parse("tta"))[0](averaged)
    assert np.allclose(averaged, (passes[0] + passes[6]) / 2, atol=2e-3), "what does not vary is averaged"
    check_sources([predictor], Sampling.parse("folds"))
    with pytest.raises(BadInput, match="no spread over folds"):
        check_sources([first], Sampling.parse("folds"))


def test_command_line(pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "both"
    assert voxloom(["ensemble", *map(str, pair.runs), "-o", str(out), "--by", "vote"]) == 0
    printed = capsys.readouterr()
    assert "Dice on 6 cases that no member has seen" in printed.err
    assert f"Wrote {out / 'ensemble.json'}" in printed.out
    asked = ["predict", str(out), str(pair.scan), "-o", str(tmp_path / "found"), "--uncertainty"]
    assert voxloom([*asked, "tta"]) == 2, "an ensemble has no single network whose views could be taken"
    assert not (tmp_path / "found").exists()
    assert voxloom([*asked, "folds"]) == 0
    label = read_label(tmp_path / "found" / "ball02.nii.gz")
    spread = read_volume(tmp_path / "found" / "uncertainty" / "ball02_spread.nii.gz")
    assert spread.same_grid(label)
    assert 0 < float(spread.data.max()) < 0.8
    assert voxloom(["ensemble", str(pair.runs[0]), "-o", str(tmp_path / "one")]) == 2
    assert voxloom(["predict", str(out), str(pair.scan), "-o", str(tmp_path / "x"), "--tta"]) == 2


@pytest.fixture(scope="module")
def organ(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the same folds in which both labels are one."""
    settings = {
        **TINY,
        "training.steps": 30,
        "training.validations": 1,
        "folds.count": 2,
        "labels.merge": {"organ": "all"},
    }
    data = pair.scan.parents[1]
    return train(data, Recipe.load("auto").changed(settings), out=tmp_path_factory.mktemp("organ") / "organ").folder


@pytest.mark.usefixtures("one_thread")
def test_a_stack_takes_members_with_other_labels_and_has_one_network_per_fold(
    pair: Pair, organ: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="a stack"):
        build_ensemble([organ, pair.runs[1]], tmp_path / "mean")
    built = build_ensemble([organ, *pair.runs], tmp_path / "out", "stack", steps=20)
    about = json.loads((built.folder / "ensemble.json").read_text())
    assert [Path(m["run"]).name for m in about["members"]] == ["volume", "coronal", "organ"]
    assert about["alike"] == 2
    assert list(built.figures["organ"]["dice"]) == ["organ"]
    assert list(built.figures["ensemble"]["dice"]) == ["bright", "dark", "mean", "total"]
    folds = built.figures["ensemble"]["robustness"]["total"]
    assert len(folds["folds"]) == 2
    assert folds["sd_folds"] >= 0
    assert sorted(path.parent.name for path in built.folder.glob("fold_*/stack.safetensors")) == ["fold_0", "fold_1"]
    ensemble = EnsemblePredictor.of(built.folder)
    assert [member.maps for member in ensemble.members] == [
        3,
        3,
        1,
    ]  # an organ of two values is a region: one map, no background
    assert ensemble.stack is not None
    assert ensemble.stack.first.in_channels == 7
    assert set(np.unique(ensemble.predict(pair.scan).data)) <= {0, 3, 207}
    assert len(members_of(ensemble)) == 2


def test_a_stack_hears_a_member_with_other_labels() -> None:
    """Two labels that the first member cannot tell apart, and one binary member that knows where the first of them is."""
    cases = []
    for one in misled():
        unsure = np.stack([one.truth == 0, (one.truth > 0) * 0.5, (one.truth > 0) * 0.5]) * 0.9 + 0.03
        knows = np.stack([one.truth != 1, one.truth == 1]) * 0.9 + 0.05
        cases.append(StackCase(np.concatenate([unsure, knows]).astype(np.float16), one.truth))
    network = train_stack(cases[:3], TWO, 1, steps=80, seed=0)
    found = np.empty((3, 12, 12, 12), np.float32)
    apply_stack(network, cases[3].probabilities, found)
    truth = cases[3].truth
    assert (found.argmax(axis=0) == truth)[truth > 0].mean() > 0.95


def test_the_best_of_every_kind_are_chosen(pair: Pair, organ: Path, tmp_path: Path) -> None:
    copies = []
    for number, run in enumerate([*pair.runs, organ]):
        for rank, dice in enumerate((0.2, 0.9)):
            copy = tmp_path / f"{number}-{rank}"
            shutil.copytree(run, copy)
            for table in copy.glob("fold_*/metrics.csv"):
                figures = Evaluation.read_csv(table)
                rows = [replace(row, metrics=replace(row.metrics, dice=dice)) for row in figures.rows]
                Evaluation(figures.labels, rows).write_csv(table)
            copies.append(copy)
    chosen = best_members(find_members(copies), 1)
    assert [member.name for member in chosen] == ["0-1", "1-1", "2-1"]
    (copies[0] / "fold_0" / "metrics.csv").unlink()
    (copies[0] / "fold_1" / "metrics.csv").unlink()
    with pytest.raises(BadInput, match="no score to choose by"):
        best_members(find_members(copies), 1)
