"""Recipes: what is misspelt is named with the right key, everything survives a round trip."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxloom.dataset import Label, Labels
from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe
from voxloom.recipe.shipped import recipe_names
from voxloom.tasks.segmentation.facts import learned_as
from voxloom.training.settings import TrainingSettings


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_load_and_have_a_description(name: str) -> None:
    assert Recipe.load(name).description


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("trainning: {batch: 2}", "Did you mean `training`?"),
        ("training: {batchs: 2}", "Did you mean `batch`?"),
        ("prepare: {spaceing: [1, 1, 1]}", "Did you mean `spacing`?"),
        ("augment: {rotatoin: [1, 1, 1]}", "Did you mean `rotation`?"),
    ],
)
def test_misspelt_key_is_named_with_the_right_one(tmp_path: Path, text: str, hint: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as error:
        Recipe.load(path)
    assert "r.yaml" in str(error.value)
    assert hint in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "training: {batch: 0}",
        "training: {batch: many}",
        "folds: {count: 0}",
        "budget: soon",
        "inference: {overlap: 1.0}",
        "training: 3",
        "- a list",
        "a: [unclosed",
    ],
)
def test_wrong_values_are_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as error:
        Recipe.load(path)
    assert "\n" not in str(error.value)


def test_round_trip(tmp_path: Path) -> None:
    recipe = Recipe.parse("budget: 10m\ntraining: {batch: 3}\nfolds: {count: 5}", "text")
    recipe.save(tmp_path / "r.yaml")
    assert Recipe.load(tmp_path / "r.yaml") == recipe


def test_changed_keys_are_checked_too() -> None:
    recipe = Recipe.load("auto").changed({"training.batch": 4, "seed": 7})
    assert recipe.training == {"batch": 4}
    assert recipe.seed == 7
    with pytest.raises(BadInput, match="learning_rate"):
        recipe.changed({"training.learning_rat": 1})


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("2d", 172800)])
def test_budget_in_seconds(text: str, seconds: float) -> None:
    assert Recipe.load("auto").changed({"budget": text}).budget_seconds == seconds


def test_unknown_recipe_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Did you mean `auto`"):
        Recipe.load("autoo")


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("labels: {merge: [femur, tibia, fibula]}", ("femur+tibia+fibula", "patella"), [(1, 2, 3), (4,)]),
        ("labels: {merge: {bone: [tibia, patella]}}", ("femur", "bone", "fibula"), [(1,), (2, 4), (3,)]),
        ("labels: {merge: {bone: all}}", ("bone",), [(1, 2, 3, 4)]),
        ("seed: 1", ("femur", "tibia", "fibula", "patella"), [(1,), (2,), (3,), (4,)]),
    ],
)
def test_labels_are_merged_as_the_recipe_says(text: str, names: tuple[str, ...], values: list[tuple[int, ...]]) -> None:
    labels = Labels(tuple(Label(n, (v,)) for v, n in enumerate(("femur", "tibia", "fibula", "patella"), start=1)))
    merged = Recipe.parse(text, "text").labels.apply(labels)
    assert merged.names == names
    assert [label.values for label in merged.foreground] == values
    assert len(set(merged.written_values)) == len(names)


@pytest.mark.parametrize(("parts", "message"), [("[femur, tibbia]", "tibbia"), ("[femur]", "fewer than two")])
def test_a_merge_that_makes_no_sense_is_refused(parts: str, message: str) -> None:
    labels = Labels((Label("femur", (1,)), Label("tibia", (2,))))
    with pytest.raises(BadInput, match=message):
        Recipe.parse(f"labels: {{merge: {parts}}}", "text").labels.apply(labels)


def test_an_optimizer_named_alone_brings_its_usual_rate() -> None:
    planned = TrainingSettings(patch=(8, 8, 8), optimizer="muon", learning_rate=0.03)
    for keys, expected in (
        ({}, ("muon", 0.03)),
        ({"optimizer": "adamw"}, ("adamw", 0.006)),
        ({"learning_rate": 0.01}, ("muon", 0.01)),
        ({"optimizer": "sgd", "learning_rate": 0.1}, ("sgd", 0.1)),
    ):
        found = learned_as(planned, Recipe.check({"training": keys}, "test"))
        assert (found.optimizer, found.learning_rate) == expected
    other = learned_as(planned, Recipe.check({"network": {"kind": "fpn"}}, "test"))
    assert (other.optimizer, other.learning_rate) == ("adamw", 0.006)


def test_keys_under_a_budget_hold_only_with_one() -> None:
    text = """
