"""Hashes are remembered while a file stays as it was, and only then."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from voxloom import digests
from voxloom.digests import file_digests
from voxloom.errors import BadInput


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are really read. Every file counts as settled, and this process remembers nothing."""
    done: list[str] = []
    real = digests.sha256_file
    monkeypatch.setattr(digests, "sha256_file", lambda path: (done.append(path.name), real(path))[1])
    monkeypatch.setattr(digests, "SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(digests, "_known", {})
    return done


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a new process began."""
    monkeypatch.setattr(digests, "_known", {})


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_an_unchanged_file_is_read_once(tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    files = [write(tmp_path / f"ü {n}", str(n)) for n in range(3)]
    expected = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    memo = tmp_path / "cache" / "digests.json"
    for _ in range(2):
        assert file_digests([*files, files[0]], memo) == expected
        forget(monkeypatch)
    assert sorted(reads) == ["ü 0", "ü 1", "ü 2"]
    assert file_digests(files) == expected
    assert file_digests(files) == expected
    assert len(reads) == 6, "without a memo this process remembers"


def change_content(path: Path) -> None:
    """Other bytes, as many as before, under the old time stamps of access and content."""
    before = path.stat()
    path.write_text("b")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_file(path: Path) -> None:
    """Another file moved into its place, with the same size and times of access and content."""
    before = path.stat()
    other = write(path.with_name("other"), "b")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def move_time(path: Path) -> None:
    """The same size, written a second later."""
    later = path.stat().st_mtime_ns + 10**9
    path.write_text("b")
    os.utime(path, ns=(later, later))


@pytest.mark.parametrize("change", [change_content, replace_file, move_time])
def test_a_changed_file_is_noticed(
    change: object, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, memo = write(tmp_path / "a", "a"), tmp_path / "digests.json"
    first = file_digests([path], memo)[path]
    change(path)  # type: ignore[operator]
    assert file_digests([path], memo)[path] == hashlib.sha256(b"b").hexdigest() != first
    forget(monkeypatch)
    assert file_digests([path], memo)[path] == hashlib.sha256(b"b").hexdigest()


def test_a_file_that_has_just_changed_is_not_trusted(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "SETTLED_SECONDS", 3600.0)
    path, memo = write(tmp_path / "a", "a"), tmp_path / "digests.json"
    for _ in range(2):
        file_digests([path], memo)
    assert reads == ["a", "a"]
    assert not memo.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"a": 3}', '{"a": [[1, 2], "x"]}', '{"a": [[1, 2, 3, "x"], "y"]}'])
def test_a_damaged_memo_is_made_anew(text: str, tmp_path: Path, reads: list[str]) -> None:
    path, memo = write(tmp_path / "a", "a"), write(tmp_path / "digests.json", text)
    assert file_digests([path], memo)[path] == hashlib.sha256(b"a").hexdigest()
    assert str(path) in memo.read_text()


def test_files_that_are_gone_are_forgotten_and_refused(tmp_path: Path, reads: list[str]) -> None:
    a, b, memo = write(tmp_path / "a", "a"), write(tmp_path / "b", "b"), tmp_path / "digests.json"
    file_digests([a], memo)
    a.unlink()
    file_digests([b], memo)
    assert str(a) not in memo.read_text()
    with pytest.raises(BadInput, match="cannot be read"):
        file_digests([a], memo)
