"""A name that is no label's is refused before any work, whichever key has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.study.conftest import write_balls
from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe
from voxloom.verbs.train import train


@pytest.fixture(scope="module")
def balls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Balls called bright and dark."""
    return write_balls(tmp_path_factory.mktemp("names") / "balls", 2)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"inference.largest_component": ["brigt"]}, "no label is called brigt. Did you mean `bright`?"),
        ({"inference.instances": ["liver"]}, "`inference.instances`: no label is called liver. There are bright, dark"),
        (
            {"inference.postprocess": [{"step": "smooth", "labels": ["dork"]}]},
            "`inference.postprocess`: no label is called dork. Did",
        ),
        (
            {"inference.postprocess": [{"step": "name_in_order", "labels": ["dark", "L1"]}]},
            "`inference.postprocess`: no label is called L1",
        ),
        ({"evaluate.tolerance_mm": {"bright": 1, "dark": 1, "x": 1}}, "`evaluate.tolerance_mm`: no label is called x"),
        (
            {"evaluate.tolerance_mm": {"bright": 1}, "evaluate.metrics": ["nsd"]},
            "evaluate.tolerance_mm: no tolerance for label dark. Add dark: MM",
        ),
    ],
)
def test_it_is_refused_before_any_work(balls: Path, tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput) as refused:
        train(balls, Recipe.load("auto").changed(change), out=tmp_path / "run")
    assert told in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_labels_are_those_that_the_recipe_makes(balls: Path, tmp_path: Path) -> None:
    """Merged ones have the name of the recipe, and the old ones are gone."""
    change = {"labels.merge": {"ball": ["bright", "dark"]}, "inference.largest_component": ["bright"]}
    with pytest.raises(BadInput, match="no label is called bright. There are ball"):
        train(balls, Recipe.load("auto").changed(change), out=tmp_path / "run")


def test_pictures_do_not_say_where_the_head_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in "ab":
        for part, values in (("images", rng.integers(0, 255, (16, 16))), ("masks", np.eye(16) * 255)):
            (tmp_path / "set" / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(tmp_path / "set" / part / f"{name}.png")
    recipe = Recipe.load("auto").changed({"inference.postprocess": ["name_in_order"]})
    with pytest.raises(BadInput, match="pictures do not say where the head is"):
        train(tmp_path / "set", recipe, out=tmp_path / "run")
