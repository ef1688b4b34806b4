"""A DICOM node under load, and killed again and again: nothing lost, nothing twice, memory flat.

    python -m benchmarks.node_load load [--instances 20000] [--associations 8]
    python -m benchmarks.node_load kills [--kills 50]

``load``: so many ``storescu`` (DCMTK) at once send series of 200 images to a node in a process of its own; two rules give
every series to two runs. ``kills``: the node is killed with SIGKILL at random moments while three senders send, which try again
until all was answered with success. In both a fake engine answers after a while with a file that says which series it saw and
how many images of it, and a Storage SCP counts what arrives: exactly one result per series and run. On a busy machine a sender may
be silent in the middle of a series for longer than the stable age; then a result of fewer images comes before that of all, as
``docs/pacs.md`` says. Such a series is told apart, with the silence that the sender measured, and is not called wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tests.archive.make import uid
from tests.serve.node.parts import Peer, Place, Process, send, series
from tests.serve.orthanc import free_port, tool

PER_SERIES = 200
#: Of ``kills``: images of a series, and the stable age in seconds.
FEW, STABLE = 12, 1.0


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
    rules = [{"name": run, "where": {"Modality": "MR"}, "run": run, "to": ["pacs"]} for run in ("one", "two")]
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
    place.write(stable=STABLE, retry={"first": 0.05, "most": 0.2, "attempts": 100_000})
    port, stopped = free_port(), threading.Event()
    answered: dict[str, list[float]] = {}
    node = Process.start(place.settings, port, 0.3)

    def sender(number: int) -> None:
        count = 0
        while not stopped.is_set():
            name = f"sender {number} series {count}"
            answered[uid("series", name)] = all_sent(port, series(folder / "data" / name, name, FEW, size=32))
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
    while not is_over(place.states(), len(answered)) and time.monotonic() < until:
        time.sleep(0.5)
    said = node.stop()
    found = peer.results()
    events = [json.loads(line) for line in place.audit().splitlines()]
    starts = [datetime.fromisoformat(event["time"]).timestamp() for event in events if event["event"] == "start"]
    verdicts = {one: verdict(found.get(one, []), moments, starts) for one, moments in answered.items()}
    for one, text in verdicts.items():
        if text != "right":
            print(f"{one}: results {sorted(found.get(one, []))}: {text}")
    strangers = found.keys() - answered.keys()
    if strangers or said:
        print(
            f"results of series that nobody sent: {sorted(strangers)}; the node said: {said.decode(errors='replace')!r}"
        )
    wrong = sum("WRONG" in text for text in verdicts.values()) + len(strangers) + bool(said)
    open_ones = [sum(state in ("ready", "predicted") for state in seen) for seen in states]
    results = sum(map(len, found.values()))
    print(
        f"{options.kills} kills, {len(answered)} series of {FEW} images, {peer.offered} results offered, {results} kept"
    )
    print(f"results under way at a kill: {sum(open_ones)} in all; kills with none: {open_ones.count(0)}")
    cut = sum("silent" in text for text in verdicts.values())
    print(f"cut in two by a silent sender: {cut}; exactly one result of all images: " + ("WRONG" if wrong else "right"))
    peer.close()
    return not wrong


def all_sent(port: int, files: Sequence[Path]) -> list[float]:
    """Send a series, again and again until all was answered with success; the moments of these answers, of each image its own."""
    moments: list[float] = []

    def told(status: int) -> None:
        if status == 0 and not failed:
            moments.append(time.time())
        else:
            failed.append(status)

    while len(moments) < len(files):
        failed: list[int] = []  # what comes after an image that was not taken is sent again with it
        with contextlib.suppress(OSError, RuntimeError):
            send(port, files[len(moments) :], told=told)
        time.sleep(0.02)
    return moments


def verdict(results: Sequence[str], moments: Sequence[float], starts: Sequence[float]) -> str:
    """What the results of one series say: right, WRONG, or that its sender was silent for too long.

    Parameters
    ----------
    results : what each says that it saw: the run, and how many images.
    moments : when each image was answered with success.
    starts : when the node was started.
    """
    whole = f"net {FEW}"
    if results.count(whole) != 1:
        return f"WRONG, {results.count(whole)} results of all images"
    # the answer to the last image that a version holds may have been lost in a kill
    pauses = [
        max(silence(moments[n - 1], moments[n], starts) for n in (count - 1, count) if 0 < n < FEW)
        for count in (int(text.split()[1]) for text in results if text != whole)
    ]
    if any(pause <= 1 for pause in pauses):
        return f"WRONG, cut in two although its sender was silent for {min(pauses):.2f} of the time that the node waits"
    return f"its sender was silent for {max(pauses):.1f} times as long as the node waits" if pauses else "right"


def silence(before: float, after: float, starts: Sequence[float]) -> float:
    """How long nothing came while the node listened, over how long it waits: one stable age, three after a start."""
    inside = [start for start in starts if before < start < after]
    return (after - max([before, *inside])) / (STABLE * (3 if inside else 1))


def is_over(states: Sequence[str], series: int) -> bool:
    """Whether every series has a result, and nothing is to be done."""
    return len(states) >= series and set(states) <= {"sent", "superseded"}


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
