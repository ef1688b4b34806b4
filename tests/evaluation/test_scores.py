"""Every score knows whether large or small values are good; a goal that contradicts it is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from voxloom.cli.app import run
from voxloom.errors import BadInput
from voxloom.evaluation import METRICS
from voxloom.evaluation.points import PointEvaluation
from voxloom.evaluation.scores import ASKED, FIGURES, MASK_SCORES, POINT_SCORES, check_score, goal_of, score_of
from voxloom.evaluation.summary import summarize
from voxloom.training.log import TrainingLog


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("dice", "max"),
        ("dice.liver.median", "max"),
        ("dice.liver.sd", "min"),
        ("hd95", "min"),
        ("test.hd95.liver", "min"),
        ("recall.L5", "max"),
        ("in_plane_mean", "min"),
        ("missed", "min"),
        ("val_dice_bone_loss", "max"),
        ("val_loss", "min"),
        ("train_loss", "min"),
        ("accuracy", "max"),
        ("speed", None),
    ],
)
def test_the_direction_of_a_score(name: str, goal: str | None) -> None:
    assert goal_of(name) == goal


def test_all_that_summaries_hold_has_a_direction() -> None:
    assert set(MASK_SCORES) == {*METRICS, *ASKED}
    assert set(FIGURES) >= set(summarize([0.5])) - {"ci"}
    assert set(PointEvaluation().summary()["all"]) == set(POINT_SCORES)
    assert score_of("hd95").unit == "mm"  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "goal"), [("in_plane_mean", "max"), ("dice", "min"), ("volume_error_ml", None)])
def test_contradictions_are_refused(name: str, goal: str | None) -> None:
    with pytest.raises(BadInput, match=name):
        goal_of(name, goal)  # type: ignore[arg-type]


def test_a_misspelt_score_is_told() -> None:
    with pytest.raises(BadInput, match="no score `dise`") as told:
        check_score("dise", MASK_SCORES)
    assert "`dice`" in str(told.value)
    with pytest.raises(BadInput, match="no figure"):
        check_score("dice.liver.mode", MASK_SCORES)


def test_a_label_called_loss_is_still_better_when_larger(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "log.csv", ["bone_loss"], monitor="val_dice_bone_loss")
    for dice in (0.2, 0.9):
        log.add([1, 1, 1, 0.1, 0.5, dice, dice])
    assert log.is_best()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    with path.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["size", "batch", "in_plane_mean", "quality"])
        writer.writerows([[n, n % 3, 9.0 / n + 1, 0.1 * n] for n in (1, 2, 3, 4, 6, 8)])
    return path


def test_importance_lists_the_smallest_distance_first(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["importance", str(table), "--score", "in_plane_mean", "--factors", "size,batch"]
    assert run([*line, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"][0]["size"] == 8
    assert run([*line, "--goal", "max"]) == 2
    assert "small values are good" in capsys.readouterr().err


def test_a_learning_curve_takes_distances_as_errors(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["curve", str(table), "--score", "in_plane_mean", "--size", "size", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["errors"][0] == 10.0
    assert run(["curve", str(table), "--score", "quality", "--size", "size"]) == 0
    assert "Nothing is known of `quality`" in capsys.readouterr().err
