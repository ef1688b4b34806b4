"""A DICOM node under load, and killed again and again: nothing lost, nothing twice, memory flat.

    python -m benchmarks.node_load load [--instances 20000] [--associations 8]
    python -m benchmarks.node_load kills [--kills 50]

``load``: so many ``storescu`` (DCMTK) at once send series of 200 images to a node in a process of its own; two rules give
every series to two runs. ``kills``: the node is killed with SIGKILL at random moments while three senders send, which try again
until all was answered with success. In both a fake engine answers after a while with a file that says which series it saw and
how many images of it, and a Storage SCP counts what arrives: exactly one result per series and run.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.archive.make import uid
from tests.serve.node.parts import Peer, Place, Process, send, series
from tests.serve.orthanc import free_port, tool

PER_SERIES = 200


def copies(folder: Path, count: int, size: int) -> list[Path]:
    """Folders of series that differ in their UIDs only, which have one length."""
    first = series(folder / "template", "template", PER_SERIES, size=size)
    raws = [path.read_bytes() for path in first]
    names = [uid("series", "template"), *(uid("instance", "template", n) for n in range(PER_SERIES))]
    made = []
    for number in range(count):
        target = folder / f"{number:04d}"
        target.mkdir()
        for n, raw in enumerate(raws):
            for name in (names[0], names[n + 1]):
                raw = raw.replace(name.encode(), renamed(name, number).encode())
            (target / f"{n:04d}.dcm").write_bytes(raw)
        made.append(target)
    return made


def renamed(name: str, number: int) -> str:
    """Another UID of the same length."""
    return f"{name[:-5]}{number:05d}"


def memory(process: int) -> float:
    """Resident MB of a process."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def load(options: argparse.Namespace, folder: Path) -> bool:
    """Send everything, wait for all results, print what was measured."""
    peer = Peer(folder / "peer")
    place = Place(folder, peer)
    rules = [{"name": run, "where": {"modality": "MR"}, "run": run, "to": ["pacs"]} for run in ("one", "two")]
    place.write(rules=rules, stable=5.0, limits={"disk_free": "1MB", "associations": options.associations})
    todo = copies(folder / "data", options.instances // PER_SERIES, options.size)
    port = free_port()
    node = Process.start(place.settings, port, 0.05)
    figures: list[tuple[float, float]] = []
    started = time.monotonic()
    lock = threading.Lock()
    left, failed = list(todo), []

    def sender() -> None:
        while True:
            with lock:
                if not left:
                    return
                target = left.pop()
            line = [tool("storescu"), "+sd", "-aec", "VOXLOOM", "127.0.0.1", str(port), str(target)]
            done = subprocess.run(line, env={**os.environ, "TCP_NODELAY": "1"}, capture_output=True, check=False)
            if done.returncode:
                failed.append(done.stderr.decode())

    senders = [threading.Thread(target=sender) for _ in range(options.associations)]
    for one in senders:
        one.start()
    while any(one.is_alive() for one in senders):
        time.sleep(2)
        figures.append((1 - len(left) / len(todo), memory(node.process.pid)))
    received = time.monotonic() - started
    expected = 2 * len(todo)
    while len(list(peer.folder.iterdir())) < expected and time.monotonic() - started < 3600:
        time.sleep(1)
        figures.append((1.0, memory(node.process.pid)))
    everything = time.monotonic() - started
    time.sleep(3)
    figures.append((1.0, memory(node.process.pid)))
    node.stop()
    results = peer.results()
    wanted = {
        renamed(uid("series", "template"), n): [f"one {PER_SERIES}", f"two {PER_SERIES}"] for n in range(len(todo))
    }
    right = {name: sorted(found) for name, found in results.items()} == wanted and not failed
    parts = [next(mb for share, mb in figures if share >= at) for at in (0.1, 0.5, 0.9)]
    print(
        f"{options.instances} images of {options.size} x {options.size} in {len(todo)} series, {options.associations} at once"
    )
    print(
        f"received in {received:.0f} s ({options.instances / received:.0f} a second), all results in {everything:.0f} s"
    )
    at = ", ".join(f"{mb:.0f}" for mb in parts)
    most = max(mb for _, mb in figures)
    print(f"resident memory at 10, 50, 90 % and at the end: {at}, {figures[-1][1]:.0f} MB; most {most:.0f} MB")
    verdict = "right" if right else "WRONG"
    print(f"{sum(map(len, results.values()))} results of {expected}, {len(failed)} senders failed: {verdict}")
    peer.close()
    return right


def kills(options: argparse.Namespace, folder: Path) -> bool:
    """Kill the node so often while series come, are predicted and sent."""
    rng = random.Random(options.seed)
    peer = Peer(folder / "peer")
    place = Place(folder, peer)
    place.write(stable=1.0, retry={"first": 0.05, "most": 0.2, "attempts": 100_000})
    port, stopped = free_port(), threading.Event()
    sent: list[str] = []
    node = Process.start(place.settings, port, 0.3)

    def sender(number: int) -> None:
        count = 0
        while not stopped.is_set():
            name = f"sender {number} series {count}"
            left: list[Path] = series(folder / "data" / name, name, 12, size=32)
            while left:
                left = left[answered(port, left) :]
                time.sleep(0.02)
            sent.append(name)
            count += 1
            time.sleep(1.0)

    senders = [threading.Thread(target=sender, args=(n,)) for n in range(3)]
    for one in senders:
        one.start()
    states = []
    for _ in range(options.kills):
        time.sleep(rng.uniform(0.05, 8.0))  # three stable ages after a start, what was being received is predicted
        states.append(place.states())
        node.kill()
        node = Process.start(place.settings, port, 0.3)
    stopped.set()
    for one in senders:
        one.join()
    until = time.monotonic() + 600
    while place.states() != ["sent"] * len(sent) and time.monotonic() < until:
        time.sleep(0.5)
    said = node.stop()
    wanted = {uid("series", name): ["net 12"] for name in sent}
    found = peer.results()
    for series_uid, texts in found.items():
        if texts != wanted.get(series_uid):
            print(f"{series_uid}: {sorted(texts)}")
    if missing := wanted.keys() - found.keys():
        print(f"without a result: {sorted(missing)}")
    if said:
        print(f"the node said: {said.decode(errors='replace')}")
    right = found == wanted and said == b""
    open_ones = [sum(state in ("ready", "predicted") for state in seen) for seen in states]
    print(f"{options.kills} kills, {len(sent)} series of 12 images, {peer.offered} results offered, {len(found)} kept")
    print(f"results under way at a kill: {sum(open_ones)} in all; kills with none: {open_ones.count(0)}")
    print("exactly one result of each, with all images: " + ("right" if right else "WRONG"))
    peer.close()
    return right


def answered(port: int, files: Sequence[Path]) -> int:
    """Offer files; how many of the first were answered with success."""
    try:
        answers = send(port, files)
    except (OSError, RuntimeError):
        return 0
    return next((n for n, status in enumerate(answers) if status), len(answers))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("load", "kills"))
    parser.add_argument("--instances", type=int, default=20_000)
    parser.add_argument("--associations", type=int, default=8)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="node-") as folder:
        return 0 if (load if options.what == "load" else kills)(options, Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
