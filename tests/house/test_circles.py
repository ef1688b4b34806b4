"""No circle of modules, also none that hides in a function: every import is followed, wherever it stands.

Imports for type checkers alone do not run and do not count.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src"


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in (ROOT / "voxloom").rglob("*.py")}


def for_checkers(test: ast.expr) -> bool:
    """Whether a condition asks for ``TYPE_CHECKING``."""
    names = (getattr(node, "id", getattr(node, "attr", None)) for node in ast.walk(test))
    return "TYPE_CHECKING" in names


def imports_of(path: Path) -> set[str]:
    """Modules of Voxloom that a file imports when it is run or called."""
    found: set[str] = set()

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and for_checkers(child.test):
                continue
            if isinstance(child, ast.ImportFrom) and (child.module or "").startswith("voxloom"):
                whole = [f"{child.module}.{alias.name}" for alias in child.names]
                found.update(name if name in MODULES else str(child.module) for name in whole)
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names if alias.name in MODULES)
            walk(child)

    walk(ast.parse(path.read_text(encoding="utf-8")))
    return found & set(MODULES)


@cache
def imports() -> dict[str, set[str]]:
    """Module -> those it imports; when a test asks, since every worker collects this file."""
    return {name: imports_of(path) - {name} for name, path in MODULES.items()}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other."""
    reached = {name: reach(graph, name) for name in graph}
    groups = {
        tuple(sorted(other for other in reached[name] if name in reached.get(other, ()))): None
        for name in graph
        if name in reached[name]
    }
    return [list(group) for group in groups]


def reach(graph: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    todo = list(graph[start])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(graph[name])
    return seen


def test_no_circle_of_modules() -> None:
    assert circles(imports()) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


#: Rooms from the top floor down.
FLOORS = [
    ["cli"],
    ["serve"],
    ["sweep"],
    ["verbs"],
    ["export", "pictures", "annotate"],
    ["ensemble", "trust"],
    ["tasks"],
    ["attribution"],
    ["run"],
    ["recipe"],
    ["report", "training"],
    ["inference"],
    ["networks", "losses", "optim", "augment", "landmarks"],
    ["prepare", "evaluation"],
    ["phantom", "archive"],
    ["dataset"],
    ["points"],
    ["formats"],
    ["volume"],
    ["machines"],
    ["own_settings"],
    ["own"],
    ["device_names"],
    [
        "errors",
        "files",
        "runfiles",
        "notes",
        "progress",
        "answers",
        "crew",
        "parallel",
        "ranks",
        "cpu",
        "remote",
        "digests",
        "yamltext",
        "complaints",
        "connected",
        "boxes",
    ],
]
FLOOR = {f"voxloom.{room}": number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("room", sorted(FLOOR))
def test_imports_in_functions_go_down_too(room: str) -> None:
    upward = [
        f"{name} -> {other}"
        for name, others in imports().items()
        if room_of(name) == room
        for other in others
        if room_of(other) in FLOOR and room_of(other) != room and FLOOR[room_of(other)] < FLOOR[room]
    ]
    assert upward == []


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(name) for name in MODULES} - {"voxloom", "voxloom.__main__"}
    assert rooms <= set(FLOOR)
