"""Data sets and runs that lie elsewhere: a web server and a store in memory, what has changed, what cannot be read, what is sent."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.study.conftest import write_balls
from voxloom.cli.app import run
from voxloom.errors import BadInput, MissingExtra, VoxloomError
from voxloom.remote import DONE, address_of, exists, fetch, local_place, send


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, notes what was asked for, and refuses what is secret."""

    def do_GET(self) -> None:
        if "secret" in self.path:
            self.send_error(403)
        else:
            super().do_GET()

    do_HEAD = lambda self: self.send_error(403) if "secret" in self.path else SimpleHTTPRequestHandler.do_HEAD(self)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def web(tmp_path: Path, home: Path) -> Iterator[tuple[str, Path]]:
    """Address and folder of a web server."""
    served = tmp_path / "served"
    served.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", served
    server.shutdown()
    server.server_close()


@pytest.fixture
def store(home: Path) -> Iterator[Any]:
    """fsspec's store in memory, empty."""
    import fsspec

    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def test_addresses_survive_what_a_path_does_to_them() -> None:
    assert address_of(Path("s3://bucket/a b/c")) == "s3://bucket/a b/c"
    assert address_of("https://host:8000/x") == "https://host:8000/x"
    assert [address_of(Path(p)) for p in ("data", "/data/s3", "C:/data", "a/b:/c")] == [None] * 4


def test_a_data_set_of_a_web_server_is_read_and_only_changes_are_fetched(web: tuple[str, Path], home: Path) -> None:
    address, served = web
    write_balls(served / "set", 2)
    local = fetch(f"{address}/set")
    names = sorted(str(p.relative_to(served / "set")) for p in (served / "set").rglob("*") if p.is_file())
    assert sorted(str(p.relative_to(local)) for p in local.rglob("*") if p.is_file()) == names
    assert all((local / name).read_bytes() == (served / "set" / name).read_bytes() for name in names)
    before = {name: (local / name).stat().st_ino for name in names}
    (served / "set" / "dataset.json").write_text((served / "set" / "dataset.json").read_text() + "\n")
    (served / "set" / "labelsTr" / "ball01.nii.gz").unlink()
    fetch(f"{address}/set")
    names.remove("labelsTr/ball01.nii.gz")
    assert not (local / "labelsTr" / "ball01.nii.gz").exists()
    assert [name for name in names if (local / name).stat().st_ino != before[name]] == ["dataset.json"]


def test_a_command_reads_an_address_and_sends_its_result(
    web: tuple[str, Path], store: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    address, served = web
    write_balls(served / "set", 2)
    labels = f"{address}/set/labelsTr"
    assert run(["evaluate", "--pred", labels, "--truth", labels, "-o", "memory://results/one"]) == 0
    assert "files to memory://results/one" in capsys.readouterr().err
    sent = {path.removeprefix("/results/one/") for path in store.find("/results/one")}
    assert {"metrics.csv", "statistics.json", DONE} <= sent
    assert set(json.loads(store.cat_file("/results/one/voxloom-complete.json"))) == sent - {DONE}


def test_an_interrupted_result_is_told_and_taken_up_by_resume(home: Path, store: Any) -> None:
    from voxloom.cli.remote import localized

    place = local_place("memory://box/run")
    place.mkdir(parents=True)
    with pytest.raises(BadInput, match="an earlier result was not sent"):
        localized({"out": Path("memory://box/run"), "resume": False})
    found, target = localized({"out": Path("memory://box/run"), "resume": True})
    assert found["out"] == place
    assert target == "memory://box/run"


def test_what_is_sent_again_is_what_has_changed_and_the_end_is_told_last(store: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "run" / "sub").mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / "sub" / name).write_text(name)
    assert send(tmp_path / "run", "memory://box/run") == 2
    (tmp_path / "run" / "sub" / "b").write_text("other")
    order: list[str] = []
    real = type(store).put_file
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store), "put_file", lambda self, a, b, **k: (order.append(b), real(self, a, b, **k))[1])
        assert send(tmp_path / "run", "memory://box/run") == 1
    assert [path.rpartition("/")[2] for path in order] == ["b", DONE]
    assert exists("memory://box/run")
    assert (fetch("memory://box/run") / "sub" / "b").read_text() == "other"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("abc://x/y", "abc://x/y: abc:// is not known. Known: s3://"),
        ("s3://", "the address names no place. Write s3://BUCKET/FOLDER"),
        ("memory://nowhere/set", "memory://nowhere/set: nothing lies there"),
    ],
)
def test_bad_addresses_are_one_line(address: str, message: str, store: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadInput) as caught:
        fetch(address)
    assert message in str(caught.value)
    if address != "s3://":  # a path takes it for a folder of that name
        assert run(["inspect", address]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert message in error


def test_refused_and_unreachable_places_are_told(web: tuple[str, Path]) -> None:
    with pytest.raises(BadInput, match=r"access was refused .*Give the credentials"):
        fetch(f"{web[0]}/secret.nii.gz")
    with pytest.raises(VoxloomError, match=r"http://127\.0\.0\.1:1/set: cannot be reached"):
        fetch("http://127.0.0.1:1/set")


def test_without_its_package_the_extra_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtra, match=r"s3fs is not installed. Install it with: pip install 'voxloom\[s3\]'"):
        fetch("s3://bucket/set")


def test_secrets_and_caches_stay_here(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["prepare", str(tmp_path), "-r", "auto", "-o", "s3://bucket/cache"]) == 2
    assert "--cache must be a folder or file of this machine" in capsys.readouterr().err


def test_a_place_cannot_lead_out_of_the_cache(home: Path) -> None:
    assert local_place("http://host/../../etc/x").is_relative_to(home)
    assert os.sep + ".." not in str(local_place("s3://b/../c"))
