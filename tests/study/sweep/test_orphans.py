"""A sweep that is killed leaves no worker behind, and a trial under way saves itself first."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from voxloom.sweep import workers

def trial(place):
    workers._idle.clear()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    (place / "started.tmp").write_text(str(os.getpid()))
    (place / "started.tmp").rename(place / "started")
    try:
        time.sleep(120)
    except KeyboardInterrupt:
        (place / "saved").touch()
    finally:
        workers._idle.set()

if __name__ == "__main__":
    place = Path(sys.argv[1])
    own = workers.LocalWorkers(1)
    own.idle[0].submit(trial, place)
    while not (place / "started").exists():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_workers_end_with_a_killed_sweep_and_save_their_trial(tmp_path: Path) -> None:
    script = tmp_path / "sweep.py"
    script.write_text(SCRIPT)
    ended = subprocess.run([sys.executable, str(script), str(tmp_path)], check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    pid = int((tmp_path / "started").read_text())
    for _ in range(300):
        if not is_alive(pid):
            break
        time.sleep(0.1)
    assert not is_alive(pid)
    assert (tmp_path / "saved").exists()
