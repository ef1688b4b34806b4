"""A landmark run from points to points through the command line: train, predict, evaluate, compare, resume; and refusals."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from voxloom.cli.app import run as voxloom
from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.evaluation.points import PointEvaluation
from voxloom.formats import Header, read_volume, write_volume
from voxloom.points import Point, read_points, write_points
from voxloom.recipe.recipe import Recipe
from voxloom.run.features import KnownFeatures
from voxloom.tasks.landmarks.plan import orientation_of_slices, plan_landmarks
from voxloom.verbs.run import Run
from voxloom.volume import Volume

LEVELS = ("L1", "L2", "L3")


def write_scans(root: Path, count: int, first: int = 0) -> Path:
    """Sagittal scans, slices 4 mm apart along k, in which discs of unlike brightness mark three paired landmarks."""
    affine = np.array([[0, 0, 4.0, -14.0], [2.0, 0, 0, -32.0], [0, 2.0, 0, -48.0], [0, 0, 0, 1.0]])
    for n in range(first, first + count):
        random = np.random.default_rng(n)
        data = random.normal(0, 0.15, (1, 32, 48, 8)).astype(np.float32)
        points = []
        for level, name in enumerate(LEVELS):
            for side, k in (("left", 1), ("right", 6)):
                i, j = 16 + random.integers(-4, 5), 40 - 15 * level + random.integers(-2, 3)
                where = np.hypot(*np.ogrid[-i : 32 - i, -j : 48 - j]) <= 3.0
                data[0, :, :, k][where] += (2.5, -2.5, 6.0)[level]
                points.append(Point(name, side, tuple((affine @ [i, j, k, 1.0])[:3])))
        write_volume(Volume(data, affine), root / "images" / f"s{n}.nii.gz")
        write_points(points, root / "points" / f"s{n}.csv", f"s{n}")
    return root


RECIPE = """
name: tiny
folds: {hold_out: 0.3}
prepare: {spacing: [2.0, 2.0, null]}
landmarks: {network: multinet, channels: 4, max_channels: 8, levels: 2, radius: 6.0, dropout: 0.0}
training: {patch: [33, 49, 3], batch: 4, steps: 60, learning_rate: 0.02, ema: 0.8, validations: 2, foreground: 0.8}
augment: {rotation_chance: 0, scale_chance: 0, elastic_chance: 0, blur_chance: 0, low_resolution_chance: 0, bias_field_chance: 0}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, the recipe and a run."""
    root = tmp_path_factory.mktemp("lände marks")
    write_scans(root / "scans", 6)
    (root / "tiny.yaml").write_text(RECIPE)
    place = ["-o", str(root / "run"), "--external", str(write_scans(root / "elsewhere", 2, first=80))]
    assert voxloom(["train", str(root / "scans"), "-r", str(root / "tiny.yaml"), *place]) == 0
    return root


def test_marks_are_explained_slice_by_slice(trained: Path, tmp_path: Path) -> None:
    scan = trained / "elsewhere" / "images" / "s80.nii.gz"
    words = ["explain", str(trained / "run"), str(scan), "-o", str(tmp_path), "--answer", "L2"]
    assert voxloom([*words, "--method", "integrated-gradients", "--steps", "4"]) == 0
    found, image = read_volume(tmp_path / "s80_integrated-gradients_L2.nii.gz"), read_volume(scan)
    assert found.same_grid(image)
    dark = ndimage.uniform_filter(image.data[0], (3, 3, 1)) < -1.5
    assert np.abs(found.data[0][dark]).mean() > 4 * np.abs(found.data[0][~dark]).mean()
    assert voxloom([*words, "--method", "grad-cam"]) == 0
    assert read_volume(tmp_path / "s80_grad-cam_L2.nii.gz").data.max() == pytest.approx(1)
    assert voxloom(["explain", str(trained / "run"), str(scan), "-o", str(tmp_path / "b"), "--method", "cam"]) == 2
    assert [one.case for one in Run(trained / "run").top_losses()]


def test_a_run_finds_the_held_out_landmarks(trained: Path) -> None:
    summary = json.loads((trained / "run" / "summary.json").read_text())
    assert summary["task"] == "landmarks"
    figures = summary["validation"]["all"]
    assert figures["points"] == 12
    assert figures["recall"] >= 0.8, figures
    log = (trained / "run" / "fold_0" / "log.csv").read_text().splitlines()[0]
    assert log.startswith("step,seconds,epoch,lr,train_loss,val_recall,val_recall_L1")
    for name in ("report.html", "plan.md", "repeat.yaml", "calibration.json", "fold_0/metrics.csv"):
        assert (trained / "run" / name).is_file(), name
    page = (trained / "run" / "report.html").read_text()
    assert "landmarks within 5 mm" in page
    assert "Risk over coverage" in page


def test_cards_are_filled(trained: Path) -> None:
    model, claim, methods = (
        (trained / "run" / n).read_text("utf-8") for n in ("model_card.md", "claim.md", "methods.md")
    )
    assert f"localization of {', '.join(LEVELS[:-1])} and {LEVELS[-1]}" in model
    assert "held-out | L1 |" in model
    assert "Around every mark" in methods
    assert "windows" in methods
    assert "of 12 landmarks were found within 5 mm" in methods
    assert "the calibration of the confidences" in claim
    assert "not known to the run" not in claim
    assert "Dice 0" not in model + claim + methods


def test_scans_are_compared_by_the_features_of_a_u_net_and_not_by_slabs(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = "network: {features: [4, 8, 8], strides: [[1, 1, 1], [2, 2, 1], [2, 2, 2]], kernels: [K, K, K]}".replace(
        "K", "[3, 3, 3]"
    )
    changed = re.sub(r"landmarks: .*", f"landmarks: {{network: unet, radius: 6.0}}\\n{small}", RECIPE).replace(
        "[33, 49, 3]", "[16, 32, 48]"
    )
    (tmp_path / "unet.yaml").write_text(changed.replace("batch: 4, steps: 60", "batch: 2, steps: 4"))
    run = tmp_path / "run"
    assert voxloom(["train", str(trained / "scans"), "-r", str(tmp_path / "unet.yaml"), "-o", str(run)]) == 0
    known = KnownFeatures.of(Run(run).fold(0), Run(run).patients)
    assert known is not None
    assert (len(known.training), len(known.held_out)) == (4, 2)
    scans = trained / "scans" / "images"
    capsys.readouterr()
    assert voxloom(["predict", str(run), str(scans), "-o", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["features"]
    for case, row in known.held_out.items():
        place = known.place(row)
        assert (found[case]["held_out"], found[case]["unlike"]) == (place.held_out, place.unlike) == (2, None)
        assert found[case]["distance"] == pytest.approx(place.distance, rel=1e-3)
    for case in known.training:
        assert found[case]["distance"] < 0.1, "nothing but what windows leave out"
    assert voxloom(["predict", str(trained / "run"), str(scans), "-o", str(tmp_path / "slabs"), "--json"]) == 0
    assert "features" not in json.loads(capsys.readouterr().out)


def test_an_external_set_is_scored_apart(trained: Path) -> None:
    summary = json.loads((trained / "run" / "summary.json").read_text())
    assert summary["validation"]["all"]["points"] == 12
    external = summary["external"]["elsewhere"]
    assert (external["cases"], external["all"]["points"]) == (2, 12)
    assert external["all"]["recall"] >= 0.7
    about = json.loads((trained / "run" / "data.json").read_text())
    assert [case["id"] for case in about["cases"]] == [f"s{n}" for n in range(6)]
    assert [case["id"] for case in about["outside"]["elsewhere"]] == ["s80", "s81"]
    assert "Landmarks of external cases of elsewhere" in (trained / "run" / "report.html").read_text()
    assert (trained / "run" / "external" / "elsewhere" / "metrics.csv").is_file()


@pytest.mark.parametrize("ending", [".csv", ".mrk.json"])
def test_points_of_new_scans(trained: Path, tmp_path: Path, ending: str) -> None:
    new = write_scans(tmp_path / "new", 1, first=50)
    scan = str(new / "images" / "s50.nii.gz")
    assert voxloom(["predict", str(trained / "run"), scan, "-o", str(tmp_path / "out"), "--ending", ending]) == 0
    found = read_points(tmp_path / "out" / f"s50{ending}")
    assert {p.name for p in found} <= set(LEVELS)
    assert len(found) >= 4
    if ending == ".csv":
        assert all(p.confidence is not None and 0 < p.confidence < 1 for p in found)


def test_evaluate_and_compare(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = write_scans(tmp_path / "test", 2, first=80)
    assert voxloom(["evaluate", str(trained / "run"), str(test), "-o", str(tmp_path / "out"), "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["all"]["points"] == 12
    assert scored["all"]["recall"] >= 0.7
    predictions = str(tmp_path / "out" / "predictions")
    truth = ["--truth", str(test / "points")]
    assert voxloom(["points", predictions, str(test / "points"), *truth, "--json", "-o", str(tmp_path / "p.csv")]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert compared["b"]["all"]["recall"] == 1.0
    assert compared["mcnemar"]["only_a"] == 0
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 13
    assert voxloom(["points", predictions, str(test / "points"), "--scans", str(test), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["landmarks"]) == 12


def test_every_pair_of_runs_of_a_sweep_is_tested(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Copies of one run whose tables differ as it is known: one has lost two of its points, one all."""
    whole = PointEvaluation.read_csv(trained / "run" / "fold_0" / "metrics.csv").rows
    right = [n for n, row in enumerate(whole) if row.within(5.0)]
    for number, lost in enumerate([0, 2, len(right)]):
        folder = tmp_path / "sweep" / "runs" / f"{number:04d}"
        (folder / "fold_0").mkdir(parents=True)
        (folder / "recipe.yaml").write_text((trained / "run" / "recipe.yaml").read_text())
        rows = [replace(r, outcome="missed", in_plane=nan) if n in right[:lost] else r for n, r in enumerate(whole)]
        PointEvaluation(rows).write_csv(folder / "fold_0" / "metrics.csv")
    (tmp_path / "sweep" / "sweep.yaml").write_text("over: {network: {Base: {}, Less: {}, None: {}}}\n")
    lines = [f"{n},{name},finished,runs/{n:04d}" for n, name in enumerate(("Base", "Less", "None"))]
    (tmp_path / "sweep" / "table.csv").write_text("\n".join(["trial,network,status,run", *lines, ""]))
    assert voxloom(["points", str(tmp_path / "sweep"), "--json", "-o", str(tmp_path / "pairs.csv")]) == 0
    pairs = json.loads(capsys.readouterr().out)["pairs"]
    pairs.sort(key=lambda pair: ["Base Less", "Less None", "Base None"].index(f"{pair['a']} {pair['b']}"))
    assert [(p["a"], p["b"], p["only_a"], p["only_b"]) for p in pairs] == [
        ("Base", "Less", 2, 0), ("Less", "None", len(right) - 2, 0), ("Base", "None", len(right), 0),
    ]  # fmt: skip
    # a vote per patient, of whom there are two: with one, and with both against "None", no test can show more
    assert [p["p"] for p in pairs] == [1.0, 0.5, 0.5]
    assert [p["p_holm"] for p in pairs] == [1.0, 1.0, 1.0]
    assert len((tmp_path / "pairs.csv").read_text().splitlines()) == 4


