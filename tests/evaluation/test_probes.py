"""Probabilities of voxels and candidates of lesions: by hand, against scikit-learn, and a published worked example."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from voxloom.dataset.labels import Label, Labels
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, evaluate_case
from voxloom.evaluation.candidates import Candidate, CaseCandidates, case_candidates, find_candidates
from voxloom.evaluation.detection import DetectionRow, DetectionTable, label_figures, pool
from voxloom.evaluation.lesions import MatchRule
from voxloom.evaluation.measures import Measures
from voxloom.evaluation.probabilities import reliability
from voxloom.evaluation.probes import MOST_LIKELY, ProbeTable, probe_case
from voxloom.evaluation.voxel_probabilities import Calibration
from voxloom.volume import Volume

TWO = Labels((Label("a", (1,)), Label("b", (2,))), ignore=7)
EVERY = Measures(metrics=("voxel_brier", "voxel_ece", "voxel_auroc", "froc"))


def maps(random: np.random.Generator, shape: tuple[int, ...] = (9, 8, 7)) -> np.ndarray:
    """Probabilities (3, I, J, K) of background, a and b that float16 holds."""
    raw = random.dirichlet((2, 1, 1), shape).astype(np.float16).astype(np.float64)
    raw[..., 0] = 1 - raw[..., 1] - raw[..., 2]
    return np.moveaxis(raw, -1, 0)


def slabs(p: np.ndarray, axis: int, step: int = 4):
    for start in range(0, p.shape[1 + axis], step):
        part = np.moveaxis(p, 1 + axis, 1)[:, start : start + step]
        yield axis, start, iter(part)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_voxels_agree_with_scikit_learn(axis: int) -> None:
    random = np.random.default_rng(axis)
    p = maps(random)
    truth = random.integers(0, 3, p.shape[1:]).astype(np.uint8)
    truth[0] = 7
    found = probe_case(slabs(p, axis), Volume(truth[None], np.eye(4)), TWO, EVERY)
    kept = truth != 7
    for n, name in enumerate(("a", "b"), start=1):
        positive, own = truth[kept] == n, p[n][kept]
        assert found.values[name]["voxel_brier"] == pytest.approx(brier_score_loss(positive, own))
        assert found.values[name]["voxel_auroc"] == pytest.approx(roc_auc_score(positive, own))
        assert sum(found.bins[name].voxels) == kept.sum()
        edges = np.clip(np.ceil(own * 10 - 1e-9).astype(int) - 1, 0, 9)
        gaps = [abs((own[edges == b] - positive[edges == b]).sum()) for b in range(10)]
        assert found.values[name]["voxel_ece"] == pytest.approx(sum(gaps) / kept.sum())
    top = reliability(p[:, kept].T, truth[kept])
    apart = np.subtract(found.bins[MOST_LIKELY].voxels, top.counts)
    assert np.abs(apart).max() <= 1, "one voxel may lie at an edge that float16 rounds to"
    assert found.bins[MOST_LIKELY].error == pytest.approx(top.error, abs=3e-4)


def test_calibration_near_the_truth_leaves_the_air_out() -> None:
    p, truth = np.zeros((3, 12, 12, 12)), np.zeros((12, 12, 12), np.uint8)
    p[0], truth[5:7, 5:7, 5:7] = 1, 1
    near = EVERY.model_copy(update={"calibration_margin_mm": 2.0})
    for measures, voxels in ((EVERY, 12**3), (near, 6**3)):
        found = probe_case(slabs(p, 1), Volume(truth[None], np.eye(4)), TWO, measures)
        assert sum(found.bins["a"].voxels) == voxels
        assert found.values["a"]["voxel_brier"] == pytest.approx(8 / voxels)
    nothing = probe_case(slabs(p, 1), Volume(np.zeros_like(truth)[None], np.eye(4)), TWO, near)
    assert math.isnan(nothing.values["a"]["voxel_brier"]), "no truth, no box around it"


def test_faint_lesions_are_candidates_of_their_own_and_rims_are_not() -> None:
    p = np.zeros((20, 5, 5))
    p[2:7, 1:4, 1:4], p[3:6, 2, 2] = 0.3, 0.9  # one sure core in its doubtful rim
    p[10:12, 1:3, 1:3] = 0.25
    p[15:17, 1:3, 1:3] = 0.05
    found = find_candidates(p)
    assert (found.count, found.sizes.tolist()) == (2, [3, 8])


def test_candidates_are_matched_one_to_one_the_surest_first() -> None:
    p, truth = np.zeros((20, 5, 5)), np.zeros((20, 5, 5), bool)
    truth[2:10, 1:4, 1:4] = truth[14:16, 1:3, 1:3] = True
    p[2:5, 1:4, 1:4], p[7:10, 1:4, 1:4], p[18:, 3:, 3:] = 0.9, 0.7, 0.8
    found = case_candidates(p, truth, MatchRule("overlap"))
    assert [(round(c.confidence, 2), c.lesion) for c in found.candidates] == [(0.9, 1), (0.8, 0), (0.7, 0)]
    assert found.lesions == 2
    strict = case_candidates(p, truth, MatchRule("iou", 0.5))
    assert [c.lesion for c in strict.candidates] == [0, 0, 0]
    p[2, 1, 1] = 1.0
    assert case_candidates(p, truth, MatchRule("center"), "max").candidates[0].confidence == 1


#: Padilla, Netto and da Silva, "A survey on performance metrics for object-detection algorithms" (2020), section on AP: 24 boxes in 7
#: images with 15 objects, by falling confidence; which of them are true.
PADILLA = [(95, 1), (95, 0), (91, 1), (88, 0), (84, 0), (80, 0), (78, 0), (74, 0), (71, 0), (70, 1), (67, 0), (62, 1),
           (54, 1), (48, 1), (45, 0), (45, 0), (44, 0), (44, 0), (43, 0), (38, 0), (35, 0), (23, 0), (18, 1), (14, 0)]  # fmt: skip


def padilla() -> list[CaseCandidates]:
    """The example as seven cases; equal confidences are told apart, as the paper's table orders them."""
    rows: list[list[Candidate]] = [[] for _ in range(7)]
    for n, (confidence, right) in enumerate(PADILLA):
        rows[n % 7].append(Candidate(confidence / 100 - n * 1e-6, right, 0.5, 1))
    return [CaseCandidates(3 if n == 0 else 2, tuple(own)) for n, own in enumerate(rows)]


