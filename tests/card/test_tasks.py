"""Every task on a pretended card, by the command line: train, predict in every way, explain by every method."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.card.conftest import card_in
from tests.card.pretended import NAME, Waits
from tests.tasks.scans import write_scans
from tests.tasks.test_every_verb import OF_TASK, SMALL, WHOLE
from voxloom.attribution import METHODS
from voxloom.cli.app import run as voxloom
from voxloom.formats import read_volume
from voxloom.tasks.task import TASKS, task_named, task_of
from voxloom.verbs.run import Run

STEPS = {"training.steps": 4, "training.validations": 1, "folds.hold_out": 0.25, "folds.count": None}


class Made:
    """A run of a task, trained on the card, and the same scans predicted on both."""

    def __init__(self, task: str, root: Path) -> None:
        (root / "train").mkdir()
        self.task, self.root = task, root
        self.scan = root / "train" / "s1.nii.gz"
        data = write_scans(root / "train", task, range(8))
        settings = {**SMALL, **OF_TASK.get(task, WHOLE), "task": task, **STEPS}
        if task == "segmentation":
            settings["network.dropout"] = 0.1  # for the maps of uncertainty
        told = [
            part
            for key, value in settings.items()
            if value is not None
            for part in ("--set", f"{key}={json.dumps(value)}")
        ]
        assert voxloom(["train", str(data), "-o", str(root / "run"), *told]) == 0

    def predict(self, name: str, *more: str) -> Path:
        out = self.root / name
        assert voxloom(["predict", str(self.root / "run"), str(self.scan), "-o", str(out), *more]) == 0
        return out


@pytest.fixture(scope="module", params=TASKS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Made, Waits]]:
    with pytest.MonkeyPatch.context() as patch, card_in(patch) as waits:
        yield Made(request.param, tmp_path_factory.mktemp(request.param)), waits


def test_it_trains_and_validates_on_the_card(made: tuple[Made, Waits]) -> None:
    run = Run(made[0].root / "run")
    log = list(csv.DictReader((made[0].root / "run" / "fold_0" / "log.csv").open()))
    assert [row["step"] for row in log] == ["4"]
    assert json.loads((made[0].root / "run" / "environment.json").read_text())["device"] == NAME
    assert run.folds
    sent = [place for what, place in made[1].found if what == "aten::_to_copy to the processor"]
    assert any("weights.py" in place for place in sent), "the weights came from the card"


@pytest.mark.parametrize(
    "more", [(), ("--tta",), ("--uncertainty", "tta,dropout", "--draws", "2")], ids=["plain", "tta", "uncertainty"]
)
def test_it_predicts_on_the_card_what_it_predicts_on_the_processor(
    made: tuple[Made, Waits], more: tuple[str, ...]
) -> None:
    task = made[0]
    if more and f"predict {more[0]}" in task_named(task.task).cannot:
        line = ["predict", str(task.root / "run"), str(task.scan), "-o", str(task.root / "refused")]
        assert voxloom([*line, *more]) == 2
        return
    found = task.predict("card" + "".join(more), *more)
    before = len(made[1].found)
    with pytest.MonkeyPatch.context() as patch:
        from tests.card.conftest import ASK

        for module in ASK:
            patch.setattr(f"{module}.pick_device", lambda wanted: "cpu")
        expected = task.predict("cpu" + "".join(more), *more)
    assert len(made[1].found) == before, "nothing of that was computed on the card"
    files = sorted(path.name for path in expected.iterdir())
    assert files == sorted(path.name for path in found.iterdir())
    for name in files:
        if name.endswith(".nii.gz"):
            one, other = (read_volume(folder / name).data for folder in (found, expected))
            assert np.mean(np.abs(one.astype(float) - other) > 1e-2) < 2e-3, name


def test_every_method_explains_on_the_card(made: tuple[Made, Waits]) -> None:
    run = Run(made[0].root / "run")
    methods = task_of(run).explainable(run, run.folds).methods
    assert set(methods) <= set(METHODS)
    for method in methods:
        out = made[0].root / f"explained {method}"
        line = ["explain", str(made[0].root / "run"), str(made[0].scan), "-o", str(out), "--method", method]
        more = (
            ["--steps", "2"] if method == "integrated-gradients" else ["--box", "16"] if method == "occlusion" else []
        )
        assert voxloom([*line, *more]) == 0
        maps = sorted(out.glob("*.nii.gz"))
        assert maps, method
        assert all(np.isfinite(read_volume(path).data).all() for path in maps)
