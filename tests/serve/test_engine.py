"""The engine: predictions of another process, jobs that fail alone, cancelled jobs, and what it must not load."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.serve.conftest import Small
from tests.serve.slow import EndlessOptions, RefusedOptions
from voxloom.errors import BadInput
from voxloom.formats import read_volume
from voxloom.run.listener import Listener
from voxloom.serve.engine import Engine, Order
from voxloom.serve.jobs import REMEMBERED, Board, Job
from voxloom.serve.orders import WarmOrder
from voxloom.serve.worker import Shelf, attempt
from voxloom.verbs.options import PredictOptions
from voxloom.verbs.predict import predict

WAIT = 120


def order(small: Small, out: Path, number: int = 0, options: PredictOptions = PredictOptions()) -> Order:
    return Order("balls", (small.scan(number),), out, options)


def test_a_prediction_is_that_of_the_verb(engine: Engine, small: Small, tmp_path: Path) -> None:
    job = engine.submit(order(small, tmp_path / "out"), {"case": "scan6"})
    assert (job.state, job.kind, job.about) == ("queued", "predict", {"run": "balls", "case": "scan6"})
    done = engine.wait(job.id, WAIT)
    assert (done.state, done.progress) == ("done", 1.0), done
    written = read_volume(Path(done.result["files"]["scan6"]))
    own = predict(small.run, [small.scan(0)], tmp_path / "own", PredictOptions(device="cpu"))
    assert np.array_equal(written.data, read_volume(own.files["scan6"]).data)
    assert done.started is not None
    assert done.ended is not None
    assert done.created <= done.started <= done.ended
    assert len(done.result["seconds"]) == 1
    assert engine.job(job.id) == done
    assert done in engine.jobs()


def test_what_is_known_of_a_run(engine: Engine, small: Small) -> None:
    info = engine.runs["balls"]
    assert [(label.name, label.value) for label in info.labels] == [("bright", 3), ("dark", 207)]
    assert info.labels[0].color != info.labels[1].color
    assert (info.task, info.channels, info.folder) == ("segmentation", ("MR",), small.run)
    assert 0 <= info.scores["dice"] <= 1
    assert info.report is not None
    assert len(info.known) == 12  # six images, six label maps


def test_a_bad_scan_fails_alone_and_its_error_has_three_parts(engine: Engine, small: Small, tmp_path: Path) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_bytes(b"no image at all")
    first = engine.submit(Order("balls", (bad,), tmp_path / "out"))
    second = engine.submit(order(small, tmp_path / "out2"))
    failed = engine.wait(first.id, WAIT)
    assert failed.state == "failed"
    assert failed.error is not None
    assert set(failed.error) == {"what", "where", "fix"}
    assert failed.message == failed.error["what"]
    assert "\n" not in failed.message
    assert engine.wait(second.id, WAIT).state == "done"


@pytest.fixture
def endless(engine: Engine, small: Small, tmp_path: Path) -> Job:
    """A job that is at work until somebody ends it."""
    job = engine.submit(order(small, tmp_path / "endless", 0, EndlessOptions()))
    until(lambda: engine.job(job.id).message == "Working")
    return job


def test_a_killed_worker_fails_one_job_and_the_next_goes_through(
    engine: Engine, small: Small, tmp_path: Path, endless: Job
) -> None:
    process, following = engine.process, engine.submit(order(small, tmp_path / "out"))
    assert process is not None
    assert engine.job(following.id).state == "queued"
    os.kill(process, signal.SIGKILL)
    failed = engine.wait(endless.id, WAIT)
    assert (failed.state, failed.message) == ("failed", "the process that predicts was killed (SIGKILL)")
    assert engine.wait(following.id, WAIT).state == "done"
    assert engine.process != process


def test_a_worker_that_died_idle_costs_no_job(engine: Engine, small: Small, tmp_path: Path) -> None:
    refused = order(small, tmp_path / "out", 0, RefusedOptions())
    engine.wait(engine.submit(refused).id, WAIT)
    assert engine.process is not None
    os.kill(engine.process, signal.SIGKILL)
    assert engine.wait(engine.submit(refused).id, WAIT).message == "refused by the process"


def test_jobs_are_cancelled_while_they_wait_and_while_they_run(
    engine: Engine, small: Small, tmp_path: Path, endless: Job
) -> None:
    process = engine.process
    waiting = engine.submit(order(small, tmp_path / "a"))
    following = engine.submit(order(small, tmp_path / "b", 1, RefusedOptions()))
    assert engine.cancel(waiting.id)
    assert engine.cancel(endless.id)
    assert not engine.cancel(endless.id)
    assert engine.wait(following.id, WAIT).message == "refused by the process"
    assert {engine.job(endless.id).state, engine.job(waiting.id).state} == {"cancelled"}
    assert engine.process != process
    assert not (tmp_path / "a").exists()


def test_unknown_runs_and_jobs_are_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no run 'other'"):
        engine.submit(Order("other", (tmp_path,), tmp_path))
    for ask in (engine.job, engine.cancel, engine.wait):
        with pytest.raises(BadInput, match="no such job"):
            ask("ffff")
    with pytest.raises(BadInput, match="not a run"):
        Engine({"none": tmp_path})


def test_networks_stay_open_until_others_are_used(small: Small, tmp_path: Path) -> None:
    shelf, heard = Shelf("cpu", 2), []  # type: ignore[var-annotated]
    plain, views, others = PredictOptions(), PredictOptions(tta=True), PredictOptions(tta=True, seed=1)
    #: Options, and whether networks have to be opened for them when two stay open.
    asked = [
        (plain, True),
        (plain, False),
        (views, True),
        (plain, False),
        (others, True),
        (plain, False),
        (views, True),
    ]
    for options, opens in asked:
        heard.clear()
        assert shelf.opened(small.run, options, Listener(stage=heard.append)).wish.tta == options.tta
        assert (heard == ["Opening the networks"]) == opens
        assert len(shelf) <= 2


def test_a_run_that_was_trained_on_is_opened_again(small: Small, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(small.run, tmp_path / "run")
    shelf, heard = Shelf("cpu", 4), []  # type: ignore[var-annotated]
    for changed in (False, True):
        heard.clear()
        if changed:
            os.utime(tmp_path / "run" / "fold_0" / "model.safetensors")
        attempt(shelf, tmp_path / "run", WarmOrder("balls"), heard.append)
        assert ("stage", "Opening the networks") in heard


def test_the_calling_process_loads_no_torch() -> None:
    code = "import sys, voxloom.serve.engine; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_worker_ends_with_its_service(small: Small) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom tests.serve.slow import EndlessOptions\n"
        "from voxloom.serve.engine import Engine, Order\nengine = Engine({'a': Path(sys.argv[1])}, device='cpu')\n"
        "job = engine.submit(Order('a', (), Path('out'), EndlessOptions()))\n"
        "while engine.job(job.id).message != 'Working': time.sleep(0.01)\n"
        "print(engine.process, flush=True)\nsys.stdin.read()"
    )
    service = subprocess.Popen(
        [sys.executable, "-c", code, str(small.run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert service.stdout is not None
    process = service.stdout.readline().strip()
    assert Path(f"/proc/{process}").exists()
    service.kill()
    service.wait()
    until(lambda: not Path(f"/proc/{process}").exists() or " Z " in Path(f"/proc/{process}/stat").read_text())


def test_a_board_forgets_old_jobs_and_never_those_at_work() -> None:
    board = Board()
    kept = board.add("predict", {})
    assert board.start(kept.id)
    for _ in range(REMEMBERED + 50):
        board.finish(board.add("predict", {}).id, {})
    assert len(board.all()) <= REMEMBERED + 2
    assert board.get(kept.id).state == "running"
    assert not board.start(kept.id)
    assert board.wait(kept.id, 0.01).state == "running"
    assert replace(board.get(kept.id), state="done").has_ended


def until(true: object, seconds: float = 60) -> None:
    """Wait until something is so."""
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def test_a_closed_engine_takes_nothing_more(small: Small, tmp_path: Path) -> None:
    closed = Engine({"balls": small.run})
    closed.close()
    with pytest.raises(BadInput, match="the service is stopping"):
        closed.submit(order(small, tmp_path / "out"))
    assert closed.jobs() == []