def test_average_precision_of_the_published_example() -> None:
    """24.56 % there, from areas of four rounded recalls: 1, 2/3, 3/7 and 7/23 are the precisions."""
    exact = (1 + 2 / 3 + 4 * 3 / 7 + 7 / 23) / 15
    assert pool(padilla()).average_precision == pytest.approx(exact)
    assert exact == pytest.approx(0.2456, abs=1e-4)


def test_froc_by_hand() -> None:
    cases = [
        CaseCandidates(2, (Candidate(0.9, 1, 1, 1), Candidate(0.5, 0, 0, 1))),
        CaseCandidates(2, (Candidate(0.8, 0, 0, 1), Candidate(0.7, 2, 1, 1))),
    ]
    curve = pool(cases).froc
    assert curve.false_positives.tolist() == [0, 0.5, 0.5, 1]
    assert curve.sensitivity.tolist() == [0.25, 0.25, 0.5, 0.5]
    assert (curve.at(0.25), curve.at(0.5), curve.at(8)) == (0.25, 0.5, 0.5)
    assert pool(cases).mean_sensitivity == pytest.approx((2 * 0.25 + 5 * 0.5) / 7)
    assert pool(cases).average_precision == pytest.approx((1 + 2 / 3) / 4)
    assert math.isnan(pool([CaseCandidates(0)]).mean_sensitivity)


def test_figures_of_few_patients_have_no_interval() -> None:
    rows = [DetectionRow(f"c{n}", f"p{n}", "a", found) for n, found in enumerate(padilla())]
    figures = label_figures(rows)
    assert (figures["lesions"], figures["candidates"], figures["cases"]) == (15, 24, 7)
    assert math.isnan(figures["average_precision"]["low"])
    twice = [DetectionRow(f"{row.case}{k}", f"{row.patient}{k}", "a", row.found) for row in rows for k in range(3)]
    low, high = (label_figures(twice)["average_precision"][end] for end in ("low", "high"))
    assert low < figures["average_precision"]["value"] < high


