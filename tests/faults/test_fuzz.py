"""The short form of the fuzzing script: a few damaged files of every kind. The long form: ``python -m tests.faults.fuzz``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.fuzz import fuzz, mutant
from tests.faults.seeds import kinds


def test_damaged_files_are_read_or_refused() -> None:
    counts, findings = fuzz(450, seed=1)
    assert findings == []
    assert sum(counts.values()) >= 450


def test_the_same_seed_gives_the_same_damage(tmp_path: Path) -> None:
    for kind in kinds(tmp_path).values():
        whole = (tmp_path / kind.name / kind.file).read_bytes()
        one, again, other = (mutant(kind, whole, 3, number) for number in (7, 7, 8))
        assert one == again
        assert other != one or other != whole, kind.name


def test_a_reader_that_fails_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tests.faults import fuzz as script
    from tests.faults.mutants import bytewise
    from tests.faults.seeds import Kind

    def careless(folder: Path) -> None:
        if (folder / "a").read_bytes() != b"whole":
            raise IndexError("list index out of range")

    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "a").write_bytes(b"whole")
    verdicts = {script._judge(Kind("k", "a", bytewise, careless), tmp_path, 0, n)["verdict"] for n in range(5)}
    assert verdicts == {"fault"}
    assert (tmp_path / "k" / "a").read_bytes() == b"whole"
