"""``voxloom aggregate`` at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voxloom.cli.app import run

TABLE = str(Path(__file__).parents[1] / "evaluation" / "cervical_table_4_3.csv")
SCORES = ["--scores", "sagittal,coronal,axial"]


def test_prints_the_published_table_and_writes_what_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "table 4.7 é.tex"
    merge = "weights:Transfer learning=ResNet-50,Inception-v4"
    assert (
        run(["aggregate", TABLE, "--factors", "weights", *SCORES, "--merge", merge, "--digits", "0,1", "-o", str(out)])
        == 0
    )
    printed = capsys.readouterr().out
    assert "Transfer learning  81 ± 4.2  80 ± 3.9  76 ± 2.8  16" in printed
    assert f"Wrote {out}" in printed
    assert r"$82 \pm 3.1$" in out.read_text(encoding="utf-8")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["aggregate", TABLE, *SCORES, "--where", "weights=ResNet-50", "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)
    assert table["levels"]["all"]["sagittal"] == {
        "n": 8,
        "missing": 0,
        "mean": 82.875,
        "sd": pytest.approx(4.518, abs=1e-3),
    }


@pytest.mark.parametrize(
    "more",
    [
        ["--factors", "weigths"],
        ["--digits", "1"],
        ["--merge", "weights=a,b"],
        ["--where", "weights"],
        ["-o", "table.docx"],
    ],
)
def test_bad_input(more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["aggregate", TABLE, *SCORES, *more]) == 2
    assert capsys.readouterr().err.startswith("Error: ")
