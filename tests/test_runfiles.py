"""Folds of a run have one order, that of their numbers, wherever they are listed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from voxloom.ensemble.members import EnsembleMember
from voxloom.errors import BadInput
from voxloom.report.cards.facts import RunFacts
from voxloom.run.lifecycle import checkpoints_of
from voxloom.run.run import Run
from voxloom.runfiles import CaseFiles, RunFold, folds_in, folds_named, held_out_predictions, logged_folds, names_of
from voxloom.serve.trainings import how_far
from voxloom.serve.worker import weights_of

COUNT = 11


@pytest.fixture
def eleven(tmp_path: Path) -> Path:
    """A run with the files of eleven folds, and what is none beside them."""
    run = tmp_path / "run é"
    (run / "fold_notes").mkdir(parents=True)
    (run / "fold_12").write_text("a file, no fold")
    (run / "recipe.yaml").write_text("{}\n")
    cases = ", ".join(f'{{"id": "c{n}", "fold": {n}}}' for n in range(COUNT))
    (run / "data.json").write_text(f'{{"cases": [{cases}, {{"id": "always", "fold": null}}]}}')
    for n in range(COUNT):
        fold = RunFold(n, run)
        fold.held_out.predictions.mkdir(parents=True)
        for file in (fold.weights, fold.checkpoint, fold.held_out.table, fold.held_out.prediction(f"c{n}")):
            file.write_text("")
        fold.log.write_text(f"step,seconds,train_loss\n1,1.0,{n}\n")
    return run


def test_eleven_folds_are_in_the_order_of_their_numbers(eleven: Path) -> None:
    names, run = [f"fold_{n}" for n in range(COUNT)], Run(eleven)
    assert names_of(run.folds) == names
    assert [fold.title for fold in run.folds] == [f"fold {n}" for n in range(COUNT)]
    assert [table.parent.name for table in run.held_out_tables] == names
    assert [path.parent.name for path in checkpoints_of(eleven)] == names
    assert names_of(RunFacts.of(eleven).networks) == names
    assert names_of(logged_folds(eleven)) == names
    assert list(held_out_predictions(eleven)) == [f"c{n}" for n in range(COUNT)]
    assert max(run.folds) == run.folds[-1] == run.fold(10)
    assert [name for name, _, _ in weights_of(eleven) if name.startswith("fold_")] == [
        f"{name}/model.safetensors" for name in names
    ]


def test_the_last_row_of_a_training_is_that_of_the_last_fold(eleven: Path) -> None:
    class Order:
        out, budget = eleven, "1h"

    assert how_far(Order())[1].startswith("Fold 10, step 1, loss 10.000")  # type: ignore[arg-type]


def test_a_fold_knows_its_files_and_its_cases(eleven: Path) -> None:
    run = Run(eleven)
    fold = run.fold(10)
    assert fold == RunFold.at(eleven / "fold_10") == run.folds[10]
    assert (fold.name, fold.title, fold.folder) == ("fold_10", "fold 10", eleven / "fold_10")
    assert fold.weights == eleven / "fold_10" / "model.safetensors"
    assert fold.held_out.prediction("c", ".csv") == eleven / "fold_10" / "predictions" / "c.csv"
    assert run.fold_of == {f"c{n}": run.fold(n) for n in range(COUNT)}
    assert EnsembleMember(eleven, (run.fold(2), run.fold(10))).held_out == {"c2": run.fold(2), "c10": run.fold(10)}
    assert run.test == CaseFiles(eleven / "test")
    assert RunFold.at(eleven / "fold_notes") is None
    assert folds_in(eleven / "gone") == []
    assert folds_named(eleven, ["fold_3"]) == [run.fold(3)]
    with pytest.raises(ValueError, match="fold_0, fold_1"):
        folds_named(eleven, ["fold_x"])


def test_a_run_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("{}\n")
    with pytest.raises(BadInput, match="no fold has trained weights yet"):
        Run(tmp_path).folds  # noqa: B018


def test_a_log_is_read_whatever_its_number(eleven: Path) -> None:
    for fold in logged_folds(eleven):
        with fold.log.open(newline="") as file:
            assert float(next(csv.DictReader(file))["train_loss"]) == fold.number