def test_maps_and_cutouts_of_a_scan(trained: Path, tmp_path: Path) -> None:
    new = write_scans(tmp_path / "new", 1, first=50)
    scan, out = new / "images" / "s50.nii.gz", tmp_path / "out"
    assert voxloom(["predict", str(trained / "run"), str(scan), "-o", str(out), "--maps", "--cutouts", "20"]) == 0
    maps = [read_volume(path) for path in sorted((out / "maps").iterdir())]
    points = read_points(out / "s50.csv")
    assert maps
    assert all(one.data.min() >= 0 and 0.5 < one.data.max() <= 1 for one in maps)
    place = np.rint(np.linalg.inv(maps[0].affine) @ [*points[0].position, 1]).astype(int)[:3]
    assert max(float(one.data[0][tuple(place)]) for one in maps) > 0.5  # the point lies where its map is high
    cuts = sorted(path.name for path in (out / "cutouts").iterdir())
    assert cuts == sorted(f"s50_{p.name}_{p.side}.nii.gz" for p in points)
    assert read_volume(out / "cutouts" / cuts[0]).shape == (11, 11, 5)


def test_the_page_counts_marks_and_draws_points(trained: Path) -> None:
    plan = json.loads((trained / "run" / "plan.json").read_text())
    (row,) = [row for row in plan if row["choice"] == "marks"]
    assert row["value"] == "L1 12, L2 12, L3 12"
    page = (trained / "run" / "report.html").read_text()
    assert "Points of held-out cases on their slices" in page
    assert "The worst landmarks of held-out cases" in page


