"""One palette, and figures that are kept the same way everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from voxloom.report import style

SOURCES = Path(style.__file__).parents[1]


def test_the_palette_is_written_once() -> None:
    named = re.compile("|".join(style.COLORS), re.IGNORECASE)
    holders = {path.name for path in SOURCES.rglob("*.py") if named.search(path.read_text("utf-8"))}
    assert holders == {"style.py"}


def luminance(color: str) -> float:
    parts = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_what_needs_attention_is_told_apart_without_color() -> None:
    """INK and GRID differ from every mark in lightness, so a gray print keeps the order of importance."""
    assert luminance(style.INK) < min(map(luminance, style.COLORS))
    assert luminance(style.GRID) > max(luminance(c) for c in (style.MARK, style.ALERT, style.SOFT))


def test_a_figure_is_saved_as_svg_and_png_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    def draw(name: str) -> list[Path]:
        figure = style.new_figure(3, 2)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=style.MARK)
        axes.set_title("Größe in ml")
        return style.save_figure(figure, tmp_path / "a folder é" / name)

    first, second = draw("one"), draw("two")
    assert [p.suffix for p in first] == [".svg", ".png"]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert "Größe in ml" in first[0].read_text("utf-8")  # text stays text, so a journal can set it
    assert first[1].read_bytes()[:4] == b"\x89PNG"


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "a.b" / "case1.5.png"
    assert style.write_picture(style.new_figure(1, 1), place, dpi=30) == place
    whole = place.read_bytes()
    assert whole.startswith(b"\x89PNG")

    class Killed:
        def savefig(self, target: Path, **_: object) -> None:
            target.write_bytes(whole[:20])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        style.write_picture(Killed(), place, dpi=30)  # type: ignore[arg-type]
    assert place.read_bytes() == whole
    assert list(place.parent.iterdir()) == [place]


def test_a_figure_opens_in_a_window_where_a_script_asks_for_it() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    figure = style.new_figure(3, 2)
    assert pyplot.get_fignums() == before  # a report keeps no figure open
    figure.show(warn=False)
    figure.show(warn=False)
    assert len(pyplot.get_fignums()) == len(before) + 1
    assert pyplot.gcf() is figure  # what pyplot.show() shows
    pyplot.close(figure)
    assert pyplot.get_fignums() == before
