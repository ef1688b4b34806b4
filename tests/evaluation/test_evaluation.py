"""Many cases: nothing is dropped, tables come back as written, folders are matched honestly."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Label, Labels
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, evaluate_case, evaluate_folders, mask_metrics, mean_ci, summarize
from voxloom.formats import write_volume
from voxloom.volume import Volume

LABELS = Labels((Label("organ", (1,)), Label("lesion", (5,))))


def label_map(*values: int, affine: np.ndarray | None = None) -> Volume:
    data = np.zeros((1, 8, 8, 8), np.uint8)
    for n, value in enumerate(values):
        data[0, 2 * n : 2 * n + 2, 2:6, 2:6] = value
    return Volume(data, np.eye(4) if affine is None else affine)


def evaluated() -> Evaluation:
    evaluation = Evaluation(LABELS.names)
    evaluation.add("a", evaluate_case(label_map(1, 5), label_map(1, 5), LABELS), patient="p")
    evaluation.add("b", evaluate_case(label_map(1), label_map(1, 5), LABELS), patient="q")
    evaluation.add("c", evaluate_case(label_map(1, 1), label_map(1), LABELS), patient="q")
    return evaluation


def test_labels_of_one_slice_have_the_surface_of_a_volume() -> None:
    """The maps are cut to what is labelled; a plate in a volume is nevertheless all surface."""
    plate = np.zeros((1, 8, 8, 8), np.uint8)
    plate[0, 1:7, 1:7, 3] = 1
    shorter = plate.copy()
    shorter[0, 3:5, 3:5, 3] = 0
    organ = evaluate_case(Volume(shorter, np.eye(4)), Volume(plate, np.eye(4)), LABELS)["organ"]
    assert organ == mask_metrics(shorter[0] == 1, plate[0] == 1, (1.0, 1.0, 1.0))
    assert organ.hd == 1.0


def test_zero_may_be_the_value_of_a_label() -> None:
    labels = Labels((Label("outside", (0,)), Label("organ", (5,))), background=1)
    found, true = label_map(5), label_map(1, 5)
    assert evaluate_case(found, true, labels)["outside"] == mask_metrics(
        found.data[0] == 0, true.data[0] == 0, (1.0, 1.0, 1.0)
    )


def test_lost_masks_are_counted_and_infinite() -> None:
    summary = evaluated().summary()
    assert summary["cases"] == 3
    assert summary["kinds"]["lesion"] == {"ok": 1, "both_empty": 1, "truth_empty": 0, "prediction_empty": 1}
    assert summary["hd95"]["lesion"]["infinite"] == 1
    assert math.isinf(summary["hd95"]["lesion"]["mean"])
    assert summary["hd95"]["lesion"]["finite_mean"] == 0.0
    assert summary["dice"]["lesion"]["mean"] == pytest.approx(2 / 3)
    assert summary["dice"]["mean"]["n"] == 3


def test_failures_are_listed_worst_first() -> None:
    assert [(row.case, row.label) for row in evaluated().failures()] == [("b", "lesion")]


def test_table_round_trip(tmp_path: Path) -> None:
    evaluation = evaluated()
    again = Evaluation.read_csv(evaluation.write_csv(tmp_path / "metrics.csv"))
    assert again.rows == evaluation.rows
    assert again.labels == list(LABELS.names)


def test_foreign_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("case,dice\na,1\n")
    with pytest.raises(BadInput, match=r"metrics\.csv"):
        Evaluation.read_csv(tmp_path / "metrics.csv")


def test_nnunet_summary(tmp_path: Path) -> None:
    evaluation = evaluated()
    files = {case: (f"{case}.nii.gz", f"pred/{case}.nii.gz") for case in evaluation.cases}
    path = evaluation.write_nnunet_summary(tmp_path / "summary.json", files, {"organ": "1", "lesion": "5"})
    read = json.loads(path.read_text())
    assert set(read) == {"metric_per_case", "mean", "foreground_mean"}
    assert read["metric_per_case"][0]["metrics"]["5"]["Dice"] == 1.0
    assert read["mean"]["5"]["Dice"] == pytest.approx(2 / 3)
    pairs = [(label_map(1, 5), label_map(1, 5)), (label_map(1), label_map(1, 5)), (label_map(1, 1), label_map(1))]
    for entry, (predicted, true) in zip(read["metric_per_case"], pairs, strict=True):
        found, truth = predicted.data, true.data
        for value, key in ((1, "1"), (5, "5")):
            m, t, p = entry["metrics"][key], truth == value, found == value
            assert (m["TP"], m["FP"], m["FN"], m["TN"]) == (
                (t & p).sum(),
                (~t & p).sum(),
                (t & ~p).sum(),
                (~t & ~p).sum(),
            )
            assert (m["n_pred"], m["n_ref"]) == (p.sum(), t.sum())
    assert read["mean"]["1"]["n_ref"] == np.mean([e["metrics"]["1"]["n_ref"] for e in read["metric_per_case"]])
    table = Evaluation.read_csv(evaluation.write_csv(tmp_path / "metrics.csv"))
    again = json.loads(
        table.write_nnunet_summary(tmp_path / "again.json", files, {"organ": "1", "lesion": "5"}).read_text()
    )
    assert "TP" not in again["metric_per_case"][0]["metrics"]["1"], "a table holds no counts"


def test_other_grids_are_refused_with_the_difference() -> None:
    moved = np.eye(4)
    moved[0, 3] = 3.0
    with pytest.raises(BadInput, match="up to 3 mm"):
        evaluate_case(label_map(1, affine=moved), label_map(1), LABELS)


def test_regions_overlap_and_ignored_voxels_are_left_out() -> None:
    labels = Labels((Label("whole", (1, 2)), Label("core", (2,))), ignore=3)
    truth, found = label_map(1, 2, 3), label_map(1, 2, 2)
    metrics = evaluate_case(found, truth, labels)
    assert metrics["whole"].dice == metrics["core"].dice == 1.0


def write_pair(root: Path, truths: dict[str, Volume], predictions: dict[str, Volume]) -> tuple[Path, Path]:
    for folder, volumes in (("truth", truths), ("pred", predictions)):
        for case, volume in volumes.items():
            write_volume(volume, root / folder / f"{case}.nii.gz")
    return root / "pred", root / "truth"


def test_missing_prediction_is_a_failure_not_a_gap(tmp_path: Path) -> None:
    pred, truth = write_pair(tmp_path, {"a": label_map(1, 5), "b": label_map(1, 5)}, {"a": label_map(1, 5)})
    evaluation = evaluate_folders(pred, truth, LABELS)
    assert evaluation.missing == ["b"]
    assert evaluation.values("dice", "organ") == [1.0, 0.0]
    assert evaluation.summary()["missing"] == ["b"]


def test_labels_are_found_by_value(tmp_path: Path) -> None:
    pred, truth = write_pair(tmp_path, {"a": label_map(1, 207)}, {"a": label_map(1, 207)})
    assert len(evaluate_folders(pred, truth).labels) == 2


@pytest.mark.parametrize("missing", ["pred", "truth"])
def test_absent_or_unmatched_folders_are_refused(tmp_path: Path, missing: str) -> None:
    pred, truth = write_pair(tmp_path, {"a": label_map(1)}, {"other": label_map(1)})
    with pytest.raises(BadInput, match="no prediction has the name"):
        evaluate_folders(pred, truth, LABELS)
    with pytest.raises(BadInput, match="no such folder"):
        evaluate_folders(tmp_path / "x" if missing == "pred" else pred, tmp_path / "x" if missing == "truth" else truth)


def test_scans_of_a_patient_count_once() -> None:
    values, patients = [0.0] * 30 + [1.0] * 30, [name for name in "abcdef" for _ in range(10)]
    alone, clustered = mean_ci(values), mean_ci(values, patients)
    assert clustered == pytest.approx(mean_ci([0.0] * 3 + [1.0] * 3))
    assert clustered[1] - clustered[0] > 2 * (alone[1] - alone[0])


def test_summary_of_nothing_and_of_infinities() -> None:
    assert summarize([])["n"] == 0
    figures = summarize([1.0, math.inf, math.inf])
    assert figures["median"] == math.inf
    assert figures["infinite"] == 2
    assert not math.isnan(figures["q1"])
