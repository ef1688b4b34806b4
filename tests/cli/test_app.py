"""The command line: exit codes, one clear line, nothing heavy before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from voxloom.cli.app import COMMANDS, run

HEAVY = ("torch", "numpy", "scipy", "nibabel", "matplotlib", "pydantic", "lightning", "monai")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists_and_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(import_module(f"voxloom.cli.{name.replace('-', '_')}").command)
    assert run([name, "--help"]) == 0
    assert name in capsys.readouterr().out


def test_help_lists_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("voxloom 0.")


def test_misspelt_command_suggests_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trian"]) == 2
    assert "Did you mean `train`" in capsys.readouterr().err


def test_misspelt_option_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "x", "--bugdet", "3m"]) == 2
    assert "--budget" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "no/such/folder"],
        ["inspect", "no/such/folder"],
        ["predict", "no/such/run", "scan.nii.gz", "-o", "out"],
        ["evaluate", "no/such/run"],
        ["evaluate", "--pred", "a"],
        ["evaluate", "--pred", "a", "--truth", "b"],
        ["recipes", "nothing-like-this"],
        ["export", "no/such/run"],
        ["show", "batch", "no/such/run"],
        ["train", "x", "--resume"],
        ["train", "x", "--set", "training.batch"],
        ["train", "x", "--set", "training.bach=3"],
    ],
)
def test_bad_input_is_one_line_and_2(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert captured.err.strip().splitlines()[-1].startswith("Error: ")
    assert not list(tmp_path.iterdir()), "nothing may be left behind"


def test_debug_shows_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from voxloom.errors import BadInput

    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput):
        run(["--debug", "train", "no/such/folder"])


def test_interruption_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(name: str | None = None, json_output: bool = False) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("voxloom.cli.recipes.command", interrupted)
    assert run(["recipes"]) == 130


def test_json_is_all_of_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert "auto" in listed["recipes"]
    assert "cervical-spine-study" in listed["sweeps"]


def test_overview_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['voxloom', '--help']\n"
        "from voxloom.cli.app import run\n"
        "code = run(['--help'])\n"
        f"bad = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "sys.exit(f'imported {bad}' if bad or code else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
