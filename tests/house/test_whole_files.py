"""No picture is written under its own name while it is drawn: a killed command leaves no half file behind."""

from __future__ import annotations

from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "voxloom"


def test_one_place_saves_figures() -> None:
    """Only ``report/style.py`` saves figures, each through ``atomic_path`` or into memory."""
    savers = {str(p.relative_to(SOURCE)) for p in SOURCE.rglob("*.py") if ".savefig(" in p.read_text(encoding="utf-8")}
    assert savers == {"report/style.py"}
