"""The notebooks of the docs: their cells run in order and give what the pages show; pages are made of them."""

from __future__ import annotations

import base64
import io
import traceback
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from scripts.notebook_pages import parts_of
from scripts.notebooks import FOLDER, code_cells, read, run_cells, with_outputs

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
#: Bytes of a picture, and of a notebook.
PICTURE, WHOLE = 60_000, 400_000


def kinds(outputs: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """What outputs are, whatever they say."""
    return [(one["output_type"], sorted(one.get("data", ()))) for one in outputs]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_cells_run_and_give_what_the_page_shows(path: Path, tmp_path: Path) -> None:
    notebook = read(path)
    given = list(run_cells(notebook, path.stem, tmp_path))
    for number, (cell, outputs) in enumerate(zip(code_cells(notebook), given, strict=True), start=1):
        again = "run it anew: python -m scripts.notebooks"
        assert kinds(cell["outputs"]) == kinds(outputs), f"{path.name}, cell {number}; {again}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_what_is_kept_is_small_and_of_no_machine(path: Path) -> None:
    assert path.stat().st_size < WHOLE
    notebook, text = read(path), path.read_text(encoding="utf-8")
    assert not any(place in text for place in ("/tmp/", "/home/", "/root/", "\\\\Users"))
    for number, cell in enumerate(code_cells(notebook), start=1):
        assert cell["execution_count"] == number
        for picture in (one["data"]["image/png"] for one in cell["outputs"] if "image/png" in one.get("data", {})):
            content = base64.b64decode(picture)
            assert len(content) < PICTURE
            assert min(Image.open(io.BytesIO(content)).size) > 100
            assert cell["metadata"]["alt"]  # what is seen, for those who do not see it


def test_every_notebook_is_a_page_of_the_site() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert len(NOTEBOOKS) == 7
    assert "scripts/notebook_pages.py" in nav
    for path in NOTEBOOKS:
        assert f"notebooks/{path.stem}.md" in nav
        parts = list(parts_of(read(path)))
        assert str(parts[0]).startswith("# ")
        assert any("```python" in part for part in parts if isinstance(part, str))
        assert any(isinstance(part, tuple) for part in parts), "a page without a picture"


def made(*sources: str) -> dict[str, Any]:
    """A notebook of code."""
    cells = [
        {"cell_type": "code", "metadata": {"alt": "a line"}, "source": [source], "outputs": []} for source in sources
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.mark.drawn
def test_outputs_are_those_of_jupyter(tmp_path: Path) -> None:
    figure = "from voxloom.report.style import new_figure\nfigure = new_figure(3, 2)\n_ = figure.subplots()\nfigure"
    table = "import pandas\npandas.DataFrame({'a': [n]})"
    notebook = made("n = 3\nprint('here', n)", table, "n = 4", "open('x', 'w').name + str(n)", figure)
    notebook = with_outputs(notebook, list(run_cells(notebook, "made", tmp_path)))
    printed, rows, silent, text, picture = (cell["outputs"] for cell in notebook["cells"])
    assert printed == [{"output_type": "stream", "name": "stdout", "text": ["here 3\n"]}]
    assert "<table" in "".join(rows[0]["data"]["text/html"])
    assert silent == []
    assert text[0]["data"] == {"text/plain": ["'x4'"]}
    assert (tmp_path / "x").is_file()
    assert base64.b64decode(picture[0]["data"]["image/png"]).startswith(b"\x89PNG")
    page = list(parts_of(notebook))
    assert "```text\nhere 3\n```" in page
    assert "style" not in next(part for part in page if isinstance(part, str) and "<table" in part).split("<table")[0]
    assert page[-1][0] == "a line"


def test_an_error_names_the_cell_and_its_line(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        list(run_cells(made("x = 1", "y = 2\nx / 0"), "made", tmp_path))
    told = "".join(traceback.format_exception(caught.value))
    assert "<made, cell 2>" in told
    assert "x / 0" in told
    assert Path.cwd() != tmp_path