def test_unnamed_marks_become_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scans = write_scans(tmp_path / "scans", 2)
    lines = ["case,x,y,z"]
    for n in range(2):
        lines += [f"s{n},{x},{y},{z}" for x, y, z in (p.position for p in read_points(scans / "points" / f"s{n}.csv"))]
    (tmp_path / "marks.csv").write_text("\n".join(lines))
    words = ["translate", str(tmp_path / "marks.csv"), "-o", str(tmp_path / "named"), "--to", ".csv", "--names"]
    assert voxloom([*words, ",".join(LEVELS)]) == 0
    for n in range(2):
        assert read_points(tmp_path / "named" / f"s{n}.csv") == read_points(scans / "points" / f"s{n}.csv")
    capsys.readouterr()
    assert voxloom([*words[:3], str(tmp_path / "x"), *words[4:], "L1,L2"]) == 2
    assert "s0: 3 structures are marked on the left" in capsys.readouterr().err


def test_loss_and_dice_of_the_maps_are_logged(trained: Path) -> None:
    with (trained / "run" / "fold_0" / "log.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert {"val_loss", "val_map_dice"} <= set(rows[0])
    assert 0.2 < float(rows[-1]["val_map_dice"]) <= 1  # an empty map has 0
    assert float(rows[-1]["val_loss"]) < 1 - 0.2


def test_what_belongs_to_label_maps_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert voxloom(["export", str(trained / "run"), "--to", "monai", "-o", str(tmp_path / "b")]) == 2
    assert "trained on points and cannot be exported" in capsys.readouterr().err
    scan = str(trained / "scans" / "images" / "s0.nii.gz")
    assert voxloom(["predict", str(trained / "run"), scan, "-o", str(tmp_path), "--ending", ".mha"]) == 2
    assert "cannot be written as .mha" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    assert voxloom(["points", str(tmp_path), str(other)]) == 2
    assert "Give --truth" in capsys.readouterr().err
    assert voxloom(["points", str(trained / "run")]) == 2
    assert "not two runs" in capsys.readouterr().err


def test_a_training_case_is_no_test(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert voxloom(["evaluate", str(trained / "run"), str(trained / "scans")]) == 2
    assert "have the same image file" in capsys.readouterr().err


def test_a_killed_run_is_finished_with_the_same_weights(trained: Path, tmp_path: Path) -> None:
    from voxloom.training.weights import load_weights, weights_hash
    from voxloom.verbs.train import train

    short = Recipe.load(trained / "tiny.yaml").changed({"training.steps": 8, "training.validations": 1})
    straight = train(trained / "scans", short, out=tmp_path / "straight")

    from voxloom.run.listener import Listener

    @contextlib.contextmanager
    def interrupting(fold: int):  # type: ignore[no-untyped-def]
        def report(step: int, *_: object) -> None:
            if step == 4:
                os.kill(os.getpid(), signal.SIGINT)

        yield report

    with pytest.raises(KeyboardInterrupt):
        train(trained / "scans", short, out=tmp_path / "killed", listener=Listener(reporter=interrupting))
    resumed = train(trained / "scans", out=tmp_path / "killed", resume=True)
    hashes = [weights_hash(load_weights(r.folder / "fold_0")[0]) for r in (straight, resumed)]
    assert hashes[0] == hashes[1]


def test_a_run_under_a_budget_can_be_repeated_exactly(trained: Path, tmp_path: Path) -> None:
    from voxloom.training.weights import load_weights, weights_hash
    from voxloom.verbs.train import train

    recipe = Recipe.load(trained / "tiny.yaml").changed({"training.validations": 1})
    first = train(trained / "scans", recipe, out=tmp_path / "first", budget="2s")
    again = train(trained / "scans", first.folder / "repeat.yaml", out=tmp_path / "again")
    assert first.recipe.budget == "2s"
    assert Recipe.load(first.folder / "repeat.yaml").budget is None
    hashes = [weights_hash(load_weights(r.folder / "fold_0")[0]) for r in (first, again)]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    "name", ["foramina-singlenet", "foramina-multinet", "foramina-multinet-lowres", "vertebra-centres"]
)
def test_shipped_recipes_are_complete(name: str) -> None:
    recipe = Recipe.load(name)
    affine = np.array([[4.0, 0, 0, -40], [0, 0.6, 0, -150], [0, 0, 0.6, -150], [0, 0, 0, 1]])
    headers = [Header((20, 500, 500), 1, affine, "int16", "")]
    plan = plan_landmarks(recipe, headers, 1 if name == "foramina-singlenet" else 5)
    again = plan_landmarks(plan.recipe, headers, 1 if name == "foramina-singlenet" else 5)
    assert again.recipe == plan.recipe
    if name != "vertebra-centres":
        assert plan.training.patch[2] == 3
        assert plan.spacing[2] == pytest.approx(4.0)
        assert plan.augment.rotation == (0, 0, 45)
    else:
        assert plan.network is not None
        assert plan.network.out_channels == 5


def test_slices_come_last_whatever_the_plane() -> None:
    for codes, expected in (((4.0, 0.5, 0.5), "ASR"), ((0.5, 4.0, 0.5), "RSA"), ((0.5, 0.5, 4.0), "RAS")):
        header = Header((9, 9, 9), 1, np.diag([*codes, 1.0]), "int16", "")
        assert orientation_of_slices([header])[0] == expected


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"training.patch": [32, 32, 8]}, "multinet reads 3"),
        ({"network.features": [8, 16, 32]}, "belong to a U-Net"),
        ({"landmarks.target": "gaussian"}, "fuzzy Dice needs targets of 0 and 1"),
        ({"landmarks.names": ["L1"]}, "points are named L2, L3"),
        ({"prepare.normalize": "ct"}, "needs label maps"),
        ({"data.exclude": ["nobody"]}, "excluded cases that do not exist"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(trained: Path, tmp_path: Path, changes: dict, says: str) -> None:  # type: ignore[type-arg]
    from voxloom.verbs.train import train

    with pytest.raises(BadInput, match=says):
        train(trained / "scans", Recipe.load(trained / "tiny.yaml").changed(changes), out=tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_a_set_without_points_is_refused(tmp_path: Path) -> None:
    from voxloom.verbs.train import train

    write_volume(Volume(np.ones((1, 8, 8, 4), np.float32), np.eye(4)), tmp_path / "images" / "a.nii.gz")
    with pytest.raises(BadInput, match="no case has points"):
        train(Dataset(tmp_path), "foramina-multinet", out=tmp_path / "run")
