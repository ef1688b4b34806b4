"""What becomes of a series: rules, tries, dead letters, wishes, and results that come back."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.archive.make import uid
from tests.serve.node.parts import NAME, PATIENT_ID, Peer, Place, WithoutNetwork, send, series, until
from voxloom.errors import VoxloomError
from voxloom.serve.node.instance import key_of
from voxloom.serve.node.predicting import Wanted
from voxloom.serve.node.wishes import Wish, ask


def test_rules_decide_run_and_destination(place: Place, tmp_path: Path) -> None:
    second = Peer(tmp_path / "second")
    port = {"host": "127.0.0.1", "timeout": 5}
    place.write(
        destinations={
            "first": {"aet": "PEER", "port": place.peer.port, **port},
            "second": {"aet": "PEER", "port": second.port, **port},
        },
        rules=[
            {"name": "thin", "where": {"slice_thickness": {"max": 4}}, "run": "a", "to": ["first", "second"]},
            {"name": "axial", "where": {"derived_plane": "axial", "Modality": "MR"}, "run": "b", "to": ["second"]},
            {"name": "sagittal", "where": {"derived_plane": "sagittal"}, "run": "c", "to": ["first"]},
        ],
    )
    node = place.node()
    send(node.port, series(tmp_path / "thin", "thin"))
    send(node.port, series(tmp_path / "thick", "thick", SliceThickness=8))
    send(node.port, series(tmp_path / "other", "other", SliceThickness=8, ImageOrientationPatient=[1, 0, 0, 0, 0, -1]))
    send(node.port, series(tmp_path / "mask", "mask", Modality="SEG"))
    until(lambda: place.audit().count('"series matches no rule"') == 2)
    until(lambda: place.states() == ["sent"] * 3)
    assert place.peer.results() == {uid("series", "thin"): ["a 5"]}
    found = second.results()
    assert {name: sorted(texts) for name, texts in found.items()} == {
        uid("series", "thin"): ["a 5", "b 5"],
        uid("series", "thick"): ["b 5"],
    }
    node.close()
    second.close()


def test_a_peer_that_is_away_gets_the_same_instances_later(place: Place, tmp_path: Path) -> None:
    place.write(retry={"first": 0.1, "most": 0.2, "attempts": 50})
    node = place.node()
    place.peer.refuse = 0xA700
    send(node.port, series(tmp_path / "s", "away"))
    until(lambda: place.peer.offered >= 3)
    made = {path: path.read_bytes() for path in place.queue.glob("series/*/v1-all/*")}
    node.close()
    node = place.node()
    place.peer.refuse = 0
    until(lambda: place.states() == ["sent"])
    assert {path: path.read_bytes() for path in place.queue.glob("series/*/v1-all/*")} == made
    assert place.peer.results() == {uid("series", "away"): ["net 5"]}
    assert "PEER refused" not in place.audit()
    assert "pacs refused it with status A700" in place.audit()
    node.close()


def test_dead_letters_are_sent_when_somebody_wishes(place: Place, tmp_path: Path) -> None:
    node = place.node()
    place.peer.refuse = 0x0122
    send(node.port, series(tmp_path / "s", "dead"))
    until(lambda: place.states() == ["dead"])
    offered = place.peer.offered
    assert offered == 4
    node.close()
    place.peer.refuse = 0
    key = key_of(uid("series", "dead"))
    ask(place.queue, Wish("retry", key))
    node = place.node()
    until(lambda: place.states() == ["sent"])
    assert place.peer.offered == offered + 1
    ask(place.queue, Wish("forget", key))
    until(lambda: not list((place.queue / "series").iterdir()))
    node.close()


def test_a_prediction_that_fails_is_tried_again_and_names_no_patient(place: Place, tmp_path: Path) -> None:
    def fail(wanted: Wanted) -> None:
        if len(engine.wanted) < 2 or wanted.run == "bad":
            raise VoxloomError(f"{wanted.scan}: the scan of {NAME} ({PATIENT_ID}) has no slices")

    engine = WithoutNetwork(fail=fail)
    place.write(
        rules=[{"name": name, "where": {"Modality": "MR"}, "run": name, "to": ["pacs"]} for name in ("good", "bad")]
    )
    node = place.node(engine)
    send(node.port, series(tmp_path / "s", "fails"))
    until(lambda: place.states() == ["dead", "sent"])
    assert place.peer.results() == {uid("series", "fails"): ["good 5"]}
    states = "".join(path.read_text() for path in place.queue.glob("series/*/state.json"))
    until(lambda: "the scan of *** (***) has no slices" in place.audit())
    for text in (place.audit(), states):
        assert "the scan of *** (***) has no slices" in text
        assert not [word for word in ("Geheim", "Gerda", PATIENT_ID) if word in text]
    node.close()


def test_results_for_a_destination_that_was_struck_out_are_dead_letters(place: Place, tmp_path: Path) -> None:
    node = place.node()
    place.peer.refuse = 0xA700
    send(node.port, series(tmp_path / "s", "struck"))
    until(lambda: place.states() == ["predicted"])
    node.close()
    place.write(
        destinations={"new": {"aet": "PEER", "host": "127.0.0.1", "port": place.peer.port}},
        rules=[{"name": "all", "run": "net", "to": ["new"]}],
    )
    node = place.node()
    until(lambda: place.states() == ["dead"])
    until(lambda: "the settings name no destination pacs any more" in place.audit())
    node.close()


def test_results_that_come_back_are_not_predicted_again(place: Place, tmp_path: Path) -> None:
    place.write(rules=[{"name": "everything", "run": "net", "to": ["pacs"]}])
    node = place.node()
    send(node.port, series(tmp_path / "s", "loop"))
    until(lambda: place.states() == ["sent"])
    back = list(place.peer.folder.glob("*.dcm"))
    assert send(node.port, back) == [0]
    until(lambda: place.audit().count('"series matches no rule"') == 1)
    assert place.states() == ["sent"]
    node.close()


def test_a_late_instance_before_the_prediction_supersedes_it(place: Place, tmp_path: Path) -> None:
    go_on = threading.Event()
    busy = WithoutNetwork(fail=lambda wanted: go_on.wait(30) and None)
    node = place.node(busy)
    files = series(tmp_path / "s", "busy", 2)
    send(node.port, series(tmp_path / "first", "first", 2))
    until(lambda: busy.wanted)  # what comes now waits behind it
    send(node.port, files[:1])
    until(lambda: len(place.states()) == 2)
    send(node.port, files[1:])
    until(lambda: place.states() == ["ready", "ready", "superseded"])
    go_on.set()
    until(lambda: place.states() == ["sent", "sent", "superseded"])
    assert place.peer.results() == {uid("series", "busy"): ["net 2"], uid("series", "first"): ["net 2"]}
    node.close()


def test_what_is_finished_is_removed_in_time(place: Place, tmp_path: Path) -> None:
    place.write(keep={"sent": 0.5, "unmatched": 0.5})
    node = place.node()
    send(node.port, series(tmp_path / "s", "gone"))
    send(node.port, series(tmp_path / "ct", "ct", Modality="CT"))
    until(lambda: place.peer.results())
    until(lambda: not list((place.queue / "series").iterdir()))
    until(lambda: not list((place.queue / "incoming").iterdir()))
    node.close()


def test_numbers_for_prometheus(place: Place, tmp_path: Path) -> None:
    from urllib.request import urlopen

    place.write(metrics={"port": 0})
    node = place.node()
    send(node.port, series(tmp_path / "s", "numbers"))
    until(lambda: place.states() == ["sent"])

    def lines() -> list[str]:
        with urlopen(f"http://127.0.0.1:{node.metrics_port}/metrics") as answer:
            return answer.read().decode().splitlines()

    assert 'voxloom_node_instances_total{outcome="new"} 5' in lines()
    until(lambda: 'voxloom_node_tasks{state="sent"} 1' in lines())
    until(lambda: 'voxloom_node_sends_total{destination="pacs",outcome="sent"} 1' in lines())
    with urlopen(f"http://127.0.0.1:{node.metrics_port}/health") as answer:
        assert answer.read() == b"ok\n"
    node.close()


@pytest.mark.parametrize("mutual", [False, True])
def test_tls_both_ways(place: Place, tmp_path: Path, mutual: bool) -> None:
    import ssl

    from tests.serve.node.certificates import certificate

    mine, theirs = certificate(tmp_path, "node"), certificate(tmp_path, "peer")
    listening = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    listening.load_cert_chain(*theirs)
    listening.load_verify_locations(mine[0])
    listening.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE
    peer = Peer(tmp_path / "secret", listening)
    towards: dict[str, Any] = {"ca": str(theirs[0]), **({"cert": str(mine[0]), "key": str(mine[1])} if mutual else {})}
    own = {"cert": str(mine[0]), "key": str(mine[1]), **({"clients": str(theirs[0])} if mutual else {})}
    place.write(tls=own, destinations={"pacs": {"aet": "PEER", "host": "localhost", "port": peer.port, "tls": towards}})
    node = place.node()
    files = series(tmp_path / "s", f"tls {mutual}", 2)
    assert send(node.port, files) == []  # without TLS
    calling = ssl.create_default_context(cafile=mine[0])
    if mutual:
        assert send(node.port, files, tls=(calling, "localhost")) == []  # without a certificate
        calling.load_cert_chain(*theirs)
    assert send(node.port, files, tls=(calling, "localhost")) == [0, 0]
    until(lambda: len(peer.results()) == 1)
    node.close()
    peer.close()
