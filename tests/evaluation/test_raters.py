"""Raters whose errors are known: the figures must find them again."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Label, Labels
from voxloom.errors import BadInput
from voxloom.evaluation.raters import adjust, consensus, study_raters, summarize_raters
from voxloom.evaluation.raters.consensus import staple
from voxloom.evaluation.statistics import wilcoxon
from voxloom.formats import read_label, write_volume
from voxloom.volume import Volume

from .drawn import TUMOR, sphere

RADII = np.linspace(8, 17, 12)


def study_of(readings: dict[str, Path], **options):
    people = {name: readings[name] for name in ("R1", "R2")}
    return study_raters(people, TUMOR, model=("model", readings["model"]), workers=0, **options)


def test_distances_and_volumes_are_those_that_were_drawn(readings: dict[str, Path]) -> None:
    study = study_of(readings)
    assert list(study.pairs) == [("model", "R1"), ("model", "R2"), ("R1", "R2")]
    assd = {pair: np.mean([row.assd for row in study.metrics(pair, "tumor").values()]) for pair in study.pairs}
    assert assd["model", "R1"] == pytest.approx(1.0, abs=0.3)
    assert assd["model", "R2"] == pytest.approx(2.0, abs=0.3)
    assert assd["R1", "R2"] == pytest.approx(1.0, abs=0.3)
    bias = summarize_raters(study)["labels"]["tumor"]["bland_altman"][2]["bias"]
    expected = np.mean(4 / 3 * np.pi * ((RADII + 0.5) ** 3 - (RADII - 0.5) ** 3)) / 1000
    assert bias["value"] == pytest.approx(expected, rel=0.2)  # voxels of 1 mm round a shift of 1 mm
    assert bias["low"] < expected < bias["high"]


def p_rank_sum(study) -> float:
    from scipy.stats import mannwhitneyu

    columns = [[row.assd for row in study.metrics(pair, "tumor").values()] for pair in (("model", "R2"), ("R1", "R2"))]
    return float(mannwhitneyu(*columns, method="exact").pvalue)


def test_figures_of_a_study(readings: dict[str, Path]) -> None:
    study = study_of(readings)
    found = summarize_raters(study)["labels"]["tumor"]
    dice = {(p["first"], p["second"]): p["dice"]["median"] for p in found["pairs"]}
    assert dice["model", "R2"] < dice["model", "R1"] < 1
    farther = {(t["rater"], t["metric"]): t for t in found["tests"]}
    assert farther["R2", "assd"]["p_holm"] < 0.01
    assert farther["R2", "assd"]["effect"] == 1.0  # further in every case
    assert farther["R2", "dice"]["effect"] == -1.0
    assert all(t["p_holm"] >= t["p"] for t in found["tests"])
    assert len(found["tests"]) == 8
    assert farther["R2", "assd"]["p_rank_sum"] == pytest.approx(p_rank_sum(study), rel=1e-9)
    assert found["spearman"][0]["hd"]["n"] == found["spearman"][0]["n"] == 12
    between = {case: row.dice for case, row in study.metrics(("R1", "R2"), "tumor").items()}
    against = {case: row.dice for case, row in study.metrics(("model", "R2"), "tumor").items()}
    by_hand = np.median([against[c] + 1 - between[c] for c in between])
    adjusted = {(a["rater"], a["metric"]): a["median"] for a in found["adjusted"]}
    assert adjusted["R2", "dice"] == pytest.approx(by_hand)
    assert adjusted["R2", "assd"] == pytest.approx(1.0, abs=0.3)
    assert found["icc"][0]["value"] > 0.9
    assert {i["scale"] for i in found["icc"]} == {"ml", "log ml"}
    assert found["friedman"][0]["effect"] == pytest.approx(1.0)  # the order of the volumes is the same everywhere
    assert found["spearman"][0]["rho"]["value"] > 0.8  # larger spheres, larger Dice


def test_adjustment_of_the_paper() -> None:
    assert adjust("dice", 0.60, 0.78) == pytest.approx(0.82)
    assert adjust("hd", 29.2, 14.6) == pytest.approx(14.6)
    assert math.isnan(adjust("hd", 3.0, math.inf))
    assert adjust("hd", math.inf, 3.0) == math.inf


def test_a_lost_tumor_counts_and_a_gap_of_a_rater_does_not(readings: dict[str, Path], tmp_path: Path) -> None:
    copies = {name: Path(shutil.copytree(folder, tmp_path / name)) for name, folder in readings.items()}
    (copies["model"] / "case00.nii.gz").unlink()
    (copies["R2"] / "case01.nii.gz").unlink()
    study = study_of(copies)
    assert (study.failed, study.unrated) == (["case00"], {"R1": [], "R2": ["case01"]})
    lost = study.metrics(("model", "R1"), "tumor")["case00"]
    assert (lost.dice, lost.hd, lost.kind) == (0.0, math.inf, "prediction_empty")
    assert "case01" not in study.metrics(("R1", "R2"), "tumor")
    figures = summarize_raters(study)
    pairs = {(p["first"], p["second"]): p for p in figures["labels"]["tumor"]["pairs"]}
    assert (pairs["model", "R1"]["hd"]["infinite"], pairs["model", "R2"]["cases"]) == (1, 11)
    told = " ".join(figures["warnings"])
    assert "model has no prediction of case00" in told
    assert "R2 did not read 1 case" in told
    worst = {(t["rater"], t["metric"]): t for t in figures["labels"]["tumor"]["tests"]}["R1", "hd"]
    assert worst["n"] + worst["zeros"] == 11  # the infinite distance ranks last; it is not left out


def test_scans_of_one_patient_are_one_observation(readings: dict[str, Path]) -> None:
    patients = {f"case{n:02d}": f"p{n // 3}" for n in range(12)}
    figures = summarize_raters(study_of(readings, patients=patients))
    assert figures["patients"] == 4
    assert all(t["n"] == 4 for t in figures["labels"]["tumor"]["tests"])
    assert any("4 patients are few" in w for w in figures["warnings"])


def test_regression_on_acquisition_finds_the_factor_that_matters(readings: dict[str, Path]) -> None:
    names = [f"case{n:02d}" for n in range(12)]
    radius = dict(zip(names, map(float, RADII), strict=True))
    noise = dict(zip(names, map(float, np.random.default_rng(5).normal(size=12)), strict=True))
    found = summarize_raters(study_of(readings), {"radius": radius, "noise": noise})["labels"]["tumor"]["regression"]
    terms = {t["name"]: t for t in found["terms"]}
    assert terms["radius"]["p_holm"] < 0.001
    assert terms["noise"]["p_holm"] > 0.05
    assert terms["radius"]["value"] > 0
    with pytest.raises(BadInput, match="no case of the study"):
        summarize_raters(study_of(readings), {"radius": {"other": 1.0}})


@pytest.mark.parametrize("method", ["majority", "staple", "intersection", "union"])
def test_consensus_is_written_and_measured_against(readings: dict[str, Path], tmp_path: Path, method) -> None:
    study = study_of(readings, method=method, out=tmp_path)
    assert {("model", method), ("R1", method)} <= set(study.pairs)
    agreed = read_label(tmp_path / "case03.nii.gz").data
    r1, r2 = (read_label(readings[r] / "case03.nii.gz").data for r in ("R1", "R2"))
    assert (agreed >= (r1 & r2)).all()
    assert (agreed <= (r1 | r2)).all()
    if method in ("majority", "intersection"):
        assert (agreed == (r1 & r2)).all()
    if method == "union":
        assert (agreed == (r1 | r2)).all()


def label_map(values: list[int]) -> Volume:
    return Volume(np.array(values, np.uint8).reshape(1, -1, 1, 1), np.eye(4))


def test_votes_by_hand() -> None:
    labels = Labels((Label("a", (1,)), Label("b", (5,))), ignore=9)
    maps = [label_map(row) for row in ([1, 1, 1, 0, 5, 9, 9], [1, 1, 5, 0, 5, 9, 1], [1, 0, 5, 5, 1, 9, 1])]
    votes = {m: consensus(maps, labels, m).volume.data.ravel().tolist() for m in ("majority", "intersection", "union")}
    assert votes["majority"] == [1, 1, 5, 0, 5, 9, 1]
    assert votes["intersection"] == [1, 0, 0, 0, 0, 9, 0]
    assert votes["union"] == [1, 1, 5, 5, 5, 9, 1]


def test_staple_finds_the_raters_sensitivity_and_specificity() -> None:
    random = np.random.default_rng(6)
    truth = sphere(12.0).data[0].astype(bool)
    abilities = [(0.95, 0.99), (0.80, 0.97), (0.70, 0.999)]
    masks = [np.where(truth, random.random(truth.shape) < p, random.random(truth.shape) > q) for p, q in abilities]
    found = consensus([sphere(12.0).with_data(m.astype(np.uint8)[None]) for m in masks], TUMOR, "staple")
    assert found.sensitivity[1] == pytest.approx([p for p, _ in abilities], abs=0.02)
    assert found.specificity[1] == pytest.approx([q for _, q in abilities], abs=0.01)
    assert (found.volume.data[0].astype(bool) == truth).mean() > 0.99


@pytest.mark.parametrize("full", [False, True])
def test_staple_of_certainty(full: bool) -> None:
    probability, sensitivity, _ = staple(np.full((2, 4, 4, 4), full))
    assert (probability == full).all()
    assert sensitivity == (1.0, 1.0)


def test_what_cannot_be_compared_is_refused(readings: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="share a name"):
        study_raters({"R1": readings["R1"]}, TUMOR, model=("R1", readings["model"]))
    with pytest.raises(BadInput, match="share a name"):
        study_raters({"R1": readings["R1"], "staple": readings["R2"]}, TUMOR)
    with pytest.raises(BadInput, match="at least two raters"):
        consensus([sphere(5)], TUMOR)
    with pytest.raises(BadInput, match="no consensus method"):
        consensus([sphere(5), sphere(6)], TUMOR, "vote")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="has shape"):
        consensus([sphere(5), sphere(5, size=40)], TUMOR)
    write_volume(sphere(5), tmp_path / "elsewhere" / "other.nii.gz")
    with pytest.raises(BadInput, match="no case was read by two"):
        study_raters({"R1": readings["R1"], "R2": tmp_path / "elsewhere"}, TUMOR)


def test_table_of_pairs(readings: dict[str, Path], tmp_path: Path) -> None:
    lines = study_of(readings).write_csv(tmp_path / "pairs.csv").read_text().splitlines()
    assert lines[0].startswith("first,second,case,patient,label,dice")
    assert len(lines) == 1 + 3 * 12


def test_an_infinite_distance_ranks_worst() -> None:
    from voxloom.evaluation.statistics.arrays import rankable

    a, b = rankable([1.0, math.inf, 3.0, math.inf], [2.0, 5.0, math.inf, math.inf])
    assert (a - b).tolist() == [-1.0, 6.0, -8.0, 0.0]
    assert (wilcoxon(a, b).n, wilcoxon(a, b).zeros) == (3, 1)
