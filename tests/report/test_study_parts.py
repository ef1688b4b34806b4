"""Sections of a run's page that single studies ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxloom.evaluation import Evaluation, MaskMetrics
from voxloom.evaluation.slice_table import SliceRow, SliceTable
from voxloom.report.figures import curves
from voxloom.report.raw_part import raw_part
from voxloom.report.slice_part import shown_cases, slice_part
from voxloom.report.source_part import source_columns, source_parts
from voxloom.report.structure_part import agreement_part
from voxloom.report.volume_part import volume_part


def metrics(dice: float, hd: float, volume: float = 10.0, objects: float = 1.0) -> MaskMetrics:
    return MaskMetrics(dice, dice, dice, dice, hd, hd, hd, volume, volume + 1, -1.0, "ok", "mm", objects, 1.0)


def cases(count: int = 6) -> Evaluation:
    evaluation = Evaluation(["tumor"])
    for n in range(count):
        evaluation.add_before(f"c{n}", {"tumor": metrics(0.5, 30 + n, objects=n + 1)})
        evaluation.add(f"c{n}", {"tumor": metrics(0.6 + 0.05 * n, 20 - n, volume=10.0 + n)})
    return evaluation


def test_raw_and_processed_stand_side_by_side_with_objects() -> None:
    part = raw_part("Held-out cases", cases())
    assert part is not None
    assert part.table is not None
    row = dict(zip(part.table["head"], part.table["rows"][0], strict=True))
    assert row["raw Dice"] == "0.500 ± 0.000"
    assert row["post-processed Dice"] == "0.725 ± 0.094"
    assert row["raw HD mm"] == "32.500 ± 1.871"
    assert row["objects per case, raw"] == "3.5 (1 to 6)"
    assert row["after"] == "1 (1 to 1)"
    assert len(part.pictures) == 1
    assert raw_part("Held-out cases", Evaluation(["tumor"], cases().rows)) is None


def test_sources_have_a_table_and_a_violin_each() -> None:
    records = {f"c{n}": {"attributes": {"Source": "IXI" if n < 2 else "ABIDE", "age": 20 + n}} for n in range(6)}
    assert list(source_columns(records, list(records))) == ["Source"]
    (part,) = source_parts("Test cases", cases(), records)
    assert part.table is not None
    assert part.table["rows"] == [
        ["ABIDE", 4, "0.775 (0.065)", "0.775 (0.065)", "16.5 (1.3)"],
        ["IXI", 2, "0.625 (0.035)", "0.625 (0.035)", "19.5 (0.7)"],
    ]
    assert len(part.pictures) == 1
    assert not list(source_parts("Test cases", cases(), {}))


def test_volume_is_set_against_dice_and_hausdorff_distance() -> None:
    part = volume_part("Held-out cases", cases())
    assert part is not None
    assert part.table is not None
    row = part.table["rows"][0]
    head = part.table["head"]
    assert row[head.index("ρ of volume and Dice")].startswith("1.00")
    assert row[head.index("ρ of volume and HD")].startswith("-1.00")


def test_slices_of_the_worst_and_best_cases_are_drawn(tmp_path: Path) -> None:
    rows = [SliceRow(f"c{n}", f"c{n}", "bone", k, 0.1 * n if k else 1.0, k > 0) for n in range(6) for k in range(4)]
    table = SliceTable(rows)
    assert shown_cases(table, "bone") == ["c0", "c1", "c4", "c5"]
    part = slice_part("Test cases", table.write_csv(tmp_path / "slices.csv"))
    assert part is not None
    assert part.table is not None
    assert part.table["rows"][0][:2] == ["bone", 24]
    assert [p["caption"] for p in part.pictures] == ["bone in c0", "bone in c1", "bone in c4", "bone in c5"]
    assert slice_part("Test cases", tmp_path / "none.csv") is None


def test_volumes_of_single_structures_agree_by_number_and_patient(tmp_path: Path) -> None:
    lines = ["case,patient,number,label,predicted_number,predicted_label,volume_ml_truth,volume_ml_prediction"]
    for n in range(4):
        lines += [f"c{n},p{n},{k},L{k},{k},L{k},{20 + k + n},{20 + k + n + 0.5 + 0.1 * n}" for k in (1, 2)]
    lines.append("c4,p4,3,L3,,,20,0")  # missed
    (tmp_path / "structures.csv").write_text("\n".join(lines))
    part = agreement_part("Held-out cases", tmp_path / "structures.csv")
    assert part is not None
    assert part.table is not None
    assert [row[:2] for row in part.table["rows"]] == [["all", 8], ["1 L1", 4], ["2 L2", 4]]
    assert part.table["rows"][0][2].startswith("0.650")
    assert len(part.pictures) == 1


def test_losses_share_a_plot_and_distances_have_their_own() -> None:
    steps = np.array([1.0, 2.0])
    columns = {"step": steps, "train_loss": steps, "val_loss": steps + 1, "val_dice_a": steps / 4}
    left, _ = curves(columns).axes
    assert [line.get_label() for line in left.lines] == ["training", "validation"]
    np.testing.assert_array_equal(left.lines[1].get_ydata(), [2.0, 3.0])
    *_, right = curves({**columns, "val_hd": np.array([np.inf, 3.0]), "val_hd95": steps}).axes
    assert [line.get_label() for line in right.lines] == ["HD", "HD95"]
    assert len(curves({**columns, "val_loss": np.array([np.nan] * 2)}).axes[0].lines) == 1
