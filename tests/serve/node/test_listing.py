"""``voxloom node``: what lies in a queue, dead letters tried again, and destinations that answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.archive.make import uid
from tests.serve.node.parts import Place, send, series, until
from tests.serve.orthanc import free_port
from voxloom.cli.app import run
from voxloom.serve.node.instance import key_of


def test_dead_letters_are_listed_and_tried_again(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    node = place.node()
    place.peer.refuse = 0x0122
    send(node.port, series(tmp_path / "s", "listed"))
    send(node.port, series(tmp_path / "ct", "ct", 2, Modality="CT"))
    until(lambda: place.states() == ["dead"] and '"series matches no rule"' in place.audit())
    key, settings = key_of(uid("series", "listed")), str(place.settings)
    assert run(["node", "list", settings, "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)
    assert sorted((row["state"], row["instances"]) for row in rows) == [("dead", 5), ("unmatched", 2)]
    assert run(["node", "list", settings, "--state", "dead"]) == 0
    shown = capfd.readouterr()
    assert key in shown.err
    assert "pacs refused it with status 0122" in shown.err
    assert f"Next: voxloom node retry {settings} --all" in shown.out
    place.peer.refuse = 0
    assert run(["node", "retry", settings, "--all"]) == 0
    until(lambda: place.states() == ["sent"])
    assert run(["node", "forget", settings, uid("series", "listed")]) == 0  # by its UID
    until(lambda: place.states() == [])
    assert run(["node", "retry", settings, "1.2.3"]) == 2
    assert "the series 1.2.3 is not in the queue" in capfd.readouterr().err
    node.close()


def test_destinations_that_do_not_answer_are_named(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["node", "check", str(place.settings)]) == 0
    address = {"aet": "PEER", "host": "127.0.0.1", "port": free_port()}
    web = {"url": f"http://127.0.0.1:{free_port()}/dicom-web", "timeout": 2}
    rule = {"name": "all", "run": "net", "to": ["away", "web"]}
    place.write(destinations={"away": address, "web": web}, rules=[rule])
    assert run(["node", "check", str(place.settings)]) == 1
    told = capfd.readouterr().err
    assert "away cannot be reached" in told
    assert "2 of 2 destinations cannot be reached" in told


def test_a_peer_that_does_not_take_the_class_is_told_apart_from_one_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pynetdicom import AE, _config

    from tests.archive.make import header, save
    from voxloom.serve.node.sending import NotSentError, StoreScu
    from voxloom.serve.node.settings import Destination

    monkeypatch.setattr(_config, "UNRESTRICTED_STORAGE_SERVICE", False)
    entity = AE("PEER")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    to = Destination(aet="PEER", host="127.0.0.1", port=server.server_address[1])
    with pytest.raises(NotSentError, match=r"pacs takes none of the classes that are sent \(MR Image Storage\)"):
        StoreScu("pacs", to, "VOXLOOM").send([save(header(), tmp_path / "one.dcm")])
    server.shutdown()
