"""A graphics card with too little memory: the run goes on with a smaller plan and says so, or ends in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.tasks.scans import write_scans
from tests.tasks.test_every_verb import OF_TASK, SMALL
from voxloom.cli.app import run as voxloom
from voxloom.training.module import TrainingModule
from voxloom.verbs.run import Run

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def line(tmp_path: Path) -> list[str]:
    settings = {
        **SMALL, **OF_TASK["segmentation"], "folds.count": 1, "training.steps": 3, "training.validations": 1,
        "training.epochs": None,
    }  # fmt: skip
    told = [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    data = write_scans(tmp_path, "segmentation", range(8))
    return ["train", str(data), "-o", str(tmp_path / "run"), *told]


def memory_for(patch: pytest.MonkeyPatch, voxels: int) -> None:
    """A card that holds batches of at most so many voxels."""
    step = TrainingModule.training_step

    def limited(self: TrainingModule, batch, batch_idx):
        if len(batch[1]) * torch.Size(self.settings.patch).numel() > voxels:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return step(self, batch, batch_idx)

    patch.setattr(TrainingModule, "training_step", limited)


@pytest.mark.parametrize(
    ("voxels", "batch", "size"),
    [(16 * 16 * 12, 1, (16, 16, 12)), (8 * 16 * 12, 1, (8, 16, 12))],
    ids=["batch", "patch"],
)
def test_the_run_goes_on_with_a_smaller_plan(
    line: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], voxels: int,
    batch: int, size: tuple[int, int, int],
) -> None:  # fmt: skip
    plan_first(monkeypatch, voxels)
    assert voxloom(line) == 0
    run = Run(tmp_path / "run")
    assert run.recipe.training["batch"] == batch
    assert tuple(run.recipe.training["patch"]) == size
    assert json.loads((tmp_path / "run" / "fold_0" / "model.json").read_text())["patch"] == list(size)
    told = f"the run goes on with {batch} patch of {' x '.join(map(str, size))} voxels"
    assert told in (tmp_path / "run" / "plan.md").read_text()
    assert told in " ".join(capsys.readouterr().err.split())


def plan_first(patch: pytest.MonkeyPatch, voxels: int) -> None:
    """The memory is short only once the run is planned, as with other programs on the card."""
    from voxloom.verbs import folds as verb

    fit = verb.fit

    def with_little(*args: object, **options: object) -> object:
        memory_for(patch, voxels)
        return fit(*args, **options)

    patch.setattr(verb, "fit", with_little)


def test_what_cannot_be_made_smaller_ends_in_one_line(
    line: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan_first(monkeypatch, 10)
    assert voxloom(line) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "which cannot be halved any more: set network.features" in told
    assert "Traceback" not in told
