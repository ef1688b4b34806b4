"""What cards say of patients is what was checked: by the names that the data set gives, or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from voxloom.report.cards import sections
from voxloom.report.cards.claim import answer_of
from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.flow import flow_steps, flow_text
from voxloom.report.cards.label_maps import LABEL_MAPS
from voxloom.report.cards.subject import drawn_units


def facts(
    folder: Path,
    patients: Sequence[str],
    folds: Sequence[int | None],
    ids: Sequence[str] = (),
    outside: Sequence[tuple[str, str]] = (),
    data: dict[str, Any] | None = None,
    **dataset: Any,
) -> RunFacts:
    """A run's facts: a case per patient and fold, "" for patients that are named after the case."""
    names = ids or [f"case_{n:02d}" for n in range(len(patients))]
    cases = [
        {"id": i, "patient": p or i, "fold": f, "files": {}} for i, p, f in zip(names, patients, folds, strict=True)
    ]
    kept = {"far": [{"id": i, "patient": p, "files": {}} for i, p in outside]} if outside else {}
    about = {
        "dataset": {"name": "Toy", "channels": ["T1"], "labels": {"bone": 1}, **dataset},
        "cases": cases,
        "outside": kept,
    }
    summary = {"external": {"far": {"name": "far", "cases": len(outside), "dice": {}}}} if outside else {}
    folder.joinpath("data.json").write_text(json.dumps(about))
    folder.joinpath("summary.json").write_text(json.dumps(summary))
    folder.joinpath("recipe.yaml").write_text(json.dumps({"data": data or {}}))
    return RunFacts.of(folder)


def test_named_patients_are_said_to_be_apart_by_their_names(tmp_path: Path) -> None:
    found = facts(tmp_path, ["p1", "p1", "p2", "p2"], [0, 0, 1, 1])
    assert answer_of(found, LABEL_MAPS, 21) == (
        "Patient: 4 cases of 2 patients; by the patients' names in the data set, no patient was in both parts of a split."
    )
    assert "Patients were divided into 2 folds" in sections.partition_sentence(found)
    assert drawn_units(found) == "patients"
    assert "(2 patients)" in flow_text(flow_steps(found))


def test_a_patient_in_both_parts_is_never_denied(tmp_path: Path) -> None:
    found = facts(tmp_path, ["p1", "p1", "p2"], [0, None, None])
    assert "1 patient had cases in both parts of a split (p1)" in answer_of(found, LABEL_MAPS, 21)
    assert "no patient was" not in sections.partition_sentence(found)


@pytest.mark.parametrize("folds", [[0, 1, 0], [0, None, None]])
def test_unnamed_patients_are_no_claim(tmp_path: Path, folds: list[int | None]) -> None:
    found = facts(tmp_path, ["", "", ""], folds)
    level, sentence = answer_of(found, LABEL_MAPS, 21), sections.partition_sentence(found)
    assert level.startswith("Case: 3 cases (no patients are named")
    assert "[TO FILL IN" in level
    assert "no patients are named, so it could not be checked" in sentence
    assert "patient was in" not in sentence + level
    assert "no patients are named" in answer_of(found, LABEL_MAPS, 29)
    assert "patients not named" in flow_text(flow_steps(found))


def test_ids_like_several_scans_of_one_person_are_said(tmp_path: Path) -> None:
    found = facts(tmp_path, ["", "", ""], [0, 1, 0], ids=["P1_a", "P1_b", "P2_a"])
    assert "though P1_a and P1_b may be of one person" in sections.patients_phrase(found)
    named = facts(tmp_path, ["", "", ""], [0, 1, 0], ids=["P1_a", "P1_b", "P2_a"], columns={"subject": "patient"})
    assert "3 cases of 3 patients" in sections.patients_phrase(named)


def test_an_external_set_is_apart_by_what_was_compared(tmp_path: Path) -> None:
    named = facts(tmp_path, ["p1", "p2"], [0, 1], outside=[("x", "q1")])
    assert "no scan of it (by file and voxels) and no patient (by name) was trained on" in answer_of(
        named, LABEL_MAPS, 32
    )
    for told in (
        facts(tmp_path, ["p1", "p2"], [0, 1], outside=[("x", "x")]),
        facts(tmp_path, ["", ""], [0, 1], outside=[("x", "q1")]),
        facts(tmp_path, ["p1", "p2"], [0, 1], outside=[("x", "q1")], data={"patients": "separate"}),
    ):
        assert "whether it has the same patients was not checked" in answer_of(told, LABEL_MAPS, 32)
