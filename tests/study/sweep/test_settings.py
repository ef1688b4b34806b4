"""Sweep files: everything is checked before anything starts, and the right key is suggested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from voxloom.errors import BadInput
from voxloom.sweep import Sweep
from voxloom.sweep.space import parse_factor
from voxloom.tasks.landmarks.task import settings_of
from voxloom.tasks.landmarks.training import build_landmark_network

GOOD: dict[str, Any] = {"data": "balls", "over": {"training.batch": [1, 2]}}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "sweep é.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}, allow_unicode=True), encoding="utf-8")
    return path


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("training: {batch: 3}")
    sweep = Sweep.load(written(tmp_path, recipe="mine.yaml", set={"seed": 5}))
    assert sweep.data == tmp_path / "balls"
    assert sweep.base.training == {"batch": 3}
    assert sweep.base.seed == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"overr": {}}, "Did you mean `over`"),
        ({"over": {}}, "over"),
        ({"over": {"training.bach": [1, 2]}}, "Did you mean `batch`"),
        ({"over": {"trainning.batch": [1, 2]}}, "Did you mean `training`"),
        ({"over": {"training.batch": [1, 0]}}, "training.batch"),
        ({"over": {"training.batch": [2, 2]}}, "listed twice"),
        ({"over": {"training.batch": 2}}, "is not a factor"),
        ({"over": {"x": {"a": {"training.stepps": 3}}}}, "Did you mean `steps`"),
        ({"over": {"x": {"a": {"training.batch": 3}}, "training.batch": [1]}}, "both change training.batch"),
        ({"set": {"training.stepps": 3}}, "Did you mean `steps`"),
        ({"over": {"training.batch": {"low": 1, "high": 4}}}, "a grid needs a list"),
        ({"search": "random"}, "trials"),
        ({"trials": 3}, "Leave trials out"),
        ({"search": "bayes"}, "search"),
        ({"over": {"training.batch": {"low": 4, "high": 1}}, "search": "tpe", "trials": 2}, "low must be below"),
        ({"over": {"training.batch": {"low": 0, "high": 4}}, "search": "tpe", "trials": 2}, "training.batch"),
        ({"over": {"training.batch": {"low": 0, "high": 4, "log": True}}, "search": "tpe", "trials": 2}, "log needs"),
        ({"recipe": "autoo"}, "Did you mean `auto`"),
        ({"score": "hd95", "goal": "max"}, "small values are good"),
        ({"score": "volume_error_ml"}, "neither large nor small"),
        ({"score": "dise"}, "no score `dise`"),
        ({"score": "dice.liver.mode"}, "no figure over cases"),
        ({"tables": {"across": "training.batsh"}}, "Did you mean `training.batch`"),
        ({"tables": {"merge": {"training.batch": {"few": ["1", "3"]}}}}, "never '3'"),
    ],
)
def test_refusals(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message) as error:
        Sweep.load(written(tmp_path, **changes))
    assert "\n" not in str(error.value)


def test_levels_that_change_several_keys() -> None:
    factor = parse_factor("size", {"small": {"training.batch": 1, "seed": 2}, "as it is": None}, "f")
    assert factor.changes("small") == {"training.batch": 1, "seed": 2}
    assert factor.changes("as it is") == {}
    assert factor.keys == {"training.batch", "seed"}


def test_values_of_any_kind_have_a_name() -> None:
    factor = parse_factor("augment.mirror", [[], [0, 1], None, True], "f")
    assert list(factor.levels) == ["[]", "[0,1]", "null", "true"]
    assert factor.changes("[0,1]") == {"augment.mirror": [0, 1]}


def test_a_file_survives_the_round_trip(tmp_path: Path) -> None:
    sweep = Sweep.load(written(tmp_path, search="tpe", trials=3, over={"seed": {"low": 1, "high": 9, "step": 2}}))
    (tmp_path / "again.yaml").write_text(sweep.dump(), encoding="utf-8")
    assert Sweep.load(tmp_path / "again.yaml") == sweep


@pytest.mark.parametrize(
    ("name", "runs"),
    [("cervical-spine-cnns", 6), ("foramina-singlenet-study", 11), ("foramina-multinet-study", 20)],
)
def test_a_shipped_study_has_a_run_for_every_row_of_its_tables(name: str, runs: int, tmp_path: Path) -> None:
    sweep = Sweep.load(name, data=tmp_path)
    (factor,) = sweep.factors
    assert len(factor.levels) == runs
    for level in factor.levels:
        recipe = sweep.base.changed(factor.changes(level))
        if sweep.score == "recall":
            build_landmark_network(settings_of(recipe), None, 1, 5 if "multinet" in name else 1)
        else:
            assert (recipe.network["kind"], recipe.prepare["n4"], recipe.slices.plane) == ("cnn", False, "sagittal")
