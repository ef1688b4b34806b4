"""Runs of several channels: the series of a study come together, once, and what nobody can tell is left to a person."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.archive.make import uid
from tests.serve.node.parts import PATIENT_ID, Place, Process, WithoutNetwork, send, series, until
from tests.serve.orthanc import free_port
from voxloom.cli.app import run
from voxloom.serve.node.held import Series
from voxloom.serve.node.instance import key_of
from voxloom.serve.node.predicting import Needs
from voxloom.serve.node.wishes import Wish, ask

T2 = {"RepetitionTime": 4000, "EchoTime": 100}
PAIR: dict[str, Any] = {
    "name": "pair", "where": {"Modality": "MR"}, "run": "net", "to": ["pacs"],
    "channels": {"T2": {"derived_weighting": "T2"}, "T1": {"derived_weighting": "T1", "derived_plane": "axial"}},
}  # fmt: skip


def of_study(folder: Path, study: str, name: str, count: int = 3, **keywords: Any) -> list[Path]:
    """A series of a study, T1-weighted unless ``keywords`` say otherwise."""
    study_uid, name = uid("study", study), f"{study} {name}"
    return series(folder / name, name, count, StudyInstanceUID=study_uid, **keywords)


def rows(place: Place, capfd: pytest.CaptureFixture[str], *more: str) -> list[dict[str, Any]]:
    """What ``voxloom node list`` tells of studies."""
    assert run(["node", "list", str(place.settings), "--json", *more]) == 0
    found: list[dict[str, Any]] = json.loads(capfd.readouterr().out)
    return [row for row in found if row["kind"] == "study"]


def test_series_of_a_study_become_one_result(place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Whichever comes first; beside a rule of single series, another sequence and another study."""
    single = {"name": "single", "where": {"derived_plane": "sagittal"}, "run": "one", "to": ["pacs"]}
    place.write(rules=[PAIR, single])
    node = place.node()
    send(node.port, of_study(tmp_path, "a", "t2", 4, **T2))
    send(node.port, of_study(tmp_path, "b", "t1"))
    until(lambda: place.states() == ["waiting", "waiting"])
    until(lambda: place.audit().count('"study waits"') == 2)
    (row,) = [row for row in rows(place, capfd) if row["series"] == key_of(uid("study", "a"))]
    assert (row["state"], row["task"], row["instances"]) == ("waiting", "v1-pair", 4)
    assert row["error"] == "waits for channel T1"
    send(node.port, of_study(tmp_path, "a", "other", 2, ImageOrientationPatient=[0, 1, 0, 0, 0, -1]))
    send(node.port, of_study(tmp_path, "a", "t1"))
    until(lambda: place.states() == ["sent", "sent", "waiting"])
    results = place.peer.results()
    assert results == {uid("series", "a t1"): ["net 0000:3 0001:4"], uid("series", "a other"): ["one 2"]}
    until(lambda: not list(place.queue.glob("s*/*/scan-*")))  # no second names of the images stay
    assert run(["node", "list", str(place.settings), "--state", "channel"]) == 0
    assert "T1 of pair" in capfd.readouterr().err
    send(node.port, list(place.peer.folder.glob("*.dcm")))  # results that come back belong to the study too
    until(lambda: place.audit().count('"series matches no rule"') == 2)
    assert place.states() == ["sent", "sent", "waiting"]
    node.close()


def test_killed_between_the_series_and_while_predicting(place: Place, tmp_path: Path) -> None:
    place.write(rules=[PAIR])
    port = free_port()
    node = Process.start(place.settings, port, 0.6)
    send(port, of_study(tmp_path, "k", "t1"))
    until(lambda: place.states() == ["waiting"])
    node.kill()
    node = Process.start(place.settings, port, 0.6)
    send(port, of_study(tmp_path, "k", "t2", 4, **T2))
    until(lambda: place.states() == ["ready"] and list(place.queue.glob("studies/*/scan-*/*_0001")))
    node.kill()
    node = Process.start(place.settings, port, 0.0)
    until(lambda: place.states() == ["sent"])
    assert node.stop() == b""
    assert place.peer.results() == {uid("series", "k t1"): ["net 0000:3 0001:4"]}
    assert place.peer.offered == 1


