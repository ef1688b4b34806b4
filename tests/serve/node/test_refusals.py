"""What a node refuses, and that refusing harms nobody else: strangers, wrong titles, too much, too little disk, nonsense."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pydicom
import pytest

from tests.serve.node.parts import Place, send, series, until
from voxloom.serve.node import Node, load_settings
from voxloom.serve.node.store import Store


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return series(tmp_path_factory.mktemp("s"), "refused", 2)


def test_another_called_title(place: Place, files: list[Path]) -> None:
    node = place.node()
    assert send(node.port, files, aet="ELSE") == []
    until(lambda: "called by another AE title" in place.audit())
    assert send(node.port, files) == [0, 0]
    node.close()


def test_only_peers_that_are_named_from_their_addresses(place: Place, files: list[Path]) -> None:
    place.write(
        peers=[{"aet": "FRIEND", "hosts": ["127.0.0.0/8"]}, {"aet": "FAR", "hosts": ["10.1.2.3"]}],
    )
    node = place.node()
    assert send(node.port, files, calling="STRANGER") == []
    assert send(node.port, files, calling="FAR") == []
    assert send(node.port, files, calling="FRIEND") == [0, 0]
    until(lambda: "unknown AE title" in place.audit())
    until(lambda: "an AE title that has another address" in place.audit())
    node.close()


def test_an_address_of_no_peer_is_not_listened_to(place: Place, files: list[Path]) -> None:
    place.write(peers=[{"aet": "FAR", "hosts": ["10.1.2.3"]}])
    node = place.node()
    assert send(node.port, files, calling="FAR") == []
    until(lambda: "unknown address" in place.audit())
    node.close()


def test_too_many_associations(place: Place, files: list[Path]) -> None:
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification

    place.write(limits={"associations": 2, "disk_free": "1MB"})
    node = place.node()
    entity = AE("HOLDER")
    entity.add_requested_context(Verification)
    held = [entity.associate("127.0.0.1", node.port, ae_title="VOXLOOM") for _ in range(3)]
    assert [one.is_established for one in held] == [True, True, False]
    for one in held:
        one.release()
    until(lambda: send(node.port, files) == [0, 0])
    node.close()


def test_a_full_disk_is_told_and_nothing_is_kept(
    place: Place, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = place.node()
    monkeypatch.setattr(Store, "free_bytes", lambda self: 1 << 19)
    assert send(node.port, files) == [0xA700, 0xA700]
    assert list(place.queue.glob("series/*/in/*")) == []
    assert list((place.queue / "incoming").iterdir()) == []
    monkeypatch.undo()
    time.sleep(1.1)  # the disk is looked at once a second
    assert send(node.port, files) == [0, 0]
    node.close()


def test_a_disk_that_fails_while_writing(place: Place, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from voxloom.serve.node import durable

    node = place.node()

    def full(handle: int, piece: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "_write_all", full)
        assert send(node.port, files) == [0xA700, 0xA700]
    assert list((place.queue / "incoming").iterdir()) == []
    assert send(node.port, files) == [0, 0]
    node.close()


def test_more_bytes_and_more_instances_than_allowed(place: Place, tmp_path: Path, files: list[Path]) -> None:
    place.write(limits={"instance": 100_000, "instances": 3, "disk_free": "1MB"})
    node = place.node()
    long = series(tmp_path / "long", "long", 1, size=512)
    assert send(node.port, long) == []
    assert send(node.port, series(tmp_path / "many", "many", 4)) == [0, 0, 0, 0xA700]
    assert send(node.port, files) == [0, 0]
    node.close()


def test_a_rate_is_kept(place: Place, tmp_path: Path) -> None:
    place.write(limits={"rate": 200_000, "disk_free": "1MB"})
    node = place.node()
    some = series(tmp_path / "s", "paced", 4, size=256)  # half a megabyte at 0.2 MB/s, of which 0.2 MB come at once
    start = time.monotonic()
    assert send(node.port, some) == [0] * 4
    assert time.monotonic() - start > 1.0
    node.close()


def test_nonsense_takes_nobody_along(place: Place, tmp_path: Path, files: list[Path]) -> None:
    node = place.node()
    for garbage in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00\xff\xff\xff\xff" + bytes(100),
        b"\x04\x00\x00\x00\x00\x10",
        b"",
    ):
        with socket.create_connection(("127.0.0.1", node.port)) as peer:
            peer.sendall(garbage)
    damaged = pydicom.dcmread(files[0])
    del damaged.SeriesInstanceUID
    damaged.save_as(tmp_path / "no-series.dcm")
    assert send(node.port, [tmp_path / "no-series.dcm"]) == [0xC000]
    assert send(node.port, files) == [0, 0]

    def events() -> set[str]:
        return {json.loads(line)["event"] for line in place.audit().splitlines()}

    until(lambda: {"instance refused", "library"} <= events())
    node.close()


def test_a_uid_like_a_path_stays_in_the_queue(place: Place, tmp_path: Path) -> None:
    node = place.node()
    evil = series(tmp_path / "s", "evil", 1, SOPInstanceUID=None)[0]
    dataset = pydicom.dcmread(evil)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.save_as(evil)
    uid = str(dataset.SeriesInstanceUID).encode()
    path = b"../../../../../../tmp/evil"
    raw = evil.read_bytes().replace(uid, path.ljust(len(uid), b"9"))
    evil.write_bytes(raw)
    assert send(node.port, [evil]) == [0]
    names = [path.name for path in (place.queue / "series").iterdir()]
    assert len(names) == 1
    assert len(names[0]) == 32
    node.close()


def test_one_node_to_a_queue_and_no_open_door(place: Place) -> None:
    from voxloom.errors import BadInput

    node = place.node()
    with pytest.raises(BadInput, match="another node uses this queue"):
        place.node()
    node.close()
    settings = load_settings(place.settings)
    with pytest.raises(BadInput, match="anybody who reaches 0.0.0.0 could send"):
        Node(settings, None, aet="V", host="0.0.0.0", port=0, source=place.settings)  # type: ignore[arg-type]
