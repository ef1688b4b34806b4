"""No picture is written under its own name while it is drawn: a killed command leaves no half file behind."""

from __future__ import annotations

from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "voxloom"


def test_every_picture_is_written_whole_or_not_at_all() -> None:
    bare = []
    for path in SOURCE.rglob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if ".savefig(" in line and "def _save" not in "".join(lines[max(0, number - 6) : number]):
                before = "".join(lines[max(0, number - 2) : number])
                if "atomic_path(" not in before:
                    bare.append(f"{path.relative_to(SOURCE)}:{number + 1}")
    assert bare == []
