"""A recipe that extends another: what wins, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe


def test_own_keys_win_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "seed: 3\ntraining: {batch: 8, steps: 5}\nnetwork: {kind: fpn, encoder: resnet50}"
    )
    (tmp_path / "mine.yaml").write_text("extends: base.yaml\ntraining: {batch: 2}\nnetwork: {encoder: resnet34}")
    recipe = Recipe.load(tmp_path / "mine.yaml")
    assert recipe.training == {"batch": 2, "steps": 5}
    assert recipe.network == {"kind": "fpn", "encoder": "resnet34"}
    assert recipe.seed == 3
    assert "extends" not in recipe.dump()


def test_a_network_of_another_kind_starts_anew() -> None:
    recipe = Recipe.parse("extends: skull-strip-3d\nnetwork: {kind: msd, dims: 3}", "text")
    assert recipe.network == {"kind": "msd", "dims": 3}
    assert recipe.training == Recipe.load("skull-strip-3d").training


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: ct-kidny", "Did you mean `ct-kidney`"),
        ("extends: mine.yaml", "leads back"),
        ("extends: auto\ntraining: {batchs: 2}", "Did you mean `batch`"),
        ("extend: auto", "Did you mean `extends`"),
    ],
)
def test_what_cannot_be_extended_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(BadInput, match=message) as error:
        Recipe.load(tmp_path / "mine.yaml")
    assert "\n" not in str(error.value)


def test_extends_is_no_key_that_can_be_changed() -> None:
    with pytest.raises(BadInput, match="recipe files only"):
        Recipe.load("auto").changed({"extends": "ct-kidney"})


def test_steps_of_the_file_take_the_place_of_the_epochs_it_extends(tmp_path: Path) -> None:
    path = tmp_path / "short.yaml"
    path.write_text("extends: ct-kidney\ntraining: {steps: 50}\n")
    assert Recipe.load(path).training["steps"] == 50
    assert "epochs" not in Recipe.load(path).training
