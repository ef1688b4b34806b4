"""The documentation's examples: every console block after ``<!-- run -->`` runs and exits with 0."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from voxloom.cli.app import COMMANDS, run

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"<!-- run -->\n```console\n(.*?)```", re.DOTALL)
EXAMPLES = [
    (page.name, line[2:])
    for page in sorted(DOCS.rglob("*.md"))
    for block in BLOCK.findall(page.read_text(encoding="utf-8"))
    for line in block.splitlines()
    if line.startswith("$ ")
]


@pytest.mark.parametrize(("page", "line"), EXAMPLES)
def test_example_runs(page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(line)
    assert program == "voxloom"
    assert run(arguments) == 0


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_page(name: str) -> None:
    assert (DOCS / "commands" / f"{name}.md").is_file()


def test_command_lines_in_the_docs_name_real_commands() -> None:
    for page in DOCS.rglob("*.md"):
        for line in re.findall(r"^\$ voxloom (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert line in COMMANDS or line.startswith("-"), f"{page.name}: voxloom {line}"
