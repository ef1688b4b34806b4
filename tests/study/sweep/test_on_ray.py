"""Sweeps on Ray: a cluster of two nodes, a worker that is killed, and a machine without Ray."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from voxloom.errors import MissingExtra, VoxloomError
from voxloom.sweep import Sweep, run_sweep
from voxloom.sweep.on_ray import RayWorkers
from voxloom.sweep.trial import Job

from ..conftest import TINY, write_balls
from .fakes import kill_in_second_fold


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes with one core each; workers run at the priority of the other tests."""
    monkeypatch.setenv("RAY_worker_niceness", "0")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    yield nodes
    nodes.shutdown()


class Watched(RayWorkers):
    """Remembers the jobs, and kills the worker of the first one when that has finished a fold."""

    def submit(self, job: Job) -> None:
        super().submit(job)
        if job.number == 1:
            threading.Thread(target=kill_in_second_fold, args=(job,), daemon=True).start()


def test_a_killed_worker_loses_nothing_on_two_nodes(cluster: Any, tmp_path: Path) -> None:
    data = write_balls(tmp_path / "balls", 4)
    changes = {"set": {**TINY, "training.steps": 2, "folds.count": 2}, "over": {"training.learning_rate": [0.01, 0.02]}}
    sweep = Sweep.check({"data": str(data), **changes}, tmp_path / "sweep.yaml")
    result = run_sweep(sweep, tmp_path / "out", lambda: Watched(cluster.address))
    assert [r.status for r in result.records] == ["finished", "finished"]
    assert result.best is not None
    resumed = (tmp_path / "out" / "runs" / "0001" / "summary.json").stat().st_mtime
    assert resumed > (tmp_path / "out" / "runs" / "0001" / "fold_0" / "model.safetensors").stat().st_mtime
    assert len({r.process for r in result.records}) == 2


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"voxloom\[ray\]"):
        RayWorkers()


def test_a_cluster_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself waits a minute for an answer; here it gives up at once."""

    def refuse(**options: object) -> None:
        raise ConnectionError("nobody there\nlong story")

    monkeypatch.setattr("ray.init", refuse)
    with pytest.raises(VoxloomError, match=r"no Ray cluster answers at 127\.0\.0\.1:1: nobody there$"):
        RayWorkers("127.0.0.1:1")
