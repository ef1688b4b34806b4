"""Which cores a process may use and how its threads wait: by affinity, quota and environment, on files that the test writes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from voxloom import cpu
from voxloom.cpu import SPINS, OtherWork, set_thread_policy, usable_cores


@pytest.fixture
def four_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four cores of this process and a folder with what the system tells; no quota yet."""
    monkeypatch.setattr(cpu, "_affinity", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(cpu, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(cpu, "TICKS", tmp_path / "stat")
    return tmp_path


@pytest.mark.parametrize(
    ("quota", "cores"),
    [(None, 4), ("max 100000", 4), ("150000 100000", 2), ("50000 100000", 1), ("900000 100000", 4), ("nonsense", 4)],
)
def test_a_quota_limits_the_cores(four_cores: Path, quota: str | None, cores: int) -> None:
    if quota is not None:
        (four_cores / "cpu.max").write_text(quota)
    assert usable_cores() == cores


def test_threads_soon_sleep_at_barriers_unless_the_user_says_how_they_wait(four_cores: Path) -> None:
    fresh: dict[str, str] = {}
    set_thread_policy(fresh)
    assert fresh == {"GOMP_SPINCOUNT": SPINS}
    (four_cores / "cpu.max").write_text("200000 100000")
    for chosen in ({"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "5"}, {"KMP_BLOCKTIME": "1"}):
        told = dict(chosen)
        set_thread_policy(told)
        assert told == {**chosen, "OMP_NUM_THREADS": "2"}
    told = {"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "ACTIVE"}
    set_thread_policy(told)
    assert told["OMP_NUM_THREADS"] == "3"


def test_the_policy_is_set_before_torch_is_loaded() -> None:
    words = "import os, sys, voxloom; print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    clean = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")}
    result = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True, env=clean)
    assert result.stdout.split() == [SPINS, "False"]


def ticks(folder: Path, *rows: str) -> None:
    (folder / "stat").write_text(
        "cpu  9 9 9 9\n" + "".join(f"cpu{n} {row}\n" for n, row in enumerate(rows)) + "intr 5\n"
    )


def test_other_work_is_what_usable_cores_did_less_our_own(four_cores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [0.0]
    monkeypatch.setattr(cpu, "_own_seconds", lambda: own[0])
    ticks(four_cores, *["0 0 0 0 0 0 0 0 0 0"] * 4, "0 0 0 0")
    others = OtherWork()
    second = os.sysconf("SC_CLK_TCK")
    own[0] = 1.0  # of 4 seconds of cores; 2 are idle or wait for the disk, 1 is others'; a fifth core is not ours
    half = second // 2
    rows = [f"{half} 0 {half} 0 0 0 0 0 7 7", f"0 {half} {half} 0 0 0 0 0 0 0", f"0 0 0 {second} 0 0 0 0 0 0"]
    ticks(four_cores, *rows, f"0 0 0 0 {second} 0 0 0 0 0", f"{second * 9} 0 0 0")
    assert others.share() == pytest.approx(0.25)


def test_a_system_that_tells_nothing_is_taken_for_quiet(four_cores: Path) -> None:
    assert OtherWork().share() == 0.0
