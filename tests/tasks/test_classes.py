"""What a column is taken for, and what is refused in one line: the targets of classification and regression."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.dataset import Case, Dataset, Fold, make_folds
from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe
from voxloom.tasks.classification.classes import find_meaning
from voxloom.tasks.regression.objective import find_scale
from voxloom.tasks.task import task_named
from voxloom.tasks.whole_case.settings import ClassificationSettings, RegressionSettings


def dataset(**columns: list[Any]) -> Dataset:
    count = len(next(iter(columns.values())))
    cases = [
        Case(f"c{n}", f"p{n}", images={"image": Path(f"c{n}.nii.gz")}, attributes={k: v[n] for k, v in columns.items()})
        for n in range(count)
    ]
    return Dataset.from_cases("set", cases, ("image",))


def classes(column: list[Any], **settings: Any) -> tuple[str, ...]:
    return find_meaning(dataset(c=column), ClassificationSettings(target="c", **settings)).classes


def test_names_and_numbers_become_classes_in_order() -> None:
    assert classes(["mass", "normal", "mass", "normal"]) == ("mass", "normal")
    assert classes(["mass", "normal", "mass"], classes=("normal", "mass")) == ("normal", "mass")
    assert classes([10, 9, 2, 10]) == ("2", "9", "10")
    assert classes([1.0, 0.0, 1.0]) == ("0", "1")


@pytest.mark.parametrize(
    ("column", "settings", "told"),
    [
        (["a", "a", "a"], {}, "one class only"),
        (["Benign", "benign", "malignant"], {}, "differ by case or spaces"),
        ([f"id{n}" for n in range(40)], {}, "40 different values.*ids"),
        (["a", "b", "c"], {"classes": ("a", "b")}, "class c, which"),
        (["a", "b", "a"], {"classes": ("a", "b", "c")}, "no case has the class c"),
        (["1", "x", "3"], {"classes": {"low": "<2", "high": ">2"}}, "'x', not a number"),
        (["1", "3"], {"classes": {"low": "small"}}, "rule 'small'"),
    ],
)
def test_what_are_no_classes_is_refused(column: list[Any], settings: dict[str, Any], told: str) -> None:
    data = dataset(c=column)

    def read() -> None:
        meaning = find_meaning(data, ClassificationSettings(target="c", **settings))
        for case in data:
            meaning.target(case)

    with pytest.raises(BadInput, match=told):
        read()


def test_an_unknown_column_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match="no column gradee") as raised:
        find_meaning(dataset(grade=[1, 2]), ClassificationSettings(target="gradee"))
    assert "grade" in str(raised.value)
    with pytest.raises(BadInput, match="no column `target`"):
        find_meaning(dataset(grade=[1, 2]), ClassificationSettings())


def test_scores_become_classes_by_rules_and_the_middle_is_dropped() -> None:
    data = dataset(a=[1, 3, 5, 4], b=[2, 3, 4, 2], c=[2, 3, 5, 3])
    rules = {"benign": "<3", "malignant": ">3"}
    meaning = find_meaning(data, ClassificationSettings(target=("a", "b", "c"), classes=rules))
    targets = [meaning.target(case) for case in data]
    assert [None if t is None else t.tolist() for t in targets] == [[1, 0], None, [0, 1], None]  # medians 2, 3, 5, 3
    spread = find_meaning(data, ClassificationSettings(target=("a", "b", "c"), classes=rules, raters="distribution"))
    assert spread.target(data["c3"]).tolist() == [0.5, 0.5]  # 4 and 2; the 3 is dropped


def test_findings_may_be_unknown() -> None:
    data = dataset(a=[1, 0, None, 0], b=[0, None, None, 1])
    meaning = find_meaning(data, ClassificationSettings(target=("a", "b"), multi_label=True))
    assert meaning.target(data["c0"]).tolist() == [1, 0]
    assert np.isnan(meaning.target(data["c1"])[1])
    assert meaning.target(data["c2"]) is None


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"a": [1, 0], "b": [0, 2]}, "case c1: finding b is 2, not 0 or 1"),
        ({"a": [1, 0], "b": [0, "yes"]}, "'yes', not a number"),
        ({"a": [1, 0], "b": [0, 0]}, "finding b is absent in all cases"),
        ({"a": [1, 0]}, "needs several columns"),
    ],
)
def test_what_are_no_findings_is_refused(columns: dict[str, list[Any]], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        find_meaning(dataset(**columns), ClassificationSettings(target=tuple(columns), multi_label=True))


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ([30.0, "old", 50.0], "'old', not a number"),
        ([30.0, -4.0, 50.0], "-4, beyond the possible 0"),
        ([30.0, 30.0, 30.0], "does not vary"),
        ([None, None, None], "no case has a value|no column age"),
        ([30.0, float("inf"), 3.0], "infinite"),
    ],
)
def test_what_are_no_ages_is_refused(column: list[Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        find_scale(dataset(age=column), RegressionSettings(target="age"))


def test_missing_ages_are_left_out_and_the_scale_is_that_of_the_others() -> None:
    data = dataset(age=[20.0, float("nan"), 40.0])
    scale = find_scale(data, RegressionSettings(target="age"))
    assert (scale.means, scale.sds) == ((30.0,), (10.0,))
    assert scale.target(data["c1"]) is None
    assert scale.target(data["c2"]).tolist() == [1.0]


@pytest.mark.parametrize("section", ["classification", "regression"])
def test_a_recipe_names_one_column_or_several(section: str) -> None:
    for given, columns in (("grade", ("grade",)), (["a", "b"], ("a", "b"))):
        recipe = Recipe.load("auto").changed({"task": section, f"{section}.target": given})
        assert task_named(section).own_settings(recipe).target == columns
    with pytest.raises(BadInput, match="must be a list"):
        Recipe.load("auto").changed({"task": section, f"{section}.target": 3})


def split_of(column: list[Any], held: list[int], task: str = "classification") -> list[str]:
    """Notes on a fold that holds out some of the cases."""
    data, chosen = dataset(c=column), task_named(task)
    recipe = Recipe.load("auto").changed({"task": task, f"{task}.target": "c"})
    names = [case.id for case in data]
    fold = Fold(train=[n for k, n in enumerate(names) if k not in held], val=[names[k] for k in held])
    return chosen.check_folds(chosen.material(data, recipe), [fold])


def test_a_class_that_is_absent_from_a_fold_is_told() -> None:
    assert split_of(["a", "b", "a", "b"], [2, 3]) == []
    (note,) = split_of(["a", "b", "a", "b"], [2])
    assert note.startswith("fold 0 holds out no case of the class b")
    with pytest.raises(BadInput, match="fold 0 has no case of the class b to train on") as told:
        split_of(["a", "b", "a", "b"], [1, 3])
    assert "folds.hold_out" in str(told.value)
    with pytest.raises(BadInput, match="c does not vary among the training cases of fold 0"):
        split_of([1.0, 2.0, 1.0, 2.0], [1, 3], "regression")


def test_a_patient_in_two_classes_is_told_and_folds_know_the_classes() -> None:
    data = dataset(c=["a", "b", "a", "b"])
    mixed = [replace(case, patient="p0") if case.id == "c1" else case for case in data]
    whole, task = Dataset.from_cases("set", mixed, ("image",)), task_named("classification")
    recipe = Recipe.load("auto").changed({"task": "classification", "classification.target": "c"})
    material = task.material(whole, recipe)
    assert material.notes == (  # type: ignore[attr-defined]
        "1 patient has cases of several classes (p0), all in one fold; if the class is the patient's, correct the table",
    )
    settled, _ = task.settled(recipe, material)
    assert settled.folds.stratify == "learned_class"
    kept = task.settled(recipe.changed({"folds.stratify": "group"}), material)[0]
    assert kept.folds.stratify == "group"
    many = dataset(c=["a"] * 8 + ["b"] * 4)
    material = task.material(many, recipe)
    for fold in make_folds(material.dataset, 4, stratify="learned_class"):
        assert [many[name].attributes["c"] for name in fold.val].count("b") == 1


def test_ten_thousand_ids_are_no_classes() -> None:
    with pytest.raises(BadInput, match="10000 different values.*ids"):
        classes([f"id{n}" for n in range(10000)] * 2)
