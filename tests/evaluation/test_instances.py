"""Structures: told apart where they touch, numbered in the patient, matched with the true ones."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from voxloom.dataset import Label, Labels
from voxloom.errors import BadInput
from voxloom.evaluation.instances import Structures, find_structures, match_structures
from voxloom.evaluation.structure_table import StructureTable, write_predicted
from voxloom.evaluation.touching import split_touching
from voxloom.phantom import make_phantom
from voxloom.volume import Volume

ONE = Labels((Label("vertebra", (1,)),))
FIVE = Labels(tuple(Label(f"L{n}", (n,)) for n in range(1, 6)))


def ball(shape: tuple[int, int, int], center: tuple[float, float, float], radius: float, spacing=(1.0, 1.0, 1.0)):
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    return (((grid - center) * spacing) ** 2).sum(-1) < radius**2


def column(shape: tuple[int, int, int] = (15, 15, 60), step: int = 12) -> np.ndarray:
    """Five balls that touch, along the last axis."""
    return np.any([ball(shape, (7, 7, 6 + step * n), 6.7) for n in range(5)], axis=0)


def place(z_up: bool, axis: int) -> np.ndarray:
    """An affine in which array axis ``axis`` runs up or down in the patient."""
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    others = [a for a in range(3) if a != axis]
    affine[2, axis] = 1 if z_up else -1
    affine[0, others[0]] = affine[1, others[1]] = 1
    return affine


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (4.0, 1.0, 1.0)])
def test_touching_balls_are_cut_and_whole_ones_are_not(spacing: tuple[float, float, float]) -> None:
    shape = (9, 24, 44) if spacing[0] > 1 else (25, 24, 44)
    middle = (shape[0] - 1) / 2
    pair = ball(shape, (middle, 12, 12), 10, spacing) | ball(shape, (middle, 12, 30), 10, spacing)
    assert ndimage.label(pair)[1] == 1
    parts = split_touching(pair, spacing)
    assert parts.max() == 2
    assert np.array_equal(parts > 0, pair)
    assert parts[int(middle), 12, 12] != parts[int(middle), 12, 30]
    assert split_touching(ball(shape, (middle, 12, 12), 10, spacing), spacing).max() == 1
    overlapping = ball(shape, (middle, 12, 16), 10, spacing) | ball(shape, (middle, 12, 22), 10, spacing)
    assert split_touching(overlapping, spacing).max() == 1, "a waist is not a neck"


@pytest.mark.parametrize("slices", [1, 5])
@pytest.mark.parametrize("thick", [1.0, 4.0])
def test_a_slice_is_cut_in_its_plane(slices: int, thick: float) -> None:
    """As the middle slices of a volume are: the border of the image is not that of the structure."""
    x, y = np.mgrid[:60, :40]
    discs = ((x - 18) ** 2 + (y - 20) ** 2 <= 100) | ((x - 39) ** 2 + (y - 20) ** 2 <= 100)
    neck = (abs(y - 20) <= 2) & (x > 20) & (x < 38)
    parts = split_touching(np.repeat((discs | neck)[:, :, None], slices, 2), (1.0, 1.0, thick))
    assert parts.max() == 2
    assert parts[18, 20, 0] != parts[39, 20, 0]
    assert split_touching(np.ones((6, 6, slices), bool), (1.0, 1.0, thick)).max() == 1, "a piece without any border"


def test_small_parts_join_and_small_pieces_are_left_out() -> None:
    shape = (24, 24, 44)
    knob = ball(shape, (12, 12, 14), 9) | ball(shape, (12, 12, 27), 4.2)
    assert split_touching(knob, (1, 1, 1)).max() == 2
    joined = split_touching(knob, (1, 1, 1), smallest=400)
    assert joined.max() == 1
    assert np.array_equal(joined > 0, knob)
    apart = ball(shape, (12, 12, 14), 9) | ball(shape, (12, 12, 35), 3)
    assert split_touching(apart, (1, 1, 1), smallest=200)[12, 12, 35] == 0
    assert split_touching(np.zeros(shape, bool), (1, 1, 1)).max() == 0


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("z_up", [True, False])
def test_numbers_count_from_the_head_whatever_the_array(axis: int, z_up: bool) -> None:
    data = np.moveaxis(column(), 2, axis).astype(np.uint8)
    found = find_structures(Volume(data[None], place(z_up, axis)), ONE, ["vertebra"])
    assert [s.number for s in found.found] == [1, 2, 3, 4, 5]
    heights = [s.center[2] for s in found.found]
    assert heights == sorted(heights, reverse=True)
    along = [found.numbers[tuple(7 if a != axis else 6 + 12 * n for a in range(3))] for n in range(5)]
    assert along == ([5, 4, 3, 2, 1] if z_up else [1, 2, 3, 4, 5])
    assert sum(s.ml for s in found.found) == pytest.approx(data.sum() / 1000)


def test_vertebrae_of_a_phantom_that_grew_together_are_five() -> None:
    case = make_phantom("lumbar-mr", 3)
    true = np.where(case.label.data <= 5, case.label.data, 0)
    grown = ndimage.binary_dilation(true[0] > 0, ndimage.generate_binary_structure(3, 1), iterations=1)
    assert ndimage.label(grown)[1] < 5
    label = case.label.with_data(true)
    found = find_structures(label.with_data(grown[None].astype(np.uint8)), ONE, ["vertebra"], {"vertebra": 2.0})
    matches = match_structures(found, find_structures(label, FIVE), label.spacing)
    assert [(m.truth.label, m.prediction.number) for m in matches if m.truth and m.prediction] == [
        (f"L{n}", n) for n in range(1, 6)
    ]
    assert min(m.metrics.dice for m in matches) > 0.75


def test_merged_values_and_single_labels_are_structures_of_their_own() -> None:
    data = np.zeros((1, 4, 4, 12), np.uint8)
    data[0, :, :, 0:3], data[0, :, :, 3:6], data[0, 0, 0, 9] = 1, 2, 2
    volume = Volume(data, np.eye(4))
    merged = Labels((Label("vertebra", (1, 2)),))
    by_value = find_structures(volume, merged, ["vertebra"])
    assert [round(s.ml * 1000) for s in by_value.found] == [49, 48], "a value is one structure, torn or not"
    assert len(find_structures(volume, merged).found) == 1
    named = find_structures(volume, Labels((Label("upper", (2,)), Label("lower", (1,)), Label("none", (3,)))))
    assert [(s.number, s.label) for s in named.found] == [(1, "upper"), (2, "lower")]
    with pytest.raises(BadInput, match="no label is called vertebrae"):
        find_structures(volume, ONE, ["vertebrae"])


def scored(prediction: np.ndarray) -> StructureTable:
    """A prediction against the column, whose structure 1 is the lowest index (the axis runs down)."""
    affine = place(False, 2)
    true = find_structures(Volume(column()[None].astype(np.uint8), affine), ONE, ["vertebra"])
    found = find_structures(Volume(prediction[None].astype(np.uint8), affine), ONE, ["vertebra"])
    table = StructureTable()
    table.add("a", match_structures(found, true, (1, 1, 1)), patient="p")
    return table


def test_missed_and_extra_structures_are_counted(tmp_path: Path) -> None:
    perfect = scored(column()).summary()
    assert (perfect["true"], perfect["found"], perfect["same_number"], perfect["extra"]) == (5, 5, 5, 0)
    assert perfect["dice"]["all"]["mean"] == 1.0
    assert list(perfect["dice"]) == ["all", *(f"{n} vertebra" for n in range(1, 6))]
    spoiled = column()
    spoiled[:, :, :12] = False  # the first is missed, so the others count one less
    spoiled[0, 0, 59] = True  # and a speck is one too many
    table = scored(spoiled)
    figures = table.summary()
    assert (figures["found"], figures["missed"], figures["extra"], figures["same_number"]) == (4, 1, 1, 0)
    assert figures["same_label"] == 4
    assert figures["dice"]["1 vertebra"]["mean"] == 0.0
    assert 0.78 < figures["dice"]["all"]["mean"] < 0.8
    with table.write_csv(tmp_path / "structures.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert [(r["number"], r["predicted_number"]) for r in rows] == [
        ("1", ""), ("2", "1"), ("3", "2"), ("4", "3"), ("5", "4"), ("", "5"),
    ]  # fmt: skip
    assert rows[0]["hd95"] == "inf"
    assert float(rows[1]["z"]) == pytest.approx(-18, abs=0.5)


def test_ignored_voxels_count_nowhere() -> None:
    numbers = np.zeros((2, 2, 2), np.uint16)
    numbers[0] = 1
    volume = Volume((numbers[None] > 0).astype(np.uint8), np.eye(4))
    true = find_structures(volume, ONE)
    half = Structures(np.where(np.arange(2)[None, :, None] == 0, numbers, 0).astype(np.uint16), true.found)
    valid = np.broadcast_to(np.arange(2)[None, :, None] == 0, numbers.shape)
    assert match_structures(half, true, (1, 1, 1))[0].metrics.dice == pytest.approx(2 / 3)
    assert match_structures(half, true, (1, 1, 1), valid)[0].metrics.dice == 1.0


def test_volumes_of_predictions_are_a_table(tmp_path: Path) -> None:
    found = find_structures(Volume(column()[None].astype(np.uint8), place(False, 2)), ONE, ["vertebra"])
    lines = write_predicted(tmp_path / "v.csv", [("a", found.found)]).read_text().splitlines()
    assert lines[0] == "case,number,label,volume_ml,x,y,z"
    assert len(lines) == 6
    assert lines[1].startswith("a,1,vertebra,1.2")
