"""Patients in intervals, tests and agreement: whoever is scanned ten times is not ten people."""

from __future__ import annotations

import json
import math
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, summarize
from voxloom.evaluation.limits import SHARE
from voxloom.evaluation.patients import ASSUMED
from voxloom.evaluation.statistics import LEAST_PATIENTS, bland_altman, friedman, icc, spearman, wilcoxon
from voxloom.evaluation.truths import read_patients
from voxloom.formats import write_volume
from voxloom.report.plots import scatter_with_marginals
from voxloom.report.volume_part import volume_part
from voxloom.volume import Volume

PATIENTS, SCANS = 6, 4


def masks(root: Path, shift_of: dict[str, int], folder: str) -> Path:
    """A cube per case; the prediction is shifted by so many voxels."""
    for case, shift in shift_of.items():
        data = np.zeros((1, 16, 8, 8), np.uint8)
        data[0, 2 + shift : 10 + shift, 2:6, 2:6] = 1
        write_volume(Volume(data, np.eye(4)), root / folder / f"{case}.nii.gz")
    return root / folder


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Predictions, truths and a table: six patients with four scans each, alike within a patient."""
    cases = {f"c{p}.{s}0": p % 4 for p in range(PATIENTS) for s in range(SCANS)}
    table = tmp_path / "cases.csv"
    table.write_text("case,patient\n" + "".join(f"{case},1.{case[1]}0\n" for case in cases))
    return masks(tmp_path, cases, "pred"), masks(tmp_path, dict.fromkeys(cases, 0), "truth"), table


def figures(capsys: pytest.CaptureFixture[str], *options: str) -> dict:
    assert run(["evaluate", *options, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_table_widens_the_interval_to_that_of_patients(pair, capsys) -> None:
    pred, truth, table = pair
    folders = ("--pred", str(pred), "--truth", str(truth))
    blind, known = figures(capsys, *folders), figures(capsys, *folders, "--table", str(table))
    assert blind["patients_note"] == ASSUMED
    assert (known["patients"], known["patients_note"]) == (PATIENTS, "24 cases of 6 patients")
    (a, b), (c, d) = (one["dice"]["label_1"]["ci"] for one in (blind, known))
    assert d - c > 1.6 * (b - a)
    each = [1 - (p % 4) / 8 for p in range(PATIENTS)]
    assert (c, d) == pytest.approx(tuple(summarize(each, limits=SHARE)["ci"]))


def test_the_assumption_stands_on_the_screen_and_in_the_files(pair, tmp_path: Path, capsys) -> None:
    pred, truth, table = pair
    out = tmp_path / "scores"
    assert run(["evaluate", "--pred", str(pred), "--truth", str(truth), "-o", str(out)]) == 0
    assert ASSUMED in capsys.readouterr().err
    assert json.loads((out / "statistics.json").read_text())["patients_note"] == ASSUMED
    line = ["evaluate", "--pred", str(pred), "--truth", str(truth), "--table", str(table), "-o", str(out)]
    assert run(line) == 0
    rows = Evaluation.read_csv(out / "metrics.csv")
    assert set(rows.patients.values()) == {f"1.{p}0" for p in range(PATIENTS)}  # text, not numbers


def test_a_data_set_as_truth_names_labels_and_patients(pair, tmp_path: Path, capsys) -> None:
    pred, truth, _ = pair
    root = tmp_path / "set"
    (root / "imagesTr").mkdir(parents=True)
    (root / "labelsTr").mkdir()
    rows = ["participant_id,patient"]
    for path in sorted(truth.iterdir()):
        case = path.name.removesuffix(".nii.gz")
        (root / "labelsTr" / path.name).write_bytes(path.read_bytes())
        (root / "imagesTr" / f"{case}_0000.nii.gz").write_bytes(path.read_bytes())
        rows.append(f"{case},p{case[1]}")
    (root / "participants.csv").write_text("\n".join(rows) + "\n")
    about = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "cube": 1}, "numTraining": 24}
    (root / "dataset.json").write_text(json.dumps({**about, "file_ending": ".nii.gz"}))
    found = figures(capsys, "--pred", str(pred), "--truth", str(root))
    assert (found["patients"], list(found["dice"])) == (PATIENTS, ["cube"])
    (pred / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "sphere": 1}}))
    assert run(["evaluate", "--pred", str(pred), "--truth", str(root)]) == 2
    assert "cube" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("case,age\na,3\n", "no column `patient`"),
        ("name,patient\na,p\n", "no column `case`"),
        ("case,patient\na,p\n", "no patient of b"),
        ("case,patient\na,p\nb,\n", "no patient of b"),
        ("case,patient\na,p\na,q\nb,q\n", "two rows for a"),
        ("case,patient_id,subject\na,1,1\nb,1,2\n", "could both be the patient"),
    ],
)
def test_a_table_that_does_not_say_whose_a_case_is(tmp_path: Path, text: str, told: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text(text)
    with pytest.raises(BadInput, match=told):
        read_patients(table, ["a", "b"])


@pytest.mark.parametrize("column", ["patient", "PatientID", "subject_id", "participant_id"])
def test_patients_have_their_usual_names(tmp_path: Path, column: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f"case,{column}\na,0012\nb,12E4\n")
    assert read_patients(table, ["a", "b"])[0] == {"a": "0012", "b": "12E4"}


def test_names_that_look_like_scans_of_one_person_are_told(tmp_path: Path, capsys) -> None:
    cases = dict.fromkeys([f"P{n}_{scan}" for n in range(5) for scan in "ab"], 0)
    pred, truth = masks(tmp_path, cases, "pred"), masks(tmp_path, cases, "truth")
    assert run(["evaluate", "--pred", str(pred), "--truth", str(truth)]) == 0
    told = capsys.readouterr().err
    assert "P0_a" in told
    assert "--table FILE" in told


def test_rows_beyond_the_cases_are_told(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("case,patient\na,p\nb,p\nc,q\n")
    found, notes = read_patients(table, ["a", "b"])
    assert found == {"a": "p", "b": "p"}
    assert notes == ("t.csv names no case here: c",)


@pytest.mark.parametrize("count", range(1, LEAST_PATIENTS))
def test_few_patients_get_no_interval(count: int) -> None:
    values = [0.9 + 0.01 * n for n in range(count)]
    assert all(math.isnan(end) for end in summarize(values)["ci"])
    repeated = summarize(values * 10, [f"p{n}" for n in range(count)] * 10)
    assert all(math.isnan(end) for end in repeated["ci"])


def test_one_case_is_not_given_an_interval(tmp_path: Path, capsys) -> None:
    pred, truth = masks(tmp_path, {"a": 1}, "pred"), masks(tmp_path, {"a": 0}, "truth")
    assert run(["evaluate", "--pred", str(pred), "--truth", str(truth)]) == 0
    told = capsys.readouterr().err
    assert "0.8750 [no interval]" in told
    assert f"{LEAST_PATIENTS} patients are needed, there are 1" in told


def test_copies_of_a_patient_change_no_agreement() -> None:
    random = np.random.default_rng(4)
    first = random.normal(20, 5, 8)
    second = first + random.normal(0, 2, 8)
    patients = [f"p{n}" for n in range(8)]
    copied, again, whose = np.repeat(first, 5), np.repeat(second, 5), np.repeat(patients, 5)
    alone, many = spearman(first, second), spearman(copied, again, groups=whose)
    assert (many.n, many.p, many.rho) == (8, alone.p, alone.rho)
    assert spearman(copied, again).p < alone.p / 100  # what taking scans for people would say
    one = icc(np.stack([first, second], 1))["ICC(A,1)"]
    two = icc(np.stack([copied, again], 1), groups=whose)["ICC(A,1)"]
    assert (two.value, two.low, two.high) == pytest.approx((one.value, one.low, one.high))
    limits, wide = bland_altman(first, second), bland_altman(copied, again, groups=whose)
    assert (wide.bias.value, wide.lower.value, wide.upper.value) == pytest.approx(
        (limits.bias.value, limits.lower.value, limits.upper.value)
    )
    assert (wide.slope_p, wide.patients, wide.n) == (pytest.approx(limits.slope_p), 8, 40)
    three = np.stack([first, second, second + 1], 1)
    assert friedman(np.repeat(three, 5, axis=0), groups=whose) == friedman(three)


def test_limits_of_repeated_scans_hold_both_variances() -> None:
    """Between patients 3, within 4: a new scan of a new patient differs with SD 5; unequal numbers of scans."""
    random = np.random.default_rng(7)
    scans = random.integers(1, 6, 400)
    whose = np.repeat(np.arange(400), scans)
    difference = random.normal(0, 3, 400)[whose] + random.normal(0, 4, len(whose))
    found = bland_altman(difference, np.zeros(len(whose)), groups=whose)
    assert found.sd == pytest.approx(5, rel=0.05)
    assert (found.upper.value - found.lower.value) / 2 == pytest.approx(1.96 * 5, rel=0.05)
    assert found.upper.low < found.upper.value < found.upper.high


def test_spearman_of_few_is_counted_over_all_orders() -> None:
    first, second = [1, 2, 3, 4, 5], [1, 2, 3, 5, 4]
    found = spearman(first, second)
    rho = [np.corrcoef(first, order)[0, 1] for order in permutations(second)]
    assert found.rho.value == pytest.approx(0.9)
    assert found.p == pytest.approx(np.mean(np.abs(rho) >= 0.9 - 1e-9)) == pytest.approx(10 / 120)
    assert spearman([1, 2, 3], [1, 2, 3]).p == pytest.approx(2 / 6)
    tied = spearman([1, 1, 2, 3], [1, 2, 2, 4])  # orders of tied ranks are counted as often as they come
    assert 0 < tied.p <= 1
    assert math.isnan(spearman([1, 2, 3, 4], [2, 1, 4, 3], groups=["a", "a", "b", "b"]).p)


@pytest.mark.parametrize(("first", "second"), [([1, 2], [1, 3]), ([1, 2, 3], [1, 2, 4]), ([1], [2])])
def test_one_patient_who_differs_shows_nothing(first: list[float], second: list[float]) -> None:
    found = wilcoxon(first, second)
    assert (found.p, found.effect) == (1.0, -1.0)


def test_report_and_scatter_take_patients(pair, tmp_path: Path) -> None:
    from voxloom.evaluation import evaluate_folders

    pred, truth, table = pair
    cases = [p.name.removesuffix(".nii.gz") for p in truth.iterdir()]
    evaluation = evaluate_folders(pred, truth, patients=read_patients(table, cases)[0], workers=0)
    for n, row in enumerate(evaluation.rows):  # volumes that vary, so that there is an agreement
        object.__setattr__(row.metrics, "volume_ml_truth", 1.0 + int(row.patient[2]))
        object.__setattr__(row.metrics, "volume_ml_prediction", 1.1 + int(row.patient[2]) + 0.01 * (n % 3))
    part = volume_part("Cases", evaluation)
    assert part is not None
    assert part.table is not None
    assert part.table["rows"][0][1:3] == [24, PATIENTS]
    assert "24 cases of 6 patients" in part.text
    groups = [row.patient for row in evaluation.rows]
    figure = scatter_with_marginals(range(24), range(24), "x", "y", groups=groups)
    assert len(figure.axes[0].collections[0].get_offsets()) == PATIENTS
    assert f"n = {PATIENTS} patients" in figure.axes[1].get_title(loc="left")
