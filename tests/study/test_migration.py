"""Runs of every format that there was open, and answer as they did when they were made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fixtures.make_runs import RUNS, answer_of
from voxloom.errors import BadInput
from voxloom.export.importing import import_run
from voxloom.files import read_json
from voxloom.tasks.task import TASKS
from voxloom.training.migration import FORMAT, STEPS, upgraded
from voxloom.training.weights import load_weights
from voxloom.verbs.run import Run

KEPT = [(number, task) for number in range(1, FORMAT + 1) for task in TASKS]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_every_format_has_its_step_and_its_runs() -> None:
    assert sorted(STEPS) == list(range(FORMAT))
    assert sorted(path.name for path in RUNS.iterdir()) == [f"format-{number}" for number in range(1, FORMAT + 1)]
    assert sum(path.stat().st_size for path in RUNS.rglob("*")) < 1_000_000


def voxels(answer: list[list[int]]) -> np.ndarray:
    return np.repeat(*np.array(answer).T)


def is_number(value: object) -> bool:
    """Whether something is a float, or several."""
    return isinstance(value[0] if isinstance(value, list) and value else value, float)


def assert_alike(task: str, found: object, kept: object) -> None:
    """Equal but for rounding on another processor."""
    if task == "segmentation":
        assert np.mean(voxels(found) == voxels(kept)) > 0.998  # type: ignore[arg-type]
        return
    pairs = zip(found, kept, strict=True) if task == "landmarks" else [(found, kept)]  # type: ignore[call-overload]
    for ours, theirs in pairs:
        rows = (ours.items(), theirs.items()) if isinstance(ours, dict) else (enumerate(ours), enumerate(theirs))
        for (key, one), (_, other) in zip(*rows, strict=True):
            one, other = json.loads(json.dumps(one)), json.loads(json.dumps(other))
            assert one == (pytest.approx(other, rel=1e-2, abs=1e-2, nan_ok=True) if is_number(other) else other), key


@pytest.mark.parametrize(("number", "task"), KEPT)
def test_a_run_of_each_format_answers_as_it_did(number: int, task: str, tmp_path: Path) -> None:
    place = RUNS / f"format-{number}"
    run = import_run(place / f"{task}.zip", tmp_path / "run").folder
    assert_alike(task, answer_of(Run(run), place / "scan.nii.gz"), json.loads((place / f"{task}.json").read_text()))


def test_a_run_of_before_the_number_answers_the_same(tmp_path: Path) -> None:
    """Format 0: the keys that the step fills are not there."""
    place = RUNS / "format-1"
    run = import_run(place / "segmentation.zip", tmp_path / "run").folder
    path = next(run.glob("fold_*/model.json"))
    old = {
        key: value
        for key, value in read_json(path).items()
        if key not in ("format", "slices", "channel_dropout", "task")
    }
    path.write_text(json.dumps(old))
    _, about = load_weights(path.parent)
    assert (about["format"], about["slices"], about["channel_dropout"], about["task"]) == (
        FORMAT,
        {},
        0.0,
        "segmentation",
    )
    assert_alike(
        "segmentation",
        answer_of(Run(run), place / "scan.nii.gz"),
        json.loads((place / "segmentation.json").read_text()),
    )


@pytest.mark.parametrize("number", [FORMAT + 1, "2", -1, True])
def test_another_format_is_refused(number: object) -> None:
    with pytest.raises(BadInput, match="later Voxloom"):
        upgraded({"format": number}, Path("model.json"))