def test_tables_come_back_and_post_processing_keeps_them(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    p = maps(random)
    truth = Volume(random.integers(0, 3, p.shape[1:]).astype(np.uint8)[None], np.eye(4))
    table = Evaluation(TWO.names, measures=EVERY)
    for case in ("x", "y"):
        table.add(case, evaluate_case(truth, truth, TWO, EVERY), patient="p")
        table.add_probed(case, probe_case(slabs(p, 0), truth, TWO, EVERY))
    assert table.summary()["voxel_brier"]["a"]["n"] == 2
    assert {"calibration", "froc"} <= set(table.summary())
    table.write_csv(tmp_path / "metrics.csv")
    back = Evaluation.read_csv(tmp_path / "metrics.csv")
    assert back.probes is not None
    assert table.probes is not None
    assert back.probes.pooled()["a"].voxels == table.probes.pooled()["a"].voxels
    assert back.probes.detection.summary()["b"]["lesions"] == table.probes.detection.summary()["b"]["lesions"]
    again = Evaluation(TWO.names, measures=EVERY)
    for case in ("x", "y"):
        again.add(case, evaluate_case(truth, truth, TWO, EVERY), patient="p")
    again.take_probed(table)
    assert again.values("voxel_ece", "b") == table.values("voxel_ece", "b")
    Evaluation(TWO.names, rows=table.rows).write_csv(tmp_path / "metrics.csv")
    assert ProbeTable.read(tmp_path) is None, "tables of an earlier evaluation go"


def test_damaged_tables_are_named(tmp_path: Path) -> None:
    (tmp_path / "candidates.csv").write_text("case\nx\n")
    with pytest.raises(BadInput, match="not a table of candidates"):
        DetectionTable.read_csv(tmp_path / "candidates.csv")
    (tmp_path / "reliability.csv").write_text("case\nx\n")
    (tmp_path / "candidates.csv").unlink()
    with pytest.raises(BadInput, match="not a table of reliability"):
        ProbeTable.read(tmp_path)


def test_regions_have_no_most_likely_label() -> None:
    labels = Labels((Label("whole", (1, 2)), Label("core", (2,))))
    truth = np.zeros((4, 4, 4), np.uint8)
    truth[1:3], truth[2] = 1, 2
    p = np.stack([truth > 0, truth == 2]).astype(np.float64)
    found = probe_case(slabs(p, 2), Volume(truth[None], np.eye(4)), labels, EVERY)
    assert set(found.bins) == {"whole", "core"}
    assert found.values["core"] == {"voxel_brier": 0, "voxel_ece": 0, "voxel_auroc": 1}
    assert Calibration(["a"], exclusive=False).most_likely is None


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of truths, predictions and probability maps of two cases."""
    from voxloom.formats import write_volume

    root, random = tmp_path_factory.mktemp("maps"), np.random.default_rng(5)
    for case in ("x", "y"):
        p = maps(random)
        truth = random.integers(0, 3, p.shape[1:]).astype(np.uint8)
        write_volume(Volume(truth[None], np.eye(4)), root / "truth" / f"{case}.nii.gz")
        write_volume(Volume(p.argmax(0).astype(np.uint8)[None], np.eye(4)), root / "pred" / f"{case}.nii.gz")
        for n, name in enumerate(("a", "b b"), start=1):
            write_volume(
                Volume(p[n][None].astype(np.float32), np.eye(4)),
                root / "maps" / f"{case}_{name.replace(' ', '_')}.nii.gz",
            )
    return root


def test_the_command_measures_maps_of_a_folder(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from voxloom.cli.app import run

    line = ["evaluate", "--pred", str(written / "pred"), "--truth", str(written / "truth"), "--labels", "a=1,b b=2"]
    line += ["--workers", "0"]
    assert run([*line, "--metrics", "froc"]) == 2
    assert "need their maps" in capsys.readouterr().err
    asked = [
        "--metrics",
        "froc,voxel_ece",
        "--measures",
        "match=overlap,empty=left_out",
        "--maps",
        str(written / "maps"),
    ]
    assert run([*line, *asked, "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err
    assert "mean sensitivity" in said
    assert "match: any overlap" in said
    assert "truth empty: left out" in said
    assert {"candidates.csv", "reliability.csv", "metrics.csv"} <= {p.name for p in (tmp_path / "out").iterdir()}
    (written / "maps" / "y_a.nii.gz").rename(written / "maps" / "z_a.nii.gz")
    try:
        assert run([*line, *asked]) == 2
        assert "no probability map of a" in capsys.readouterr().err
    finally:
        (written / "maps" / "z_a.nii.gz").rename(written / "maps" / "y_a.nii.gz")


def test_runs_that_were_measured_in_other_ways_are_told_apart(tmp_path: Path) -> None:
    from voxloom.files import plain, write_json
    from voxloom.verbs.compare import compare_runs

    truth = np.zeros((6, 6, 6), np.uint8)
    truth[2:4, 2:4, 2:4] = 1
    one = Labels((Label("a", (1,)),))
    for name, empty in (("x", "convention"), ("y", "convention"), ("z", "left_out")):
        table = Evaluation(one.names, measures=Measures(empty=empty))
        for n in range(6):
            found = np.roll(truth, n % 3, axis=0)[None]
            figures = evaluate_case(Volume(found, np.eye(4)), Volume(truth[None], np.eye(4)), one, table.measures)
            table.add(f"c{n}", figures)
        table.write_csv(tmp_path / name / "metrics.csv")
        write_json(tmp_path / name / "statistics.json", plain(table.summary()))
    alike = compare_runs([tmp_path / "x", tmp_path / "y"])
    assert any("one empty: overlap 0" in note for note in alike.conventions)
    assert not any("not measured alike" in warning for warning in alike.warnings)
    apart = compare_runs([tmp_path / "x", tmp_path / "z"])
    assert any("not measured alike" in warning for warning in apart.warnings)


def test_maps_follow_the_names_of_a_set_that_numbers_its_labels_otherwise() -> None:
    random = np.random.default_rng(9)
    p = maps(random)
    truth = random.integers(0, 3, p.shape[1:]).astype(np.uint8)
    usual = probe_case(slabs(p, 0), Volume(truth[None], np.eye(4)), TWO, EVERY)
    other = Labels((Label("b", (1,)), Label("a", (2,))))
    turned = np.array([0, 2, 1], np.uint8)[truth]
    found = probe_case(slabs(p, 0), Volume(turned[None], np.eye(4)), other, EVERY, TWO.names)
    assert found == usual
