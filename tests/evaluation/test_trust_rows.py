"""Nothing is printed without a row of docs/trust.md: what asks for an interval or a p-value names the rows it rests on."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "voxloom"
#: Where the functions are made, and lists of what can be imported: these print nothing.
MADE = ("evaluation/statistics/", "evaluation/auc.py", "evaluation/quality/bound.py", "evaluation/nearness.py")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_printed", ROOT / "benchmarks" / "coverage_printed.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


printed = load()


def asked_by(path: Path) -> set[str]:
    """Functions of statistics that a module imports from ``voxloom.evaluation`` or defines, and calls or hands on."""
    tree = ast.parse(path.read_text("utf-8"))
    known = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(printed.HOME)
        for alias in node.names
    }
    if path.is_relative_to(SOURCE / "evaluation"):
        known |= {node.name: node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    found = {known[name] for name in used & set(known)} & printed.ASKED
    if any(alias == "Nearness" for alias in known):
        found.add("Nearness")
    return found


def test_every_module_that_asks_for_an_interval_or_a_p_names_its_rows() -> None:
    asking = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if not name.startswith(MADE) and (asked := asked_by(path)):
            asking[name] = asked
    missing = {name: asked for name, asked in asking.items() if name not in printed.PRINTED}
    assert not missing, "simulate what these print in benchmarks/coverage_*.py, and name the rows in PRINTED"
    assert not set(printed.PRINTED) - set(asking), "these ask for nothing any more"


def test_the_rows_stand_on_the_page() -> None:
    page = (ROOT / "docs" / "trust.md").read_text("utf-8")
    rows = {
        line.split("|")[1].strip().removesuffix(" †").removesuffix(" *") for line in page.splitlines() if "|" in line
    }
    for name, told in printed.PRINTED.items():
        assert told, name
        assert set(told) <= rows, name
