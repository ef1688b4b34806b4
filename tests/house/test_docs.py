"""The documentation's examples run, print what the page shows, and name things that exist.

Every console block after ``<!-- run -->`` runs line by line in one empty folder. Numbers may differ from the page's, and a
line ``...`` stands for any lines; a command whose output the page leaves out need only exit with 0.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from voxloom.cli.app import COMMANDS, run

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"<!-- run -->\n```console\n(.*?)```", re.DOTALL)
EXAMPLES = [
    (page.name, block) for page in sorted(DOCS.rglob("*.md")) for block in BLOCK.findall(page.read_text("utf-8"))
]


def commands_of(block: str) -> list[tuple[str, str]]:
    """Command line and shown output of each ``$`` line of a block."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(line, shown) for line, _, shown in (part.partition("\n") for part in parts)]


def as_pattern(shown: str) -> str:
    """A regular expression that takes any number for a number, and any lines for ``...``."""
    lines = []
    for line in shown.strip().splitlines():
        if line.strip() == "...":
            lines.append(r"(?:.*\n)*?")
        else:
            words = re.sub(r"\d+(\.\d+)?", "0", " ".join(line.split()))
            lines.append(re.escape(words).replace("0", r"\d+(?:\.\d+)?") + r"\n")
    return "".join(lines)


def squeezed(printed: str) -> str:
    return "".join(" ".join(line.split()) + "\n" for line in printed.strip().splitlines())


@pytest.mark.parametrize(("page", "block"), EXAMPLES, ids=[page for page, _ in EXAMPLES])
def test_example_prints_what_the_page_shows(
    page: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for line, shown in commands_of(block):
        program, *arguments = shlex.split(line)
        assert program == "voxloom"
        assert run(arguments) == 0, line
        printed = squeezed(capsys.readouterr().out)
        assert not shown.strip() or re.fullmatch(as_pattern(shown), printed), f"{page}: {line} printed\n{printed}"


def test_a_wrong_example_is_noticed() -> None:
    assert re.fullmatch(as_pattern("Wrote 3 cases\n...\nNext: x"), squeezed("Wrote  12 cases\nmore\nNext: x"))
    assert not re.fullmatch(as_pattern("Wrote 3 cases"), squeezed("Wrote no cases"))
    assert not re.fullmatch(as_pattern("Wrote 3 cases"), squeezed("Wrote 3 cases\nNext: x"))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


def test_every_test_that_the_docs_name_exists() -> None:
    for page in DOCS.rglob("*.md"):
        for name in re.findall(r"`((?:tests|benchmarks)/[\w/.]+)`", page.read_text("utf-8")):
            assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_page(name: str) -> None:
    assert (DOCS / "commands" / f"{name}.md").is_file()


def test_command_lines_in_the_docs_name_real_commands() -> None:
    for page in DOCS.rglob("*.md"):
        for line in re.findall(r"^\$ voxloom (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert line in COMMANDS or line.startswith("-"), f"{page.name}: voxloom {line}"
