"""The house rules that a test can hold: no torch below the models, no pickle, layers, declared dependencies."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "voxloom").rglob("*.py"))
#: What needs no network.
WITHOUT_TORCH = (
    "volume",
    "formats",
    "dataset",
    "dataset.inspect",
    "prepare",
    "evaluation",
    "phantom",
    "archive",
    "report.run_page",
)


def test_collections_and_cases_never_import_torch() -> None:
    """One after the other in one process: the first that brings torch is named."""
    code = (
        "import sys\nfrom importlib import import_module\n"
        f"for package in {WITHOUT_TORCH!r}:\n"
        "    import_module(f'voxloom.{package}')\n"
        "    if {'torch', 'monai'} & sys.modules.keys():\n"
        "        sys.exit(package)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_no_pickle_is_loaded() -> None:
    pattern = re.compile(
        r"pickle\.loads?\(|weights_only\s*=\s*False|allow_pickle\s*=\s*True|joblib\.load|torch\.load\((?!.*weights_only=True)"
    )
    hits = [
        f"{path.name}: {line.strip()}"
        for path in SOURCES
        for line in path.read_text().splitlines()
        if pattern.search(line)
    ]
    assert hits == []


def test_every_module_says_what_it_knows() -> None:
    import ast

    silent = [
        str(p.relative_to(ROOT))
        for p in SOURCES
        if p.stat().st_size > 200 and not ast.get_docstring(ast.parse(p.read_text()))
    ]
    assert silent == []


def test_every_third_party_import_is_declared() -> None:
    names = {"yaml": "pyyaml", "PIL": "pillow", "sklearn": "scikit-learn", "cc3d": "connected-components-3d"}
    pattern = re.compile(r"^\s*(?:import|from) ([A-Za-z0-9_]+)", re.MULTILINE)
    used = {m for path in SOURCES for m in pattern.findall(re.sub(r'"""[\s\S]*?"""', "", path.read_text()))}
    third = {names.get(m, m) for m in used if m not in sys.stdlib_module_names and m not in ("voxloom", "__future__")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [
        d for name, parts in project["optional-dependencies"].items() if name not in ("dev", "docs") for d in parts
    ]
    declared = {re.split(r"[><=\[ ]", d)[0].lower() for d in [*project["dependencies"], *extras]}
    transitive = {"markupsafe"}  # Jinja2's own
    assert {t.lower().replace("_", "-") for t in third} - declared - transitive == set()


def test_layers_are_kept() -> None:
    result = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


def pieces(path: Path) -> list[str]:
    """The Python of a script, or of the blocks of a page."""
    text = path.read_text(encoding="utf-8")
    return [text] if path.suffix == ".py" else re.findall(r"```python\n(.*?)```", text, re.S)


@pytest.mark.parametrize("folder", ["benchmarks", "docs"])
def test_scripts_and_pages_import_what_exists(folder: str) -> None:
    """Type checks and tests do not read them, so that a module that moves would leave them behind."""
    import ast

    taken = [
        (path.name, node.module, name.name)
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".md")
        for piece in pieces(path)
        for node in ast.walk(ast.parse(piece))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "voxloom"
        for name in node.names
    ]
    assert taken
    assert [one for one in taken if not exists(one[1], one[2])] == []


def exists(module: str, name: str) -> bool:
    """Whether ``from module import name`` works."""
    from importlib import import_module

    try:
        return hasattr(import_module(module), name) or bool(import_module(f"{module}.{name}"))
    except ImportError:
        return False
