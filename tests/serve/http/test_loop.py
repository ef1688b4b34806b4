"""The loop: ranking, the next case, trainings that are stopped and resumed, and what annotating brings."""

from __future__ import annotations

import csv
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.serve.conftest import Small, labelled_folder
from tests.serve.http.conftest import BASE, OWN, Served
from voxloom.errors import BadInput
from voxloom.serve.engine import Engine
from voxloom.serve.http.app import create_app
from voxloom.serve.http.guard import Security
from voxloom.serve.jobs import Board
from voxloom.serve.loop import write_training_table
from voxloom.serve.refusals import Conflict
from voxloom.serve.service import Service
from voxloom.serve.store import Store
from voxloom.serve.trainings import TrainingOrder, Trainings, how_far


@pytest.fixture
def own(small: Small, engine: Engine, tmp_path: Path) -> Any:
    """A service of this test alone."""
    folder = labelled_folder(small, tmp_path / "heads")
    service = Service(engine, Store.of(folder, channels=("MR",)))
    yield Served(service, TestClient(create_app(service, Security()), base_url=BASE, headers=OWN))
    service.trainings.close()


def test_from_ranking_over_drawing_to_a_better_run(own: Served, tmp_path: Path) -> None:
    person = next(name for name in own.service.store.ids() if name.startswith("DOE"))
    assert own.get("/next?strategy=first")["id"] == "new_0"
    own.get("/next?run=balls", 400)
    own.get("/next?strategy=dice", 400)
    ranked = own.done(own.post("/rank", {"run": "balls"}))
    order = [row["case"] for row in ranked["result"]["rows"]]
    assert sorted(order) == sorted(["new_0", person])
    found = own.get("/next?run=balls")
    assert (found["id"], found["reason"]) == (order[0], ranked["result"]["rows"][0]["reason"])
    assert {case["id"]: case["rank"] for case in own.get("/cases")} == {
        "labelled_0": None, "labelled_1": None, order[0]: 1, order[1]: 2,
    }  # fmt: skip

    assert own.done(own.post("/predict", {"run": "balls", "case": order[0]}))["state"] == "done"
    own.draw(order[0], tmp_path, author="anna", parent="balls", seconds=40, tag="final")
    assert own.get("/next?run=balls")["id"] == order[1]
    assert own.get("/next?run=balls&author=ben&again=1")["id"] == order[0]
    own.draw(order[1], tmp_path, author="anna", seconds=90)
    assert own.get("/next?run=balls")["id"] is None
    own.post("/rank", {"run": "balls"}, 400)

    state = own.get("/progress")
    assert (state["annotated"], state["total"], state["curve"]) == (2, 2, [])
    assert [row["seconds"] for row in state["seconds"]] == [40, 90]
    assert state["median_seconds"] == {"prediction": 40, "nothing": 90}
    assert [row["case"] for row in state["corrections"]] == [order[0]]
    assert 0 <= state["corrections"][0]["dice"] <= 1

    job = own.post("/train", {"name": "second", "budget": "2s", "run": "balls"})
    assert job["about"] == {"run": "second", "budget": "2s", "cases": 2}
    own.post("/train", {"name": "second", "budget": "2s"}, 409)
    ended = own.done(job)
    assert ended["state"] == "done", ended.get("error") or ended
    assert {run["name"] for run in own.get("/runs")} == {"balls", "second"}
    (point,) = own.get("/progress")["curve"]
    assert (point["run"], point["cases"]) == ("second", 2)
    assert 0 <= point["dice"] <= 1
    rows = own.get(f"/jobs/{job['id']}/log")
    assert {"fold", "step", "seconds", "train_loss", "val_dice"} <= set(rows[-1])
    again = own.done(own.post("/predict", {"run": "second", "case": order[0]}))
    assert again["state"] == "done", again
    own.post(f"/jobs/{job['id']}/resume", status=409)

    other = Service(own.service.engine, Store.of(tmp_path / "heads", channels=("MR",)))
    (listed,) = [found for found in other.engine.jobs() if found.about == job["about"] and found.id != job["id"]]
    assert listed.state == "done"  # a service that is started again knows what was trained
    other.trainings.close()


def test_a_drawing_goes_before_the_truth_and_final_ones_before_drafts(own: Served, tmp_path: Path) -> None:
    store = own.service.store
    own.draw("labelled_0", tmp_path, author="anna", tag="final")
    own.draw("labelled_0", tmp_path, author="anna", tag="draft", value=207)
    table = store.state / "cases.csv"
    assert write_training_table(store, table, "label") == 1
    rows = {row["case"]: row for row in csv.DictReader(table.open())}
    assert sorted(rows) == ["labelled_0", "labelled_1"]
    assert rows["labelled_0"]["label"].endswith("annotations/labelled_0/0001.nii.gz")
    assert (table.parent / rows["labelled_1"]["label"]).is_file()
    assert not Path(rows["labelled_1"]["image_MR"]).is_absolute()
    with pytest.raises(BadInput, match="0 case"):
        write_training_table(store, table, "points")


