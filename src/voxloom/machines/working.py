"""Where a command works: here, or on a cluster that it joins for as long as it works. Knows the words of ``--on``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from voxloom.crew import handed_to
from voxloom.machines.cluster import Cluster, address_of
from voxloom.machines.crew import RayCrew


@contextlib.contextmanager
def working_on(on: str) -> Iterator[None]:
    """While the block runs, work over many items is done where ``on`` says: "local", "ray", "ray:HOST:PORT" or "ray://HOST:PORT".

    Raises
    ------
    BadInput : there is no such place.
    MissingExtra, VoxloomError : as of ``Cluster.connect``.
    """
    if on == "local":
        yield
        return
    cluster = Cluster.connect(address_of(on))
    try:
        with handed_to(RayCrew(cluster)):
            yield
    finally:
        cluster.leave()