training: {patch: [64, 64, 64], batch: 4}
under_budget: {training.patch: null, training.batch: 2, inference.overlap: 0.25}
"""
    recipe = Recipe.parse(text, "text")
    free = recipe.for_budget()
    assert (free.training["batch"], free.under_budget, "overlap" in free.inference) == (4, {}, False)
    held = recipe.changed({"budget": "10m"}).for_budget()
    assert held.training == {"batch": 2}
    assert held.inference == {"overlap": 0.25}
    chosen = recipe.changed({"budget": "10m", "training.batch": 8}).for_budget()
    assert chosen.training == {"batch": 8}, "what the user sets stays"


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [("trainning.batch", 2, "training"), ("training.batchs", 2, "batch"), ("training.batch", 0, "batch")],
)
def test_wrong_keys_under_a_budget_are_refused_when_they_are_read(key: str, value: int, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        Recipe.parse(f"under_budget: {{{key}: {value}}}", "text")


@pytest.mark.parametrize("name", ["cervical-cancer", "spine-small-data"])
def test_recipes_of_the_thesis_leave_the_planner_free_under_a_budget(name: str) -> None:
    recipe = Recipe.load(name)
    assert recipe.training["epochs"] > 1
    assert len(recipe.network["features"]) == len(recipe.network["strides"]) + 1
    held = recipe.changed({"budget": "5m"}).for_budget()
    for key in ("patch", "batch", "epochs", "optimizer"):
        assert key not in held.training
    assert held.augment == recipe.augment
    assert held.inference["postprocess"] == recipe.inference["postprocess"]
    assert not held.network.keys() - {"dims"}
    small = recipe.changed({"network.features": [8, 16], "network.strides": [2], "budget": "5m"}).for_budget()
    assert (small.network["kind"], small.network["features"]) == ("monai_unet", [8, 16])


def test_steps_that_are_asked_for_take_the_place_of_a_recipes_epochs() -> None:
    recipe = Recipe.load("cervical-spine-2d")
    assert recipe.training["epochs"] == 15
    assert "epochs" not in recipe.changed({"training.steps": 40}).training
    both = recipe.changed({"training.steps": 40, "training.epochs": 2}).training
    assert (both["steps"], both["epochs"]) == (40, 2)
    assert recipe.changed({"training.batch": 2}).training["epochs"] == 15


@pytest.mark.parametrize("name", recipe_names())
def test_a_budget_leaves_the_number_of_validations_to_the_plan(name: str) -> None:
    """One per epoch is as published; in ten minutes it would leave no time to train."""
    small = Recipe.load(name).changed({"budget": "10m"}).for_budget()
    assert "validations" not in small.training


def test_landmark_keys_say_how_probabilities_are_made() -> None:
    from voxloom.landmarks import LandmarkSettings

    def output(**keys: object) -> str:
        return LandmarkSettings.model_validate(keys).chosen_output

    assert output() == output(loss="sigmoid_ce") == output(network="unet") == "sigmoid"
    assert output(loss="softmax_ce") == output(loss="fuzzy_dice", output="softmax") == "softmax"
    for wrong in (
        {"loss": "sigmoid_ce", "output": "softmax"},
        {"loss": "softmax_ce", "output": "sigmoid"},
        {"network": "unet", "output": "softmax"},
    ):
        with pytest.raises(ValueError, match="output"):
            LandmarkSettings.model_validate(wrong)
