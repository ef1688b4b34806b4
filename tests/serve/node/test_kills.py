"""kill -9 at random moments: every series whose last C-STORE was answered with success has exactly one result.

The long form: ``python benchmarks/node_load.py kills``.
"""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

from tests.archive.make import uid
from tests.serve.node.parts import NAME, Place, Process, send, series, until
from tests.serve.orthanc import free_port


def test_killed_nodes_lose_nothing_and_do_nothing_twice(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(16)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))  # nothing of a patient stays in there
    (tmp_path / "tmp").mkdir()
    place.write(stable=1.0, retry={"first": 0.05, "most": 0.1, "attempts": 10_000})
    port = free_port()
    names = [f"killed {n}" for n in range(4)]
    todo = {name: series(tmp_path / name, name, 6) for name in names}
    done = threading.Event()

    def sends() -> None:
        """What a sender does: again until all was answered with success."""
        for files in todo.values():
            left = list(files)
            while left:
                try:
                    answers = send(port, left)
                except OSError:
                    answers = []
                left = left[len([one for one in answers if one == 0]) :]
                time.sleep(0.02)
            time.sleep(0.1)
        done.set()

    node = Process.start(place.settings, port, 0.4)
    sender = threading.Thread(target=sends)
    sender.start()
    for seconds in (rng.uniform(0.05, 1.0), rng.uniform(2.5, 5.0)):
        time.sleep(seconds)  # the first while instances come, the other from when a series is closed after a start
        node.kill()
        node = Process.start(place.settings, port, 0.4)
    sender.join(timeout=60)
    assert done.is_set()
    until(lambda: place.states() == ["sent"] * 4, seconds=30)
    assert place.peer.results() == {uid("series", name): ["net 6"] for name in names}
    assert node.stop() == b""
    assert list((place.queue / "incoming").iterdir()) == []
    left = [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()]
    assert not [path for path in left if NAME.encode() in path.read_bytes()]


def test_sigterm_answers_who_is_being_listened_to(place: Place, tmp_path: Path) -> None:
    place.write(stable=2.0)
    port = free_port()
    node = Process.start(place.settings, port, 0.0)
    files = series(tmp_path / "s", "stopped", 400, size=64)
    answers: list[int] = []
    sender = threading.Thread(target=lambda: answers.extend(send(port, files)))
    sender.start()
    until(lambda: any(place.queue.glob("series/*/in/*.dcm")))
    assert node.stop() == b""
    sender.join(timeout=30)
    kept = len(list(place.queue.glob("series/*/in/*.dcm")))
    assert 0 < kept < len(files)
    assert kept == len([one for one in answers if one == 0])
