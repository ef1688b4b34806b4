"""A cache is seen and cleaned: by age, by size, never under a process that works with it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.prepare.test_cache import SETTINGS, write_dataset

from voxloom.cli.app import run
from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.files import process_prefix
from voxloom.prepare import Cache, usage
from voxloom.prepare.usage import clean_cache, list_cache


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Four prepared cases, last used 1 to 4 days ago (case_3 the longest), and one corrected scan; nothing is in use."""
    folder = tmp_path / "cache ü"
    Cache(folder).prepare(Dataset(write_dataset(tmp_path / "data")), SETTINGS)
    (folder / "n4").mkdir()
    (folder / "n4" / f"{'a' * 40}.voxcase").write_bytes(b"corrected")
    for note in folder.glob(".*-in-use"):
        note.unlink()
    usage._noted.clear()
    for days, path in enumerate([*sorted(folder.glob("*.voxcase")), *folder.glob("n4/*")], start=1):
        age(path, days)
    return folder


def age(path: Path, days: float) -> None:
    os.utime(path, (time.time() - days * 86400,) * 2)


def names(folder: Path) -> list[str]:
    return [file.path.name.split("-")[0] for file in list_cache(folder)]


def test_files_by_their_last_use(cache: Path, tmp_path: Path) -> None:
    assert names(cache)[1:] == ["case_3", "case_2", "case_1", "case_0"]
    assert not any(file.in_use for file in list_cache(cache))
    Cache(cache).prepare(Dataset(tmp_path / "data").subset(["case_2"]), SETTINGS)
    assert names(cache)[-1] == "case_2", "finding a case in the cache is a use of it"
    assert [file.path.name.split("-")[0] for file in list_cache(cache) if file.in_use] == ["case_2"]


def test_by_age_and_by_size(cache: Path) -> None:
    assert len(clean_cache(cache, unused_days=3.5)) == 2
    assert names(cache) == ["case_2", "case_1", "case_0"]
    sizes = {file.path.name.split("-")[0]: file.size for file in list_cache(cache)}
    removed = clean_cache(cache, limit=sizes["case_0"] + sizes["case_1"])
    assert [file.path.name.split("-")[0] for file in removed] == ["case_2"]
    assert names(cache) == ["case_1", "case_0"]


def test_other_files_are_left_alone(cache: Path) -> None:
    others = [cache / "notes.txt", cache / "mine.voxcase", cache / ".abcdef12-7-x.part.nii"]
    for path in others:
        path.write_text("mine")
    outside = cache.parent / f"x-{'b' * 32}.voxcase"
    outside.write_text("elsewhere")
    (cache / f"y-{'c' * 32}.voxcase").symlink_to(outside)
    clean_cache(cache)
    assert all(path.exists() for path in [*others, outside, cache / f"y-{'c' * 32}.voxcase"])
    assert list_cache(cache) == []


USER = """
import sys
from voxloom.dataset import Dataset
from voxloom.prepare import Cache, PrepareSettings
found = Cache(sys.argv[1]).prepare(Dataset(sys.argv[2]).subset(["case_0", "case_1"]), PrepareSettings(spacing=(1, 1, 1)))
print("ready", found.made, flush=True)
sys.stdin.readline()
print(sum(float(case.image().sum()) for case in found.values()), flush=True)
"""


def test_what_a_running_process_uses_is_kept_until_it_is_killed(cache: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", USER, str(cache), str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdin is not None
        assert user.stdout is not None
        assert user.stdout.readline() == "ready 0\n"
        assert len(clean_cache(cache)) == 3
        assert sorted(names(cache)) == ["case_0", "case_1"]
        user.stdin.write("\n")
        user.stdin.flush()
        assert float(user.stdout.readline()) != 0, "the process reads what it has opened"
    assert not list(cache.glob(".*-in-use")), "a process that ends takes its note with it"
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        user.stdout.readline()
        user.kill()
    assert list(cache.glob(".*-in-use"))
    assert len(clean_cache(cache)) == 2
    assert not list(cache.glob(".*-in-use"))


def test_a_note_of_another_machine_counts_for_a_month(cache: Path) -> None:
    used = next(cache.glob("case_0*"))
    note = cache / ".00000000-1-in-use"
    note.write_text(json.dumps([used.name]))
    age(note, 29)
    assert len(clean_cache(cache)) == 4
    age(note, 31)
    assert len(clean_cache(cache)) == 1
    assert not note.exists()


def test_a_cache_that_cannot_be_written_to_is_used_all_the_same(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr(os, "utime", refuse)
    assert Cache(cache).prepare(Dataset(tmp_path / "data"), SETTINGS).made == 0
    assert not list(cache.glob(f"{process_prefix()}*"))


def test_the_command(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", str(cache)]) == 0
    said = capsys.readouterr()
    assert re.match(r"5 files, 0\.\d MB; in use now 0, 0\.0 MB; last used from 20", said.out)
    assert said.out.endswith(f"\nNext: voxloom cache {shlex.quote(str(cache))} --days 30\n")
    assert run(["cache", str(cache), "--days", "2.5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["files"], len(told["removed"]), told["in_use"]) == (2, 3, 0)
    assert run(["cache", str(cache), "--limit", "1KB"]) == 0
    assert run(["cache", str(cache), "--all"]) == 0
    assert run(["cache", str(cache)]) == 0, "an empty cache is a cache"
    assert capsys.readouterr().out.endswith("0 files, 0.0 MB; in use now 0, 0.0 MB\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--limit", "much"], "'much' is not a size"),
        (["--limit", "-5"], "is not a size"),
        (["--days", "nan"], "Invalid value for '--days'"),
        (["--all", "--days", "3"], "--all goes with neither"),
    ],
)
def test_refusals(arguments: list[str], told: str, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cache", str(cache), *arguments]) == 2
    assert told in capsys.readouterr().err
    assert len(list_cache(cache)) == 5


def test_only_a_cache_is_cleaned(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("mine")
    for folder in (tmp_path, tmp_path / "nowhere", tmp_path / "photo.jpg"):
        with pytest.raises(BadInput):
            clean_cache(folder)
    assert (tmp_path / "photo.jpg").exists()
