"""Two runs whose difference is known: the sentence, the interval, the correction and the warnings."""

from __future__ import annotations

import json
import math
from html import escape
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, MaskMetrics
from voxloom.verbs.compare import compare_runs

Scores = dict[str, float]


def metrics(dice: float, hd95: float = 2.0) -> MaskMetrics:
    kind = "ok" if math.isfinite(hd95) else "prediction_empty"
    return MaskMetrics(dice, dice / (2 - dice), dice, dice, hd95 + 1, hd95, hd95 / 2, 10.0, 10.0, 0.0, kind)  # type: ignore[arg-type]


def write_scores(
    folder: Path, liver: Scores, tumor: Scores | None = None, patients: dict[str, str] | None = None
) -> Path:
    names = ["liver", "tumor"] if tumor is not None else ["liver"]
    evaluation = Evaluation(names)
    for case in liver:
        row = {"liver": metrics(liver[case])} | ({"tumor": metrics(tumor[case])} if tumor is not None else {})
        evaluation.add(case, row, patient=(patients or {}).get(case))
    evaluation.write_csv(folder / "metrics.csv")
    return folder


def scores(mean: float, count: int = 24, spread: float = 0.03, seed: int = 0) -> Scores:
    values = np.clip(np.random.default_rng(seed).normal(mean, spread, count), 0, 1)
    return {f"case{n:02d}": float(v) for n, v in enumerate(values)}


def shifted(base: Scores, by: float, noise: float = 0.004, seed: int = 9) -> Scores:
    random = np.random.default_rng(seed)
    return {case: min(1.0, value + by + float(random.normal(0, noise))) for case, value in base.items()}


def test_a_clear_difference_is_said_clearly(tmp_path: Path) -> None:
    base = scores(0.85)
    a, b = write_scores(tmp_path / "A", base), write_scores(tmp_path / "B", shifted(base, 0.012))
    found = compare_runs([a, b])
    only = found.differences[0]
    assert only.difference.value == pytest.approx(0.012, abs=0.002)
    assert only.difference.low < 0.012 < only.difference.high
    assert only.p_holm < 0.001
    unknown = "nothing is known of the training of"
    told = f"B is better than A by 1.3 Dice points [1.1, 1.5], p < .001, 24 patients; {unknown} A and B."
    assert found.conclusions == (told,)
    assert found.warnings == ("No patients are named: every case is taken as a patient of its own",)
    shown = repr(found)
    assert shown.startswith("dice of A, B: test cases\nrun  label")
    assert told in shown
    assert "Beware: No patients are named" in shown
    assert f"<p>{escape(told)}</p>" in found._repr_html_()
    back = compare_runs([b, a]).conclusions[0]
    assert back == f"A is worse than B by 1.3 Dice points [1.1, 1.5], p < .001, 24 patients; {unknown} B and A."


def write_run(folder: Path, found: Scores, steps: int, seed: int = 0, budget: str = "", validations: int = 3) -> Path:
    """The files of a run that a comparison reads."""
    write_scores(folder / "fold_0", found)
    text = f"name: auto\nseed: {seed}\ntraining: {{monitor: val_dice}}\n" + (f"budget: {budget}\n" if budget else "")
    (folder / "recipe.yaml").write_text(text)
    rows = [f"{n},1,1,0.1,0.5,0.8" for n in range(validations)]
    (folder / "fold_0" / "log.csv").write_text("\n".join(["step,seconds,epoch,lr,train_loss,val_dice", *rows]) + "\n")
    (folder / "summary.json").write_text(json.dumps({"folds": {"fold_0": {"steps": steps}}, "largest_component": []}))
    (folder / "data.json").write_text(json.dumps({"cases": [{"id": c, "files": {}} for c in found]}))
    return folder


