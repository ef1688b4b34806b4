"""What senders of other makers send is kept as it came: DCMTK's tools, five transfer syntaxes, twice, late, and one UID twice."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pydicom
import pytest
from pydicom.uid import UID, JPEGLSLossless

from tests.archive.make import uid
from tests.serve.node.parts import Place, send, series, until
from tests.serve.orthanc import tool
from voxloom.serve.node import wire
from voxloom.serve.node.instance import file_meta

#: Of each transfer syntax: DCMTK's tool that makes it, and what storescu must propose to send it.
SYNTAXES = {
    "1.2.840.10008.1.2.1": (None, "-xe"),
    "1.2.840.10008.1.2": (["dcmconv", "+ti"], "-xi"),
    "1.2.840.10008.1.2.4.70": (["dcmcjpeg"], "-xs"),
    "1.2.840.10008.1.2.4.80": (["dcmcjpls"], "-xt"),
    "1.2.840.10008.1.2.5": (["dcmcrle"], "-xr"),
}


def body_of(path: Path) -> bytes:
    """The data set's bytes, behind the file meta group."""
    return path.read_bytes()[144 + int.from_bytes(path.read_bytes()[140:144], "little") :]


def converted(files: list[Path], tool_line: list[str] | None, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for path in files:
        if tool_line is None:
            (folder / path.name).write_bytes(path.read_bytes())
        else:
            name, *options = tool_line
            subprocess.run([tool(name), *options, path, folder / path.name], check=True)
    return folder


def test_five_transfer_syntaxes_by_storescu(place: Place, tmp_path: Path) -> None:
    node = place.node()
    subprocess.run([tool("echoscu"), "-aec", "VOXLOOM", "127.0.0.1", str(node.port)], check=True)
    plain: dict[str, Path] = {}
    for number, (syntax, (tool_line, option)) in enumerate(SYNTAXES.items()):
        files = series(tmp_path / f"plain{number}", f"syntax {syntax}", 3, size=32)
        folder = converted(files, tool_line, tmp_path / f"sent{number}")
        plain |= {str(pydicom.dcmread(path).SOPInstanceUID): path for path in files}
        line = [tool("storescu"), option, "+sd", "-aec", "VOXLOOM", "127.0.0.1", str(node.port), str(folder)]
        subprocess.run(line, check=True, env={"TCP_NODELAY": "1"})
    until(lambda: len(place.peer.results()) == len(SYNTAXES))
    kept = [pydicom.dcmread(path) for path in place.queue.glob("series/*/in/*.dcm")]
    assert sorted(one.file_meta.TransferSyntaxUID for one in kept) == sorted(list(SYNTAXES) * 3)
    for one in kept:
        assert (one.pixel_array == pydicom.dcmread(plain[one.SOPInstanceUID]).pixel_array).all()
    assert {tuple(found) for found in place.peer.results().values()} == {("net 3",)}
    node.close()


def test_instances_are_kept_byte_for_byte_and_once(place: Place, tmp_path: Path) -> None:
    node = place.node()
    files = series(tmp_path / "s", "bytes", 3)
    assert send(node.port, files) == [0, 0, 0]
    assert send(node.port, files) == [0, 0, 0]
    kept = sorted(body_of(path) for path in place.queue.glob("series/*/in/*.dcm"))
    assert kept == sorted(body_of(path) for path in files)
    until(lambda: place.states() == ["sent"])
    assert send(node.port, files) == [0, 0, 0]
    assert len(node.metrics.text().split('outcome="known"} 6')) == 2
    assert place.peer.offered == 1
    node.close()


def test_one_uid_with_two_contents_keeps_both_apart_and_tells(place: Place, tmp_path: Path) -> None:
    node = place.node()
    files = series(tmp_path / "s", "twice", 2)
    assert send(node.port, files) == [0, 0]
    subprocess.run([tool("dcmcjpls"), files[0], tmp_path / "same.dcm"], check=True)
    assert pydicom.dcmread(tmp_path / "same.dcm").file_meta.TransferSyntaxUID == JPEGLSLossless
    other = pydicom.dcmread(files[1])
    other.PixelData = bytes(len(other.PixelData))
    other.save_as(tmp_path / "other.dcm")
    assert send(node.port, [tmp_path / "same.dcm", tmp_path / "other.dcm"]) == [0, 0]
    apart = list(place.queue.glob("series/*/apart/*.dcm"))
    assert [body_of(path) for path in apart] == [body_of(tmp_path / "other.dcm")]
    until(lambda: place.audit().count('"kept apart"') == 1)
    until(lambda: place.states() == ["sent"])
    assert place.peer.results() == {uid("series", "twice"): ["net 2"]}
    node.close()


def test_late_instances_make_a_new_version(place: Place, tmp_path: Path) -> None:
    node = place.node()
    files = series(tmp_path / "s", "late", 5)
    send(node.port, files[:3])
    until(lambda: place.states() == ["sent"])
    send(node.port, files[3:])
    until(lambda: place.states() == ["sent", "sent"])
    assert sorted(place.peer.results()[uid("series", "late")]) == ["net 3", "net 5"]
    until(lambda: place.audit().count('"late instance"') == 2)
    node.close()


@pytest.mark.parametrize(
    "uids", [("1.2.840.10008.5.1.4.1.1.2", "1.2.3.40", "1.2.840.10008.1.2"), ("1.2", "1", "1.2.3")]
)
def test_the_file_meta_group_is_that_of_the_library(uids: tuple[str, str, str]) -> None:
    """Even and odd lengths."""
    from pynetdicom.dsutils import create_file_meta, encode_file_meta

    told = create_file_meta(
        **dict(zip(("sop_class_uid", "sop_instance_uid", "transfer_syntax"), map(UID, uids), strict=True))
    )
    assert file_meta(*uids) == bytes(128) + b"DICM" + encode_file_meta(told)


def test_an_instance_is_answered_by_who_read_it_once_the_association_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    from pynetdicom.dimse_primitives import C_ECHO, C_STORE

    ends: list[bool] = []
    association = SimpleNamespace(
        _accepted_cx={1: "context"}, is_established=False, abort=lambda block: ends.append(block)
    )
    instance, echo = C_STORE(), C_ECHO()
    monkeypatch.setattr(C_STORE, "is_valid_request", True)
    carried_out: list[object] = []

    class Service:
        def __init__(self, association: object) -> None: ...

        def SCP(self, message: object, context: object) -> None:
            carried_out.append((message, context))
            if len(carried_out) == 2:
                raise ValueError("the answer cannot be encoded")

    monkeypatch.setattr(wire, "StorageServiceClass", Service)
    messages = wire.Messages(association)
    messages.put((1, instance))  # the peer was not told yet that it may send
    association.is_established = True
    messages.put((1, instance))  # keeps its place behind the first
    assert (messages.get(), messages.get()) == ((1, instance), (1, instance))
    for item in ((1, echo), (3, instance), (None, None)):
        messages.put(item)
        assert messages.get() == item
    assert carried_out == []
    messages.put((1, instance))
    assert (carried_out, ends) == ([(instance, "context")], [])
    messages.put((1, instance))
    assert ends == [False]
    assert messages.empty()


@pytest.mark.parametrize("kind", ["1.3.12.2.1107.5.9.1", "1.2.840.10008.5.1.4.1.1.66.7"])
def test_classes_that_nobody_listed_are_taken(place: Place, tmp_path: Path, kind: str) -> None:
    node = place.node()
    assert send(node.port, series(tmp_path / "s", kind, 1, SOPClassUID=kind)) == [0]
    node.close()


def test_the_queue_is_for_its_owner_alone(place: Place, tmp_path: Path) -> None:
    node = place.node()
    send(node.port, series(tmp_path / "s", "mine", 2))
    until(lambda: place.states() == ["sent"])
    assert place.queue.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in place.queue.glob("series/*/in/*")} == {0o600}
    node.close()
