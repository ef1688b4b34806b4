"""``folds.test``: a test set that neither trains nor validates, drawn by stratum, and scored when everything is trained."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe
from voxloom.run.cases import drawn_test, joined_cases, whole_cases
from voxloom.verbs.train import train

from .conftest import TINY, write_balls

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_drawn_test_set_is_kept_apart_and_scored(tmp_path: Path) -> None:
    data = write_balls(tmp_path / "balls", 10)
    with (data / "participants.csv").open("w", newline="") as f:
        csv.writer(f).writerows(
            [["case", "patient", "source"], *([f"ball{n:02d}", f"p{n}", "AB"[n % 2]] for n in range(10))]
        )
    small = {**TINY, "training.steps": 6, "training.validations": 1}
    recipe = Recipe.load("auto").changed({**small, "folds.test": 0.2, "folds.test_stratify": ["source"]})
    drawn = drawn_test(whole_cases(Dataset(data), recipe), recipe)
    assert len(drawn) == 2
    assert sorted(int(case[-1]) % 2 for case in drawn) == [0, 1]  # one of each source
    assert not set(drawn) & {case.id for case in joined_cases(Dataset(data), recipe)}
    run = train(data, recipe, out=tmp_path / "run")
    assert not set(drawn) & {case["id"] for case in run.data["cases"]}
    kept = run.summary["external"]["test set"]
    assert (kept["cases"], kept["folder"]) == (2, "external/test_set")
    assert {
        path.name.split(".")[0] for path in (run.folder / "external" / "test_set" / "predictions").iterdir()
    } == set(drawn)
    assert (
        "20 % of the patients were set apart as a test set, alike in source" in (run.folder / "methods.md").read_text()
    )


def test_strata_without_a_test_set_are_refused() -> None:
    with pytest.raises(BadInput, match="test is 0"):
        Recipe.load("auto").changed({"folds.test_stratify": ["source"]})