def test_the_sentence_says_what_it_rests_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = scores(0.85)
    a = write_run(tmp_path / "A", base, 1000, budget="1h")
    b = write_run(tmp_path / "B", shifted(base, -0.02), 300, budget="20m")
    said = compare_runs([a, b]).conclusions[0]
    assert "B is worse than A" in said
    for phrase in (
        "these cases also chose the weights of both",
        "each run is one training with one seed",
        "the budgets differ (A 1h, B 20m)",
    ):
        assert phrase in said
    assert run(["compare", str(a), str(b), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["conclusions"] == [said]


def test_the_sentence_names_only_what_applies(tmp_path: Path) -> None:
    base = scores(0.85)
    fewer = dict(list(base.items())[:20])
    a = write_run(tmp_path / "A", base, 1000, validations=1)
    same = compare_runs([a, write_run(tmp_path / "B", base, 990, validations=1)]).conclusions[0]
    assert same.endswith("; each run is one training with one seed.")
    steps = compare_runs([a, write_run(tmp_path / "C", fewer, 200, validations=3)]).conclusions[0]
    assert "these cases also chose the weights of C" in steps
    assert "the numbers of training steps differ (A 1000, C 200)" in steps
    assert "they were made with other cases (A 24, C 20)" in steps
    for name in "AC":
        write_scores(tmp_path / name / "test", base)
    tested = compare_runs([tmp_path / "A", tmp_path / "C"]).conclusions[0]
    assert "chose" not in tested
    assert "one training with one seed" in tested


def test_labels_that_one_run_lacks_are_named(tmp_path: Path) -> None:
    a = write_scores(tmp_path / "A", scores(0.9), scores(0.6))
    b = write_scores(tmp_path / "B", scores(0.9, seed=4))
    assert "tumor of A is not in every run and not compared" in compare_runs([a, b]).warnings


def test_one_patient_who_differs_is_no_crash(tmp_path: Path) -> None:
    base = scores(0.8, 8)
    a = write_scores(tmp_path / "A", base)
    b = write_scores(tmp_path / "B", {**base, "case03": 0.1})
    found = compare_runs([a, b])
    assert found.differences[0].p == 1.0
    assert found.conclusions[0].startswith("No difference was shown")


def test_no_difference_is_not_called_equality(tmp_path: Path) -> None:
    a = write_scores(tmp_path / "A", scores(0.85, seed=1))
    b = write_scores(tmp_path / "B", scores(0.85, seed=2))
    assert compare_runs([a, b]).conclusions[0].startswith("No difference was shown between B and A")


def test_holm_covers_every_row_of_the_table(tmp_path: Path) -> None:
    liver, tumor = scores(0.9), scores(0.6, seed=3)
    runs = [write_scores(tmp_path / "A", liver, tumor)]
    runs += [
        write_scores(tmp_path / n, shifted(liver, s), shifted(tumor, s, 0.1)) for n, s in (("B", 0.003), ("C", 0.02))
    ]
    found = compare_runs(runs)
    assert [(d.name, d.label) for d in found.differences[:3]] == [("B", "mean"), ("B", "liver"), ("B", "tumor")]
    assert len(found.differences) == 6
    smallest = min(found.differences, key=lambda d: d.p)
    assert smallest.p_holm == pytest.approx(6 * smallest.p)
    assert found.overall.p < 0.05
    assert len(found.conclusions) == 2


def test_few_patients_and_other_cases_are_warned_of(tmp_path: Path) -> None:
    base = scores(0.85, 20)
    patients = {case: f"p{n // 5}" for n, case in enumerate(base)}
    a = write_scores(tmp_path / "A", base, patients=patients)
    fewer = {case: value + 0.05 for case, value in list(base.items())[:-2]}
    found = compare_runs([a, write_scores(tmp_path / "B", fewer, patients=patients)])
    assert found.differences[0].cases == 18
    assert found.differences[0].patients == 4
    assert found.differences[0].p == 0.125  # four patients, all better: the least that four can reach
    told = " ".join(found.warnings)
    assert "A has 20, B has 18; compared on the 18" in told
    assert "cannot show a difference" in told


def test_a_lost_structure_is_worst_and_counted(tmp_path: Path) -> None:
    for name, lost in (("A", ()), ("B", ("case03", "case07"))):
        evaluation = Evaluation(["liver"])
        for case in scores(0.9):
            evaluation.add(case, {"liver": metrics(0.9, math.inf if case in lost else 2.0)})
        evaluation.write_csv(tmp_path / name / "metrics.csv")
    found = compare_runs([tmp_path / "A", tmp_path / "B"], metric="hd95")
    assert found.differences[0].infinite == 2
    assert found.differences[0].effect == 1.0
    assert math.isinf(found.differences[0].mean)
    assert any("2 case(s) with an infinite distance" in w for w in found.warnings)


def test_runs_are_read_with_their_folds_and_their_test(tmp_path: Path) -> None:
    base = scores(0.8)
    half = list(base)[:12]
    for name, by in (("A", 0.0), ("B", 0.05)):
        moved = shifted(base, by)
        (tmp_path / name / "fold_0").mkdir(parents=True)
        (tmp_path / name / "recipe.yaml").write_text("name: auto\n")
        write_scores(tmp_path / name / "fold_0", {c: moved[c] for c in half})
        write_scores(tmp_path / name / "fold_1", {c: moved[c] for c in base if c not in half})
    assert compare_runs([tmp_path / "A", tmp_path / "B"]).differences[0].cases == 24
    for name, value in (("A", 0.7), ("B", 0.7)):
        write_scores(tmp_path / name / "test", dict.fromkeys(["t1", "t2", "t3"], value))
    assert compare_runs([tmp_path / "A", tmp_path / "B"]).differences[0].cases == 3
    assert compare_runs([tmp_path / "A", tmp_path / "B"], cases="held-out").differences[0].cases == 24


def test_one_name_for_different_files_is_refused(tmp_path: Path) -> None:
    for name in "AB":
        folder = tmp_path / name
        write_scores(folder / "fold_0", scores(0.8))
        (folder / "recipe.yaml").write_text("name: auto\n")
        cases = [{"id": case, "files": {"scan": f"{name}{case}"}} for case in scores(0.8)]
        (folder / "data.json").write_text(json.dumps({"cases": cases}))
    with pytest.raises(BadInput, match="stands for different files"):
        compare_runs([tmp_path / "A", tmp_path / "B"])


def test_coverage_of_the_difference(tmp_path: Path) -> None:
    """The interval of the paired difference holds the true one as often as it says, with three scans per patient."""
    from voxloom.evaluation import mean_ci

    random, hits = np.random.default_rng(11), 0
    patients = np.repeat(np.arange(12), 3)
    for _ in range(400):
        difference = random.normal(0.012, 0.02, 12)[patients] + random.normal(0, 0.01, 36)
        low, high = mean_ci(difference, patients.tolist())
        hits += low <= 0.012 <= high
    assert 0.91 <= hits / 400 <= 0.985


@pytest.mark.parametrize(
    ("paths", "options", "told"),
    [
        (["A"], {}, "needs two runs"),
        (["A", "A"], {}, "given twice"),
        (["A", "empty"], {}, "no held-out figures"),
        (["A", "C"], {}, "no case in common"),
        (["A", "D"], {}, "no label in common"),
        (["A", "B"], {"metric": "dise"}, "no metric"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, paths, options, told) -> None:
    (tmp_path / "empty").mkdir()
    write_scores(tmp_path / "A", scores(0.8))
    write_scores(tmp_path / "B", scores(0.8))
    write_scores(tmp_path / "C", {"other": 0.5})
    renamed = (tmp_path / "A" / "metrics.csv").read_text().replace("liver", "spleen")
    (tmp_path / "D").mkdir()
    (tmp_path / "D" / "metrics.csv").write_text(renamed)
    with pytest.raises(BadInput, match=told):
        compare_runs([tmp_path / p for p in paths], **options)


@pytest.mark.drawn
def test_command_prints_the_sentence_and_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = scores(0.85)
    runs = [write_scores(tmp_path / "A é", base), write_scores(tmp_path / "B", shifted(base, 0.02))]
    out = tmp_path / "out dir"
    assert run(["compare", *map(str, runs), "-o", str(out)]) == 0
    assert "B is better than A é by 2.1 Dice points [1.9, 2.3]" in capsys.readouterr().out
    page = (out / "compare.html").read_text("utf-8")
    assert "B is better than A é" in page
    assert {p.suffix for p in (out / "figures").iterdir()} == {".svg", ".png"}
    assert run(["compare", *map(str, runs), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"][0]["p_holm"] < 0.001
    assert run(["compare", str(runs[0])]) == 2
    assert run(["compare", *map(str, runs), "--on", "train"]) == 2
