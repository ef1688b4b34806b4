"""Notebooks of the docs, run in order without Jupyter: what their cells print, return and draw is kept in them.

    python -m scripts.notebooks                 # all of docs/notebooks
    python -m scripts.notebooks first-steps     # some of them

Knows the format of notebooks (nbformat 4) and how Jupyter shows a value: its ``_repr_html_``, a picture, else its ``repr``. Nothing is
installed for it, and the tests run the same cells in the same way.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import linecache
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
#: Dots per inch of kept pictures, and their bytes and colors: small enough for a repository.
DPI, BYTES, COLORS = 72, 55_000, (128, 64, 32, 16)
Notebook = dict[str, Any]
Outputs = list[dict[str, Any]]


def read(path: Path) -> Notebook:
    """A notebook as its JSON has it."""
    found: Notebook = json.loads(path.read_text(encoding="utf-8"))
    return found


def code_cells(notebook: Notebook) -> list[dict[str, Any]]:
    """Its cells of code, in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run_cells(notebook: Notebook, name: str, folder: Path) -> Iterator[Outputs]:
    """Run the cells of code in one fresh namespace, in ``folder``; what each gave.

    An error of a cell is raised as it is: its traceback names notebook, cell and line.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.chdir(folder):
        for number, cell in enumerate(code_cells(notebook), start=1):
            yield run_cell("".join(cell["source"]), f"<{name}, cell {number}>", names)


def run_cell(source: str, place: str, names: dict[str, Any]) -> Outputs:
    """Run one cell; what it printed, and what its last line gave."""
    linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
    body = ast.parse(source, place).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(io.StringIO()):
        exec(compile(ast.Module(body, []), place, "exec"), names)
        value = eval(compile(ast.Expression(last.value), place, "eval"), names) if last is not None else None
    outputs: Outputs = []
    if text := without_places(printed.getvalue()):
        outputs.append({"output_type": "stream", "name": "stdout", "text": lines_of(text)})
    if value is not None:
        outputs.append({"output_type": "display_data", "metadata": {}, "data": shown(value)})
    return outputs


def shown(value: Any) -> dict[str, Any]:
    """A value as Jupyter shows it: kind -> content."""
    from matplotlib.figure import Figure

    if isinstance(value, Figure):
        return {"image/png": picture(value), "text/plain": ["<Figure>"]}
    data: dict[str, Any] = {}
    if hasattr(value, "_repr_html_") and (page := value._repr_html_()):
        data["text/html"] = lines_of(without_places(page))
    return {**data, "text/plain": lines_of(without_places(repr(value)))}


def picture(figure: Any) -> str:
    """A figure as a small PNG of few colors, in base64."""
    from PIL import Image

    from voxloom.report.style import draw

    drawn = io.BytesIO()
    draw(figure, drawn, format="png", dpi=DPI)
    whole = Image.open(drawn).convert("RGB")
    for count in COLORS:
        kept = io.BytesIO()  # maximum coverage keeps the colors of thin lines, which a median would drop
        whole.quantize(count, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(kept, "PNG", optimize=True)
        if kept.tell() < BYTES:
            break
    return base64.b64encode(kept.getvalue()).decode("ascii")


def without_places(text: str) -> str:
    """Text without the folder that the cells ran in, which is another one every time."""
    return text.replace(f"{os.getcwd()}{os.sep}", "").replace(os.getcwd(), ".")


def lines_of(text: str) -> list[str]:
    """Lines as notebooks keep them."""
    return text.splitlines(keepends=True)


def with_outputs(notebook: Notebook, given: Sequence[Outputs]) -> Notebook:
    """The notebook with what its cells gave."""
    for number, (cell, outputs) in enumerate(zip(code_cells(notebook), given, strict=True), start=1):
        cell["outputs"], cell["execution_count"] = outputs, number
    return notebook


def write(notebook: Notebook, path: Path) -> None:
    """Write a notebook as Jupyter does, so that only what changed differs."""
    text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True)
    path.write_text(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE) + "\n", encoding="utf-8")


def main(names: Sequence[str]) -> None:
    """Run notebooks anew, and keep what they give."""
    for path in [FOLDER / f"{name}.ipynb" for name in names] or sorted(FOLDER.glob("*.ipynb")):
        notebook = read(path)
        with tempfile.TemporaryDirectory() as folder:
            given = list(run_cells(notebook, path.stem, Path(folder)))
        write(with_outputs(notebook, given), path)
        print(f"{path.name}: {len(given)} cells, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