def test_two_series_for_one_channel_are_left_to_a_person(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place.write(rules=[PAIR])
    node = place.node()
    files = [*of_study(tmp_path, "two", "t1"), *of_study(tmp_path, "two", "t2", **T2)]
    second = of_study(tmp_path, "two", "again", 5)
    send(node.port, [*files, *second])
    until(lambda: place.states() == ["dead"])
    (row,) = rows(place, capfd, "--state", "dead")
    assert row["error"].startswith("2 series fit channel T1: ")
    keys = [key_of(uid("series", f"two {name}")) for name in ("again", "t1")]
    assert all(key in row["error"] for key in keys)
    until(lambda: '"event": "dead letter"' in place.audit())
    assert run(["node", "retry", str(place.settings), uid("study", "two")]) == 0  # nothing has changed
    until(lambda: place.audit().count("2 series fit channel T1") == 2)
    assert place.states() == ["dead"]
    assert run(["node", "forget", str(place.settings), keys[0]]) == 0
    until(lambda: place.states() == ["sent"])
    assert place.peer.results() == {uid("series", "two t1"): ["net 0000:3 0001:3"]}
    send(node.port, second)  # after the result
    until(lambda: place.states() == ["dead", "sent"])
    ask(place.queue, Wish("forget", keys[0]))
    until(lambda: place.states() == ["sent", "superseded"])
    ask(place.queue, Wish("forget", key_of(uid("study", "two"))))
    until(lambda: not [*place.queue.glob("series/*"), *place.queue.glob("studies/*")])
    assert place.peer.offered == 1
    node.close()


def test_a_channel_that_never_comes_is_told_and_not_lost(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place.write(rules=[{**PAIR, "wait": 0.3}], keep={"sent": 1, "unmatched": 0.1})
    node = place.node()
    send(node.port, of_study(tmp_path, "late", "t1"))
    until(lambda: place.states() == ["dead"])
    (row,) = rows(place, capfd)
    assert row["error"] == "no series came for channel T2 within the wait"
    send(
        node.port, of_study(tmp_path, "late", "t2", **T2)
    )  # the first is kept as long as its study, whatever `unmatched` says
    until(lambda: place.peer.results() == {uid("series", "late t1"): ["net 0000:3 0001:3"]})
    until(lambda: not [*place.queue.glob("series/*"), *place.queue.glob("studies/*")])
    node.close()


def test_a_run_that_does_without_a_channel_is_asked_after_the_wait(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place.write(rules=[{**PAIR, "wait": 0.3}])
    node = place.node(WithoutNetwork(takes=Needs(("T1", "T2"), may_lack=True)))
    send(node.port, of_study(tmp_path, "lacks", "t2", **T2))
    until(lambda: place.states() == ["sent"])
    assert place.peer.results() == {uid("series", "lacks t2"): ["net 0001:3"]}
    assert [row["error"] for row in rows(place, capfd)] == ["without channel T1"]
    send(node.port, of_study(tmp_path, "lacks", "t1"))
    until(lambda: place.states() == ["sent", "sent"])
    assert place.peer.results()[uid("series", "lacks t1")] == ["net 0000:3 0001:3"]
    node.close()


def test_images_that_come_before_the_prediction_supersede_it(place: Place, tmp_path: Path) -> None:
    go_on = threading.Event()
    busy = WithoutNetwork(fail=lambda wanted: go_on.wait(30) and None)
    place.write(rules=[PAIR])
    node = place.node(busy)
    files = of_study(tmp_path, "more", "t1")
    send(node.port, [*files[:2], *of_study(tmp_path, "more", "t2", **T2)])
    until(lambda: busy.wanted)
    send(node.port, files[2:])
    until(lambda: place.states() == ["ready", "superseded"])
    go_on.set()
    until(lambda: place.states() == ["sent", "superseded"])
    assert place.peer.results() == {uid("series", "more t1"): ["net 0000:3 0001:3"]}
    node.close()


def test_series_of_two_patients_are_never_put_together(place: Place, tmp_path: Path) -> None:
    place.write(rules=[PAIR])
    node = place.node()
    send(node.port, [*of_study(tmp_path, "p", "t1"), *of_study(tmp_path, "p", "t2", PatientID=f"{PATIENT_ID}2", **T2)])
    until(lambda: place.states() == ["dead"])
    until(lambda: "its series name several patients" in place.audit())
    assert place.peer.offered == 0
    node.close()


def test_a_series_of_a_queue_of_an_earlier_version_finds_its_study(tmp_path: Path) -> None:
    files = of_study(tmp_path, "old", "t1")
    (tmp_path / "queue" / "in").mkdir(parents=True)
    members = [path.rename(tmp_path / "queue" / "in" / f"{n}.dcm").stem for n, path in enumerate(files)]
    old = {"version": 1, "members": members, "tasks": [], "made": [], "changed": 1.0, "sender": "CT"}
    (tmp_path / "queue" / "state.json").write_text(json.dumps(old))
    found = Series(tmp_path / "queue")
    found.load()
    assert (found.is_receiving, found.state.fits, found.study) == (False, (), key_of(uid("study", "old")))
