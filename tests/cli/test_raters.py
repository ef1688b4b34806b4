"""``voxloom raters``: files, page and figures from folders; clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run
from voxloom.evaluation.factors import factor_columns
from voxloom.formats import write_volume
from voxloom.volume import Volume

pytestmark = pytest.mark.drawn


def folders(root: Path, count: int = 6) -> dict[str, str]:
    """R2 draws one voxel less than R1 along an axis, the model two."""
    for n in range(count):
        for m, name in enumerate(("R1", "R2", "net")):
            data = np.zeros((1, 12, 12, 8), np.uint8)
            data[0, 2 : 8 + n % 3 - m, 2:9, 1:7] = 1
            write_volume(Volume(data, np.diag([1.0, 1.0, 2.0, 1.0])), root / name / f"case{n}.nii.gz")
    return {name: str(root / name) for name in ("R1", "R2", "net")}


def test_command_writes_tables_page_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at, out = folders(tmp_path / "with spaces é"), tmp_path / "out dir"
    table = tmp_path / "cases.csv"
    rows = [f"case{n},p{n // 2},{1.5 if n % 2 else 3.0}" for n in range(6)]
    table.write_text("case,patient,field\n" + "\n".join(rows) + "\n")
    line = [
        "raters",
        f"A={at['R1']}",
        at["R2"],
        "--model",
        f"net={at['net']}",
        "--consensus",
        "staple",
        "--labels",
        "organ=1",
    ]
    line += ["--consensus", "staple", "--table", str(table), "--factors", "field", "--workers", "0", "-o", str(out)]
    assert run([*line, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["readers"] == ["net", "A", "R2"]
    assert (found["cases"], found["patients"], found["consensus"]) == (6, 3, "staple")
    organ = found["labels"]["organ"]
    assert [(p["first"], p["second"]) for p in organ["pairs"]][:3] == [("net", "A"), ("net", "R2"), ("net", "staple")]
    assert organ["regression"]["reason"] == "3 patients are too few for a regression on 1 factor(s), 4 are needed"
    assert len(list((out / "consensus").glob("*.nii.gz"))) == 6
    assert len((out / "pairs.csv").read_text("utf-8").splitlines()) == 1 + 6 * 6
    page = (out / "raters.html").read_text("utf-8")
    for words in (
        "ICC(A,1)",
        "Holm",
        "adjusted for the raters",
        "Bland-Altman",
        "3 patients are few",
        "No regression: 3 patients",
    ):
        assert words in page
    stems = {p.stem for p in (out / "figures").iterdir()}
    assert {"organ_dice", "organ_hd95", "organ_bland-altman_net_A", "organ_volume_A_R2"} <= stems
    assert {p.suffix for p in (out / "figures").iterdir()} == {".svg", ".png"}


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (["R1"], "agrees with nobody"),
        (["R1", "R1"], "same name"),
        (["R1", "R2", "--consensus", "vote"], "no consensus method 'vote'"),
        (["R1", "R2", "--factors", "field"], "--table FILE"),
        (["R1", "nowhere"], "no such folder"),
    ],
)
def test_refusals(tmp_path: Path, extra: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    at = folders(tmp_path, 1)
    assert run(["raters", *(at.get(word, word) for word in extra)]) == 2
    assert told in capsys.readouterr().err


def test_table_without_cases_or_with_words_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at, table = folders(tmp_path, 1), tmp_path / "t.csv"
    for text, told in (
        ("id,field\na,1\n", "no column `case`"),
        ("case,field\ncase0,high\n", "has 1 different word(s)"),
        ("case,field\ncase0,high\ncase1,1.5\n", "'high' beside 1.5: neither a number nor a group"),
    ):
        table.write_text(text)
        assert run(["raters", at["R1"], at["R2"], "--table", str(table), "--factors", "field"]) == 2
        assert told in capsys.readouterr().err


def test_a_factor_of_words_is_regressed_as_groups(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at, table = folders(tmp_path, 8), tmp_path / "t.csv"
    table.write_text("case,sex\n" + "".join(f"case{n},{'FM'[n % 2]}\n" for n in range(8)))
    line = ["raters", at["R1"], at["R2"], "--table", str(table), "--factors", "sex", "-o", str(tmp_path / "out")]
    assert run([*line, "--json"]) == 0
    assert "sex (M against F)" in json.dumps(json.loads(capsys.readouterr().out))


def test_every_word_of_a_factor_stands_against_the_first(tmp_path: Path) -> None:
    found = factor_columns("site", {"a": "Utrecht", "b": "Bergen", "c": "Oslo"}, tmp_path)
    assert found == {
        "site (Oslo against Bergen)": {"a": 0.0, "b": 0.0, "c": 1.0},
        "site (Utrecht against Bergen)": {"a": 1.0, "b": 0.0, "c": 0.0},
    }