SCRIPT = """
import signal, sys, time
from pathlib import Path
run, mode = Path(sys.argv[1]), sys.argv[2]
(run / "fold_0").mkdir(parents=True, exist_ok=True)
(run / "recipe.yaml").write_text("name: x")
if "--resume" in sys.argv:
    (run / "summary.json").write_text("{}")
    sys.exit(0)
if mode == "bad":
    print("Error: /data/DOE: two few cases. Annotate more", file=sys.stderr)
    sys.exit(2)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
(run / "fold_0" / "log.csv").write_text("step,seconds,epoch,lr,train_loss,val_dice\\n10,3,1,0.1,0.5,0.25\\n")
time.sleep(600)
"""


@dataclass(frozen=True)
class Scripted(TrainingOrder):
    """A training that is a script of a few lines."""

    def command(self, resume: bool) -> list[str]:
        return [sys.executable, "-c", SCRIPT, str(self.out), self.words[0], *(["--resume"] if resume else [])]


def scripted(name: str, folder: Path, mode: str) -> Scripted:
    return Scripted(name, folder / "cases.csv", folder / name, "10s", (mode,), 3)


def test_a_training_is_watched_stopped_resumed_and_ends(tmp_path: Path) -> None:
    board, ready = Board(), []  # type: ignore[var-annotated]
    trainings = Trainings(tmp_path / "t", board, lambda name, folder: ready.append((name, folder)))
    job, waiting = (trainings.start(scripted(name, tmp_path, "long")) for name in ("one", "two"))
    with pytest.raises(Conflict, match="run of that name"):
        trainings.start(scripted("one", tmp_path, "long"))
    until(lambda: "step 10" in board.get(job.id).message)
    assert board.get(job.id).message == "Fold 0, step 10, loss 0.500, dice 0.250"
    assert board.get(job.id).progress == pytest.approx(0.3)
    assert board.get(waiting.id).state == "queued"
    assert trainings.log(job.id) == [
        {"fold": 0, "step": 10, "seconds": 3, "epoch": 1, "lr": 0.1, "train_loss": 0.5, "val_dice": 0.25}
    ]
    with pytest.raises(Conflict, match="running"):
        trainings.resume(job.id)
    assert trainings.stop(waiting.id)
    assert trainings.stop(job.id)
    assert board.wait(job.id, 30).state == "cancelled"
    assert "resumed" in board.get(job.id).message
    assert ready == []
    assert trainings.resume(job.id).state in ("queued", "running", "done")
    assert board.wait(job.id, 30).state == "done"
    assert ready == [("one", tmp_path / "one")]
    trainings.close()


def test_a_training_that_fails_tells_its_last_line_and_the_next_goes_on(tmp_path: Path) -> None:
    board = Board()
    trainings = Trainings(tmp_path / "t", board, lambda name, folder: None)
    bad = trainings.start(scripted("bad", tmp_path, "bad"))
    failed = board.wait(bad.id, 30)
    assert (failed.state, failed.message) == ("failed", "/data/DOE: two few cases. Annotate more")
    long = trainings.start(scripted("long", tmp_path, "long"))
    until(lambda: board.get(long.id).state == "running")
    trainings.close()
    assert board.wait(long.id, 30).state == "cancelled"

    again = Board()
    trainings = Trainings(tmp_path / "t", again, lambda name, folder: None)
    states = {job.about["run"]: job.state for job in again.all()}
    assert states == {"bad": "cancelled", "long": "cancelled"}
    trainings.close()


@pytest.mark.parametrize("closes", [False, True])
def test_a_training_that_is_stopped_between_its_turn_and_its_process_never_begins(tmp_path: Path, closes: bool) -> None:
    class Gated(Board):
        """Lets somebody in when a training is told to be running, before it is."""

        def start(self, name: str) -> bool:
            found = super().start(name)
            turn.set()
            stopped.wait(30)
            return found

    turn, stopped, board = threading.Event(), threading.Event(), Gated()
    trainings = Trainings(tmp_path / "t", board, lambda name, folder: None)
    job = trainings.start(scripted("one", tmp_path, "long"))
    assert turn.wait(30)
    if closes:
        threading.Thread(target=trainings.close).start()
        until(lambda: trainings._closing)
    else:
        assert trainings.stop(job.id)
    stopped.set()
    assert board.wait(job.id, 30).state == "cancelled"
    trainings.close()
    assert not (tmp_path / "one").exists()


def test_how_far_a_training_is(tmp_path: Path) -> None:
    order = TrainingOrder("x", tmp_path, tmp_path / "run", "10s", (), 0)
    assert how_far(order) == (0.0, "Preparing")
    for fold, seconds in ((0, 4), (1, 2)):
        path = tmp_path / "run" / f"fold_{fold}" / "log.csv"
        path.parent.mkdir(parents=True)
        path.write_text(f"step,seconds,train_loss,val_loss\n1,1,1,nan\n5,{seconds},0.5,0.125\n")
    assert how_far(order) == (pytest.approx(0.6), "Fold 1, step 5, loss 0.500, loss 0.125")
    (tmp_path / "run" / "repeat.yaml").write_text("")
    assert how_far(order)[1] == "Evaluating"


def until(true: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)
