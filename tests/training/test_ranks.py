"""Several processes that train one network: same samples, same gradient, one writer; a kill ends all, and the run goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.study.conftest import write_balls
from voxloom.cli.app import run
from voxloom.errors import BadInput
from voxloom.ranks import LOST, Ranks, ranks, told_by
from voxloom.training.checkpoint import read_checkpoint
from voxloom.training.data import StepBatches, batch_at
from voxloom.training.settings import TrainingSettings

from .fakes import ball_training

SCRIPT, ROOT = Path(__file__).with_name("rank_script.py"), Path(__file__).parents[2]


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    surroundings = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    line = [*launch, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(line, env=surroundings, capture_output=True, text=True, timeout=900, cwd=ROOT)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[subprocess.CompletedProcess[str]]]:
    """Both parts of the script, one after the other."""
    root = tmp_path_factory.mktemp("ranks")
    data = write_balls(root / "balls", 4)
    return root, [torchrun("killed", root), torchrun("resumed", root, data)]


def told(root: Path, rank: int, name: str) -> dict[str, Any]:
    return dict(json.loads((root / f"rank_{rank}_{name}.json").read_text()))


def test_two_processes_have_the_gradient_of_one_with_both_batches(trained: Any) -> None:
    assert max(told(trained[0], rank, "whole")["gradient"] for rank in (0, 1)) < 1e-6


def test_one_killed_process_ends_all_and_the_run_goes_on_to_the_same_weights(trained: Any) -> None:
    root, (first, second) = trained
    assert first.returncode != 0
    assert told(root, 0, "cut")["error"] == LOST
    assert second.returncode == 0, second.stderr
    weights = {told(root, rank, name)["weights"] for rank in (0, 1) for name in ("whole", "resumed")}
    assert len(weights) == 1
    assert read_checkpoint(root / "cut" / "last.ckpt")["module"]["pace"]["step"] == 10


def test_the_first_process_alone_writes(trained: Any) -> None:
    root, _ = trained
    assert any(path.endswith("model.safetensors") for path in told(root, 0, "whole")["written"])
    others = [path for name in ("whole", "resumed", "run") for path in told(root, 1, name)["written"]]
    assert [path for path in others if "/cache/" not in path] == []


def test_the_command_line_trains_with_both_and_reports_once(trained: Any) -> None:
    root, (_, second) = trained
    assert [told(root, rank, "run")["code"] for rank in (0, 1)] == [0, 0]
    assert second.stdout.count("report.html") == 1
    assert (root / "run" / "report.html").is_file()
    assert json.loads((root / "run" / "summary.json").read_text())["folds"]["fold_0"]["steps"] == 4


def test_the_samples_are_those_of_one_process(tmp_path: Path) -> None:
    sampler = ball_training(tmp_path).build_sampler()
    alone = [batch_at(sampler, step) for step in range(6)]
    for rank in (0, 1):
        batches = iter(StepBatches(sampler, 1, Ranks(rank, 2, rank, 2)))
        for step in (1, 2):
            found, wanted = next(batches), alone[2 * step + rank]
            assert found[0] == wanted[0] == 2 * step + rank
            assert all(torch.equal(a, b) for a, b in zip(found[1:], wanted[1:], strict=True))


def test_epochs_are_passes_of_all_processes_together() -> None:
    settings = TrainingSettings(patch=(8, 8, 8), batch=2, epochs=3)
    assert settings.steps_for(40) == 60
    assert settings.steps_for(40 / 2) == 30


def test_what_started_the_processes_is_understood() -> None:
    assert told_by({}) == Ranks() == Ranks(0, 1, 0, 1)
    torch_says = {
        "TORCHELASTIC_RUN_ID": "x",
        "RANK": "5",
        "WORLD_SIZE": "8",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "4",
    }
    assert told_by(torch_says) == Ranks(5, 8, 1, 4)
    assert told_by(torch_says).nodes == 2
    slurm = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_STEP_NUM_NODES": "2", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
    assert told_by(slurm) == Ranks(3, 4, 1, 2)
    assert told_by({**slurm, "SLURM_STEP_NUM_TASKS": "1"}) == Ranks()
    for wrong in ({"SLURM_STEP_NUM_TASKS": "5"}, {"SLURM_PROCID": "9"}, {"SLURM_PROCID": "x"}):
        with pytest.raises(BadInput):
            told_by({**slurm, **wrong})


def test_several_processes_need_one_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ranks.cache_clear()
    monkeypatch.setattr("voxloom.verbs.follow.ranks", lambda: Ranks(0, 2, 0, 2))
    assert run(["train", "nowhere-at-all"]) == 2
    assert "Name it with -o RUN" in capsys.readouterr().err
