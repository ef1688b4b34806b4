"""A metric by attribute: groups, bands, tests per patient, refusals, and the command."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from voxloom.cli.app import run
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, mask_metrics
from voxloom.evaluation.statistics import kruskal, mann_whitney
from voxloom.evaluation.subgroups import NOT_KNOWN, fairness, levels


def test_kruskal_against_scipy_and_by_divisions() -> None:
    random = np.random.default_rng(0)
    many = [random.normal(n / 3, 1, 30) for n in range(3)]
    assert kruskal(many).p == pytest.approx(stats.kruskal(*many).pvalue)
    few = [sample[:4] for sample in many]
    assert kruskal(few).p == pytest.approx(stats.kruskal(*few).pvalue, abs=0.05)
    assert kruskal([few[0], few[1]]).p == pytest.approx(mann_whitney(few[0], few[1]).p, abs=0.02)
    assert kruskal([[1, 1], [1], [1]]).p == 1
    with pytest.raises(BadInput):
        kruskal([[1], []])


def test_groups_that_differ_are_found_and_the_others_not() -> None:
    random = np.random.default_rng(1)
    patients = [f"p{n // 2}" for n in range(80)]
    sex = ["f" if n // 2 % 2 else "m" for n in range(80)]
    values = np.array([0.9 if s == "f" else 0.8 for s in sex]) + np.repeat(random.normal(0, 0.03, 40), 2)
    site = [("a", "b", "c")[n // 2 % 3] for n in range(80)]
    scanner = ["x" if n % 2 else "y" for n in range(80)]
    found = {f.attribute: f for f in fairness(values, patients, {"sex": sex, "site": site, "scanner": scanner})}
    assert found["sex"].p_holm == pytest.approx(2 * found["sex"].p)
    assert found["sex"].p_holm < 1e-6
    assert (found["sex"].test, found["site"].test) == ("Mann-Whitney U test", "Kruskal-Wallis test")
    assert found["site"].p_holm > 0.05
    assert math.isnan(found["scanner"].p)
    assert found["scanner"].test == "changes within patients"
    women = found["sex"].groups[0]
    assert (women.level, women.cases, women.patients) == ("f", 40, 20)
    assert found["sex"].gap == pytest.approx(0.1, abs=0.02)


def test_numbers_are_banded_and_gaps_are_a_group_of_their_own() -> None:
    ages = [*range(20, 60), None]
    banded = levels("age", ages)
    assert banded[0] == "20 to 29.75"
    assert banded[39] == "49.25 to 59"
    assert banded[40] == NOT_KNOWN
    assert [banded.count(level) for level in dict.fromkeys(banded)] == [10, 10, 10, 10, 1]
    assert levels("field", [1.5, 3.0, 3]) == ["1.5", "3", "3"]
    few = fairness([0.8, 0.9, 0.7], ["a", "b", "c"], {"sex": ["m", "m", None]})[0]
    assert [g.level for g in few.groups] == ["m", NOT_KNOWN]
    assert math.isnan(few.p)
    assert math.isnan(few.groups[0].mean.low)
    with pytest.raises(BadInput, match="names and not groups"):
        levels("id", [f"n{n}" for n in range(30)])
    with pytest.raises(BadInput, match="not known for any"):
        levels("sex", [None, ""])


def test_the_command(tmp_path: Path, capsys) -> None:
    table, rows = Evaluation(["organ"]), ["case,sex,age"]
    truth = np.ones((10, 10, 3), bool)
    for n in range(16):
        cut = truth.copy()
        cut[: 1 + 2 * (n % 2) + n % 3] = False
        table.add(f"c{n}", {"organ": mask_metrics(cut, truth, (1, 1, 1))})
        rows.append(f"c{n},{'mf'[n % 2]},{30 + n}")
    table.write_csv(tmp_path / "metrics.csv")
    (tmp_path / "people.csv").write_text("\n".join(rows))
    command = ["fairness", str(tmp_path), "--table", str(tmp_path / "people.csv")]
    assert run([*command, "--json", "-o", str(tmp_path / "fair.json")]) == 0
    told = {one["attribute"]: one for one in json.loads(capsys.readouterr().out)["organ"]}
    assert told["sex"]["p_holm"] < 0.05 < told["age"]["p_holm"]
    assert len(told["age"]["groups"]) == 4
    assert (tmp_path / "fair.json").is_file()
    assert run([*command, "--by", "site"]) == 2
    assert "no attribute site" in capsys.readouterr().err
    assert run(["fairness", str(tmp_path)]) == 2
