"""Work handed to a Ray cluster of two nodes: order, errors and notes as here, deaths of workers and nodes, what is kept waiting."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from voxloom.crew import Needs, crew, handed_to
from voxloom.errors import BadInput, MissingExtra, VoxloomError
from voxloom.machines import Cluster, working_on
from voxloom.machines.cluster import address_of
from voxloom.machines.crew import RayCrew
from voxloom.notes import collect
from voxloom.own import own_files, own_part
from voxloom.parallel import AHEAD_PER_WORKER, map_outcomes

from .work import Doomed, fussy, large

ITEMS = [(f"item {n}", n) for n in range(8)]


@pytest.fixture(scope="module")
def joined(cluster: Any) -> Iterator[RayCrew]:
    found = Cluster.connect(cluster.address)
    yield RayCrew(found)
    found.leave()


def when_told(file: Path, act: Callable[[dict[str, Any]], None]) -> None:
    """Act on process and node once the doomed work has told them."""

    def wait() -> None:
        while not file.exists():
            time.sleep(0.05)
        act(json.loads(file.read_text()))

    threading.Thread(target=wait, daemon=True).start()


def test_a_killed_worker_and_a_removed_node_cost_nothing(cluster: Any, joined: RayCrew, tmp_path: Path) -> None:
    when_told(tmp_path / "worker", lambda told: os.kill(told["process"], signal.SIGKILL))
    found = dict(joined.run(Doomed(tmp_path / "worker"), ITEMS, step="doubling"))
    assert (tmp_path / "worker").exists()
    assert found == {name: 2 * n for name, n in ITEMS}

    def remove(told: dict[str, Any]) -> None:
        (node,) = [one for one in cluster.worker_nodes if one.node_id == told["node"]]
        cluster.remove_node(node, allow_graceful=False)

    when_told(tmp_path / "node", remove)
    found = dict(joined.run(Doomed(tmp_path / "node"), ITEMS, step="doubling"))
    assert len(cluster.worker_nodes) == 1
    assert found == {name: 2 * n for name, n in ITEMS}
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()


def test_results_errors_and_notes_are_those_of_this_machine(joined: RayCrew) -> None:
    with collect() as here:
        alone = list(map_outcomes(fussy, ITEMS[:5], step="looking", workers=1))
    calls: list[tuple[int, int]] = []
    with collect() as there, handed_to(joined):
        spread = list(map_outcomes(fussy, ITEMS[:5], step="looking", progress=lambda *at: calls.append(at)))
    assert [(name, str(found)) for name, found in spread] == [(name, str(found)) for name, found in alone]
    assert [type(found) for _, found in spread] == [int, int, BadInput, VoxloomError, int]
    assert there == here != []
    assert calls == [(n, 5) for n in range(1, 6)]
    assert crew() is None


def test_what_waits_for_a_slow_reader_is_bounded(joined: RayCrew) -> None:
    begun: list[int] = []
    with handed_to(joined):
        each = map_outcomes(
            large, [(str(n), n) for n in range(40)], step="making", progress=lambda n, _: begun.append(n)
        )
        assert next(each) == ("0", large(0))
        time.sleep(1)
        assert next(each)[0] == "1"
        assert len(begun) <= 2 * AHEAD_PER_WORKER + 2
        each.close()  # type: ignore[attr-defined]


def test_modules_beside_the_recipe_travel(joined: RayCrew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text("from helps_here import add\n\ndef more(n):\n    return add(n)\n")
    (tmp_path / "helps_here.py").write_text("def add(n):\n    return n + 100\n")
    monkeypatch.syspath_prepend(tmp_path)
    more = own_part("only_here:more", "voxloom.losses", "loss")
    assert {name for name in own_files() if "here" in name} == {"only_here.py", "helps_here.py"}
    monkeypatch.chdir(tmp_path)
    assert dict(joined.run(more, ITEMS[:3], step="adding")) == {"item 0": 100, "item 1": 101, "item 2": 102}


def test_what_no_machine_has_is_refused(joined: RayCrew) -> None:
    with pytest.raises(VoxloomError, match="no machine of the cluster has 1 CPUs and 2 GPUs for predicting"):
        list(joined.run(fussy, ITEMS, step="predicting", needs=Needs(1, 2)))


def test_more_threads_than_cores_share_them(joined: RayCrew) -> None:
    assert joined.cluster.fitting(Needs(64, 0, 64)) == Needs(1, 0, 64)


@pytest.mark.parametrize("on", ["slurm", "ray:", "127.0.0.1:6379"])
def test_other_places_are_refused(on: str) -> None:
    with pytest.raises(BadInput, match=f"--on {on} is not known. Choose local, ray or ray:HOST:PORT"):
        address_of(on)


def test_addresses() -> None:
    assert [address_of(on) for on in ("ray", "ray:a:1", "ray://a:1")] == [None, "a:1", "ray://a:1"]


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"voxloom\[ray\]"), working_on("ray"):
        pass
