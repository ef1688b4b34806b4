"""The division that a data set declares is honoured or told, and a hold-out keeps enough patients."""

from __future__ import annotations

import pytest

from voxloom.dataset import Case, Dataset
from voxloom.dataset.inspect import Fingerprint
from voxloom.dataset.inspect.facts import CaseFacts
from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe
from voxloom.run.cases import choose_folds, division_note, fewest_held_out
from voxloom.run.notes import crop_note, data_notes


def cases(count: int, per_patient: int = 1, **more: object) -> Dataset:
    made = [Case(f"c{n:02d}", f"p{n // per_patient:02d}", images={"MR": "x"}) for n in range(count)]
    return Dataset.from_cases("x", made, ["MR"])


def declared(splits: str, patients: str = "") -> Dataset:
    """A case per letter: t(rain), v(al), digits are fold numbers."""
    words = {"t": "train", "v": "val"}
    made = [
        Case(f"c{n}", patients[n] if patients else f"p{n}", images={"MR": "x"}, split=words.get(s, "train"),  # type: ignore[arg-type]
             attributes={"fold": int(s)} if s.isdigit() else {})
        for n, s in enumerate(splits)
    ]  # fmt: skip
    return Dataset.from_cases("x", made, ["MR"])


def recipe(**folds: object) -> Recipe:
    return Recipe.load("auto").changed({f"folds.{key}": value for key, value in folds.items()})


def test_a_declared_validation_split_validates() -> None:
    data = declared("tttvtvtt")
    (fold,) = choose_folds(data, recipe())
    assert fold.val == ("c3", "c5")
    assert fold.train == ("c0", "c1", "c2", "c4", "c6", "c7")
    assert choose_folds(data, recipe(stratify="group"))[0].val == ("c3", "c5")
    assert division_note(data, recipe()) == "the data set's own division is used: 2 cases validate"


@pytest.mark.parametrize("folds", [{"count": 2}, {"hold_out": 0}])
def test_another_division_is_told(folds: dict[str, object]) -> None:
    data = declared("tttvtvtt")
    assert choose_folds(data, recipe(**folds))[0].val != ("c3", "c5")
    assert "declares 2 validation cases, which the recipe's folds do not follow" in division_note(data, recipe(**folds))
    assert any("do not follow" in note for note in data_notes(data, recipe(**folds)))


def test_declared_folds_are_taken_where_so_many_are_asked_for() -> None:
    data = declared("012012")
    assert [fold.val for fold in choose_folds(data, recipe(count=3))] == [("c0", "c3"), ("c1", "c4"), ("c2", "c5")]
    assert [fold.val for fold in choose_folds(data, recipe())] == [("c0", "c3")]
    assert "declares 3 folds" in division_note(data, recipe(count=2))
    assert division_note(cases(6), recipe()) == ""


def test_a_declared_split_through_a_patient_is_refused() -> None:
    with pytest.raises(BadInput, match="same patients: a"):
        choose_folds(declared("ttv", "aba"), recipe())


@pytest.mark.parametrize(
    ("patients", "kept"), [(2, 0), (3, 1), (7, 1), (8, 2), (15, 3), (16, 4), (18, 4), (40, 4), (100, 5)]
)
@pytest.mark.parametrize("per_patient", [1, 3])
def test_a_hold_out_keeps_four_patients_or_a_quarter(patients: int, kept: int, per_patient: int) -> None:
    data = cases(patients * per_patient, per_patient)
    (fold,) = choose_folds(data, recipe())
    assert len({data[name].patient for name in fold.val}) == kept
    assert kept == 0 or kept >= fewest_held_out(patients)


def test_ids_that_yaml_made_numbers_of_are_refused() -> None:
    with pytest.raises(BadInput, match=r"does not read the id 1.1 as text; write ids in quotes"):
        Recipe.load("auto").changed({"data.exclude": [1.10]})


def test_notes_of_a_set_reach_the_user() -> None:
    made = [Case(n, n, images={"MR": "x"}) for n in ("P1_a", "P1_b", "P2_a")]
    data = Dataset.from_cases("x", made, ["MR"], notes=["column pred is not used"])
    told = data_notes(data, recipe())
    assert "P1_a and P1_b" in told[0]
    assert told[-1] == "column pred is not used"


def test_cases_that_are_cut_are_told() -> None:
    sizes = {"tall": ((10, 10, 40), "RAS"), "turned": ((40, 10, 10), "SRA"), "small": ((10, 10, 10), "RAS")}
    facts = [
        CaseFacts(id=name, shape=shape, spacing=(1.0, 1.0, 1.0), orientation=o) for name, (shape, o) in sizes.items()
    ]
    found = Fingerprint("set", "segmentation", ("MR",), None, tuple(facts))
    asked = {"prepare.orientation": "RAS", "prepare.spacing": [1, 1, 2]}
    told = crop_note(found, Recipe.load("auto").changed({**asked, "prepare.crop_or_pad_to": [10, 10, 19]}))
    assert told.startswith("2 of 3 cases are larger than prepare.crop_or_pad_to (tall, turned)")
    assert crop_note(found, Recipe.load("auto").changed({**asked, "prepare.crop_or_pad_to": [10, 10, 20]})) == ""
    assert crop_note(found, Recipe.load("auto")) == ""
