"""Every shipped recipe holds what its text prints, or says where it does not: recipe, table of the texts and page agree."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from voxloom.recipe.recipe import Recipe
from voxloom.recipe.shipped import recipe_names

from .text_table import EVERY, entries, own_settings, page, settings_of, value_of

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
#: Recipes that follow no text of ours: the planner's, and one made for this library.
WITHOUT_TEXT = {"auto", "vertebra-centres"}
RECIPES = [name for name in entries() if name != EVERY]


def plain(value: Any) -> Any:
    """Tuples as lists and whole floats as integers, so that YAML and settings compare."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def test_every_recipe_of_a_text_is_in_the_table() -> None:
    assert set(RECIPES) == set(recipe_names()) - WITHOUT_TEXT


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_holds_what_its_text_prints_or_the_difference_is_listed(name: str) -> None:
    recipe = Recipe.load(name)
    keyed = [one for one in settings_of(name) if one.key]
    assert {one.key: plain(value_of(recipe, one.key)) for one in keyed} == {
        one.key: plain(one.expected) for one in keyed
    }


@pytest.mark.parametrize("name", RECIPES)
def test_no_key_of_a_recipe_is_missing_from_the_table(name: str) -> None:
    held = Recipe.load(name).model_dump(mode="json", exclude_defaults=True, exclude={"under_budget"})
    keys = {f"{section}.{key}" for section, values in held.items() if isinstance(values, dict) for key in values}
    assert keys - {one.key for one in settings_of(name)} == set()


def test_the_defaults_that_hold_for_every_recipe_are_as_listed() -> None:
    auto = Recipe.load("auto")
    for one in own_settings(EVERY):
        assert not one.key or plain(value_of(auto, one.key)) == plain(one.ours), one.key


@pytest.mark.parametrize("name", entries())
def test_every_line_has_its_place_in_the_text_or_a_reason(name: str) -> None:
    for one in own_settings(name):
        assert one.where or one.why, one.what
        assert one.why or not one.has_ours, f"{one.what}: a difference needs a reason"
        assert one.why or one.text == one.expected


def test_the_page_lists_every_difference() -> None:
    found = re.search(r"<!-- differences -->\n(.*?)\n<!-- end -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    assert found[1] == page(), "docs/recipes.md: put in what `python -m tests.study.text_table` prints"


def test_a_changed_recipe_is_noticed() -> None:
    changed = Recipe.load("ct-kidney").changed({"training.batch": 12})
    assert plain(value_of(changed, "training.batch")) == 12
    assert next(one.expected for one in settings_of("ct-kidney") if one.key == "training.batch") == 28
