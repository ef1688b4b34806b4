"""Archives that try to leave the folder, and those that do not."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from voxloom.dataset.fetch.unpack import lift_only_folder, unpack
from voxloom.errors import BadInput

from .archives import make_tar, make_zip

LARGEST = 1 << 20


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_tar(tmp_path: Path, mode: str) -> None:
    archive = make_tar(tmp_path / "a.tar", {"set/a.txt": b"1", "set/sub/b.txt": b"2", "set/._a.txt": b"mac"}, mode)
    assert unpack(archive, tmp_path / "out", largest=LARGEST) == 2
    top = lift_only_folder(tmp_path / "out")
    assert sorted(p.relative_to(top).as_posix() for p in top.rglob("*.txt")) == ["a.txt", "sub/b.txt"]


def test_zip(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"a.txt": b"1", "sub/": b"", "sub/b.txt": b"2", "__MACOSX/a.txt": b"3"})
    assert unpack(archive, tmp_path / "out", largest=LARGEST) == 2
    assert lift_only_folder(tmp_path / "out") == tmp_path / "out"


@pytest.mark.parametrize("name", ["../out.txt", "/abs.txt", "a/../../out.txt", "C:\\x.txt", "..\\x.txt", "\\x.txt"])
def test_no_path_leaves_the_folder(tmp_path: Path, name: str) -> None:
    for archive in (make_zip(tmp_path / "a.zip", {name: b"x"}), make_tar(tmp_path / "a.tar", {name: b"x"})):
        with pytest.raises(BadInput, match="leaves the folder"):
            unpack(archive, tmp_path / "in" / "out", largest=LARGEST)
    assert list(tmp_path.rglob("*.txt")) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_no_links_no_devices(tmp_path: Path, kind: bytes) -> None:
    archive = make_tar(tmp_path / "a.tar", {"x": special("x", kind, "../../secret"), "x/y": b"through the link"})
    with pytest.raises(BadInput, match="link or device"):
        unpack(archive, tmp_path / "out", largest=LARGEST)
    assert list((tmp_path / "out").iterdir()) == []


def test_no_links_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    with pytest.raises(BadInput, match="link or device"):
        unpack(tmp_path / "a.zip", tmp_path / "out", largest=LARGEST)


def test_a_bomb_is_stopped(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", {"zeros": bytes(4 << 20)})
    assert archive.stat().st_size < 10_000
    with pytest.raises(BadInput, match="more bytes than"):
        unpack(archive, tmp_path / "out", largest=LARGEST)
    assert (tmp_path / "out" / "zeros").stat().st_size <= LARGEST


def test_two_files_of_one_name(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for content in (b"1", b"2"):
            info = tarfile.TarInfo("a.txt")
            info.size = 1
            file.addfile(info, io.BytesIO(content))
    with pytest.raises(BadInput, match="two files named"):
        unpack(tmp_path / "a.tar", tmp_path / "out", largest=LARGEST)


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_half_an_archive(tmp_path: Path, kind: str) -> None:
    content = {"a.bin": bytes(range(256)) * 400}
    whole = make_tar(tmp_path / "w", content, "w:gz") if kind == "tar" else make_zip(tmp_path / "w", content)
    half = tmp_path / "half"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(BadInput, match="cannot be unpacked"):
        unpack(half, tmp_path / "out", largest=LARGEST)
