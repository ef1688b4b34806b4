"""A Ray cluster of a head without CPUs and two nodes with one CPU each, on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Workers run at the priority of the other tests."""
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_worker_niceness", "0")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    import ray

    ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")  # once: its workers load torch
    yield nodes
    ray.shutdown()
    nodes.shutdown()
    patch.undo()
