"""How many scans a cluster predicts in a night, and where it saturates: a simulation from measured constants. No network is run.

    python benchmarks/scale.py

Every node has so many places, each of which takes a scan, reads it from storage that all share (one queue, so many bytes a second),
and computes. One process hands out the scans, so many seconds each. The constants are measured (benchmarks/RESULTS.md) or assumed, as
docs/scale.md says; change them here for another site.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

NIGHT = 10 * 3600.0
SCANS = 10_000
NODES = (1, 8, 64)


@dataclass(frozen=True)
class Kind:
    """One kind of prediction: CPU seconds of one core, bytes read and written per scan."""

    name: str
    seconds: float
    megabytes: float


@dataclass(frozen=True)
class Site:
    """A cluster: places per node (a core each), storage in MB/s, seconds to hand out a scan, and until a worker is ready."""

    places: int = 16
    storage: float = 1000.0
    hand_out: float = 0.002
    ready: float = 15.0


KINDS = (
    Kind("hippocampus, a small MR cut-out", 0.061, 0.15),
    Kind("256 x 256 x 200, 54 windows", 12.2, 15.0),
    Kind("512 x 512 x 300, 441 windows", 100.0, 75.0),
)


def night(kind: Kind, site: Site, nodes: int, scans: int = SCANS) -> tuple[float, str]:
    """Seconds until all scans are predicted, and what the cluster waits for most: "cores", "storage" or "handing out"."""
    free = [(site.ready, place) for place in range(nodes * site.places)]
    heapq.heapify(free)
    handed = storage = end = 0.0
    waits = {"cores": 0.0, "storage": 0.0, "handing out": 0.0}
    for _ in range(scans):
        at, place = heapq.heappop(free)
        handed = max(handed, 0.0) + site.hand_out
        begin = max(at, handed)
        waits["handing out"] += begin - at
        read = max(begin, storage)
        storage = read + kind.megabytes / site.storage
        waits["storage"] += storage - begin
        done = storage + kind.seconds
        waits["cores"] += kind.seconds
        end = max(end, done)
        heapq.heappush(free, (done, place))
    return end, max(waits, key=lambda name: waits[name])


def most_nodes(kind: Kind, site: Site) -> float:
    """Nodes beyond which another one adds nothing: storage or handing out is busy all the time."""
    per_scan = max(kind.megabytes / site.storage, site.hand_out)
    return kind.seconds / per_scan / site.places


def clock(seconds: float) -> str:
    """``h:mm``, or minutes and seconds below an hour."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours} h {rest // 60:02d} min" if hours else f"{rest // 60} min {rest % 60:02d} s"


def main() -> None:
    site = Site()
    print(
        f"{SCANS:,} scans; {site.places} cores a node, storage {site.storage:g} MB/s, {1000 * site.hand_out:g} ms to hand out a scan\n"
    )
    print(f"| scan | {' | '.join(f'{n} node' + 's' * (n > 1) for n in NODES)} | waits for (64) | saturates at |")
    print("|---|" + "---|" * (len(NODES) + 2))
    for kind in KINDS:
        found = [night(kind, site, nodes) for nodes in NODES]
        times = [clock(seconds) + (" (more than a night)" if seconds > NIGHT else "") for seconds, _ in found]
        print(f"| {kind.name} | {' | '.join(times)} | {found[-1][1]} | {most_nodes(kind, site):.3g} nodes |")
    print(
        "\nIndexing: 90 us a header on one core (RESULTS.md), 16 cores a node, one process that merges 1 M rows in 3.4 s\n"
    )
    print(f"| instances | {' | '.join(f'{n} node' + 's' * (n > 1) for n in NODES)} |\n|---|" + "---|" * len(NODES))
    for rows in (1_000_000, 10_000_000, 100_000_000):
        times = [clock(90e-6 * rows / (n * 16) + 3.4 * rows / 1e6) for n in NODES]
        print(f"| {rows:,} | {' | '.join(times)} |")


if __name__ == "__main__":
    main()
