"""Figures that single studies ask for: the total Dice, objects per case, raw beside post-processed, Dice per slice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run as voxloom
from voxloom.dataset import Label, Labels
from voxloom.evaluation import Evaluation, evaluate_case, robustness
from voxloom.evaluation.slice_table import SliceTable, axis_across, thick_plane
from voxloom.formats import write_volume
from voxloom.volume import Volume

LABELS = Labels((Label("kidney", (1,)), Label("tumor", (2,))))


def volume(data: np.ndarray, affine: np.ndarray | None = None) -> Volume:
    return Volume(data.astype(np.uint8)[None], np.eye(4) if affine is None else affine)


def maps() -> tuple[Volume, Volume]:
    """Kidney of 80 voxels found whole, tumor of 20 voxels of which 10 are found in a piece and 2 beside it, one by one."""
    true = np.zeros((10, 10, 4), np.uint8)
    true[:, :8, 0], true[:5, 4:8, 2] = 1, 2
    found = np.where(true == 2, 0, true)
    found[:5, 4:6, 2] = 2
    found[8, 1, 2] = found[8, 9, 2] = 2
    return volume(found), volume(true)


def test_total_dice_pools_the_voxels_of_all_structures() -> None:
    evaluation = Evaluation(LABELS.names)
    evaluation.add("a", evaluate_case(*maps(), LABELS))
    empty = volume(np.zeros((4, 4, 4)))
    evaluation.add("b", evaluate_case(empty, empty, LABELS))
    kidney, tumor = 1.0, 2 * 10 / (12 + 20)
    assert evaluation.totals() == {"a": pytest.approx(2 * (80 + 10) / (80 + 80 + 12 + 20)), "b": 1.0}
    dice = evaluation.summary()["dice"]
    assert dice["total"]["min"] == pytest.approx(0.9375)
    assert dice["mean"]["min"] == pytest.approx((kidney + tumor) / 2)
    assert "total" not in evaluation.summary()["hd95"]


def test_total_dice_has_a_spread_over_folds_and_one_label_has_none() -> None:
    folds = {}
    for name, pair in (("fold_0", maps()), ("fold_1", (maps()[1], maps()[1]))):
        folds[name] = Evaluation(LABELS.names)
        folds[name].add(name, evaluate_case(*pair, LABELS))
    assert robustness(folds)["total"]["folds"] == {"fold_0": pytest.approx(0.9375), "fold_1": 1.0}
    alone = Evaluation(["kidney"])
    alone.add("a", evaluate_case(*maps(), Labels((Label("kidney", (1,)),))))
    assert set(alone.summary()["dice"]) == {"kidney"}


def test_objects_are_counted_in_both_masks(tmp_path: Path) -> None:
    evaluation = Evaluation(LABELS.names)
    evaluation.add("a", evaluate_case(*maps(), LABELS))
    assert evaluation.values("objects_prediction", "tumor") == [3.0]
    assert evaluation.values("objects_truth", "tumor") == [1.0]
    table = evaluation.write_csv(tmp_path / "metrics.csv")
    assert Evaluation.read_csv(table).rows == evaluation.rows
    header, *lines = table.read_text().splitlines()
    cut = [n for n, name in enumerate(header.split(",")) if not name.startswith("objects")]
    table.write_text("\n".join(",".join(np.array(line.split(","))[cut]) for line in (header, *lines)))
    assert np.isnan(Evaluation.read_csv(table).values("objects_truth", "tumor")).all()  # of an earlier version


def test_figures_before_post_processing_stand_beside_those_after(tmp_path: Path) -> None:
    evaluation = Evaluation(LABELS.names)
    found, true = maps()
    evaluation.add_before("a", evaluate_case(found, true, LABELS))
    evaluation.add("a", evaluate_case(true, true, LABELS))
    again = Evaluation.read_csv(evaluation.write_csv(tmp_path / "metrics.csv"))
    raw = again.summary()["raw"]
    assert raw["dice"]["tumor"]["mean"] == pytest.approx(0.625)
    assert raw["hd"]["tumor"]["mean"] > 0
    assert raw["objects_prediction"]["tumor"]["mean"] == 3
    assert again.summary()["dice"]["tumor"]["mean"] == 1
    assert "raw" not in Evaluation(LABELS.names, again.rows).summary()
    Evaluation(LABELS.names, again.rows).write_csv(tmp_path / "metrics.csv")
    assert not (tmp_path / "metrics_raw.csv").exists()  # nothing of an earlier evaluation stays


def test_dice_of_slices_is_one_number_with_and_without_empty_ones(tmp_path: Path) -> None:
    found, true = maps()
    table = SliceTable()
    table.add("a", found, true, LABELS, "axial", patient="p")
    assert [(row.slice, row.dice, row.truth) for row in table.of_case("a", "kidney")] == [
        (0, 1.0, True), (1, 1.0, False), (2, 1.0, False), (3, 1.0, False),
    ]  # fmt: skip
    tumor = table.summary()["tumor"]
    assert tumor["all"]["mean"] == pytest.approx((3 + 0.625) / 4)
    assert (tumor["with_truth"]["n"], tumor["with_truth"]["mean"]) == (1, pytest.approx(0.625))
    assert SliceTable.read_csv(table.write_csv(tmp_path / "slices.csv")).summary() == table.summary()


def test_slices_lie_in_an_anatomical_plane_whatever_the_file() -> None:
    affine = np.array(
        [[0.1, 0, 5.0, 0], [1.0, 0, 0, 0], [0, 1.0, 0.2, 0], [0, 0, 0, 1]]
    )  # i to the front, j to the head
    one = volume(np.zeros((3, 4, 5)), affine)
    assert [axis_across(one, plane) for plane in ("sagittal", "coronal", "axial")] == [2, 0, 1]
    assert thick_plane(one) == "sagittal"
    assert thick_plane(volume(np.zeros((3, 3, 3)))) == "axial"


def test_ignored_voxels_count_in_no_slice() -> None:
    labels = Labels((Label("kidney", (1,)),), ignore=9)
    true = np.zeros((4, 4, 2))
    true[:2, :, 0], true[2:, :, 0] = 1, 9
    table = SliceTable()
    table.add("a", volume(np.where(true == 9, 1, true)), volume(true), labels, "axial")
    assert [row.dice for row in table.rows] == [1.0, 1.0]


def test_slices_of_two_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, true = maps()
    write_volume(found, tmp_path / "pred" / "a.nii.gz")
    write_volume(true, tmp_path / "truth" / "a.nii.gz")
    folders = ["--pred", str(tmp_path / "pred"), "--truth", str(tmp_path / "truth"), "--labels", "kidney=1,tumor=2"]
    assert voxloom(["evaluate", *folders, "--slices", "axial", "-o", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["slices"]
    assert told["planes"] == ["axial"]
    assert told["tumor"]["with_truth"]["mean"] == pytest.approx(0.625)
    assert len(SliceTable.read_csv(tmp_path / "out" / "slices.csv").rows) == 8
