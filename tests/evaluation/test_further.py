"""Further metrics by hand, lesions, the conventions of HD95 and of empty masks, and grids that lean."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, fbeta_score, matthews_corrcoef

from voxloom.cli.app import run
from voxloom.dataset.labels import Label, Labels
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, evaluate_case, mask_metrics
from voxloom.evaluation.further import FURTHER, skeleton
from voxloom.evaluation.instances import find_structures
from voxloom.evaluation.lesions import MatchRule, match_lesions
from voxloom.evaluation.measures import Measures
from voxloom.evaluation.raters.consensus import consensus
from voxloom.formats import write_volume
from voxloom.notes import collect
from voxloom.recipe.recipe import Recipe
from voxloom.volume import Volume

ONE = Labels((Label("a", (1,)),))
EVERY = Measures(metrics=tuple(FURTHER), tolerance_mm=1.0)


def cube(at: int, size: int = 4) -> np.ndarray:
    mask = np.zeros((14, 14, 14), bool)
    mask[at : at + size, 4:8, 4:8] = True
    return mask


def volume(mask: np.ndarray, affine: np.ndarray | None = None) -> Volume:
    return Volume(mask.astype(np.uint8)[None], np.eye(4) if affine is None else affine)


def test_voxel_counts_agree_with_scikit_learn() -> None:
    a, b = cube(4), cube(6)
    found = mask_metrics(a, b, (1, 1, 1), measures=EVERY).further
    assert found["mcc"] == pytest.approx(matthews_corrcoef(b.ravel(), a.ravel()))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(b.ravel(), a.ravel()))
    assert found["f_beta"] == pytest.approx(fbeta_score(b.ravel(), a.ravel(), beta=2))
    assert found["specificity"] == pytest.approx(1 - 32 / (14**3 - 64))
    assert mask_metrics(cube(4, 5), cube(4), (1, 1, 1), measures=EVERY).further["relative_volume_error"] == 0.25


def test_surfaces_by_hand() -> None:
    """A cube of 4 moved by one voxel: both end faces lie 1 mm off, and voxels of the rim are at most 1 mm from the other's."""
    plate, moved = np.zeros((9, 6, 6), bool), np.zeros((9, 6, 6), bool)
    plate[2], moved[5] = True, True
    found = mask_metrics(plate, moved, (2, 1, 1), measures=EVERY.model_copy(update={"tolerance_mm": 6.0}))
    assert (found.further["masd"], found.further["nsd"]) == (6, 1)
    assert mask_metrics(plate, moved, (2, 1, 1), measures=EVERY).further["nsd"] == 0
    same = mask_metrics(plate, plate, (2, 1, 1), measures=EVERY).further
    assert {same[name] for name in ("nsd", "boundary_iou", "cldice", "mcc", "panoptic_quality", "lesion_f1")} == {1.0}
    assert same["masd"] == 0


def test_masd_weighs_both_directions_alike_where_assd_pools() -> None:
    small, large = cube(5, 1), cube(4)
    found = mask_metrics(small, large, (1, 1, 1), measures=EVERY)
    assert found.further["masd"] < found.assd, "the large surface counts for most of the pooled mean"


def test_boundary_iou_sees_the_rim_only() -> None:
    full, hollow = np.zeros((12, 12, 12), bool), np.zeros((12, 12, 12), bool)
    full[1:11, 1:11, 1:11] = hollow[1:11, 1:11, 1:11] = True
    shifted = np.roll(full, 1, axis=0)
    found = mask_metrics(shifted, full, (1, 1, 1), measures=EVERY.model_copy(update={"tolerance_mm": 0.5}))
    assert found.further["boundary_iou"] < found.iou - 0.2


def test_centerline_dice_forgives_width_and_not_gaps() -> None:
    tube = np.zeros((30, 9, 9), bool)
    tube[1:29, 3:6, 3:6] = True
    wide = np.zeros_like(tube)
    wide[1:29, 2:7, 2:7] = True
    cut = tube.copy()
    cut[10:20] = False
    assert skeleton(tube)[5, 4, 4]
    assert mask_metrics(wide, tube, (1, 1, 1), measures=EVERY).further["cldice"] > 0.95
    assert mask_metrics(wide, tube, (1, 1, 1)).dice < 0.6
    assert mask_metrics(cut, tube, (1, 1, 1), measures=EVERY).further["cldice"] < 0.85


def test_the_skeleton_is_what_openings_lose() -> None:
    from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter

    mask = gaussian_filter(np.random.default_rng(0).normal(size=(30, 24, 20)), 2) > 0.02
    left, expected = np.pad(mask, 1), np.zeros((32, 26, 22), bool)
    while left.any():
        smaller = binary_erosion(left)
        expected |= left & ~binary_dilation(smaller, np.ones((3, 3, 3), bool))
        left = smaller
    assert np.array_equal(skeleton(mask), expected[1:-1, 1:-1, 1:-1])


def test_lesions_are_matched_by_the_chosen_rule() -> None:
    truth, found = np.zeros((20, 8, 8), bool), np.zeros((20, 8, 8), bool)
    truth[1:5, 1:5, 1:5] = truth[10:14, 1:5, 1:5] = truth[17:19, 6:8, 6:8] = True
    found[1:5, 1:5, 2:5] = found[13:17, 1:5, 1:5] = found[1:2, 7:8, 7:8] = True
    by = {rule: match_lesions(found, truth, MatchRule(rule, 0.3)) for rule in ("overlap", "iou", "center")}
    assert [(m.found, m.missed, m.invented) for m in by.values()] == [(2, 1, 1), (1, 2, 2), (1, 2, 2)]
    assert by["iou"].f1 == pytest.approx(2 / 6)
    assert by["iou"].panoptic_quality == pytest.approx(0.75 / 3)
    assert by["overlap"].recall == pytest.approx(2 / 3)


def test_hd95_is_directed_or_pooled() -> None:
    """A speck far away is a small share of one surface: the directed percentile drops it, or not, by its own side's size."""
    truth = cube(4, 6)
    speck = np.zeros_like(truth)
    speck[13, 13, 13] = True
    directed = mask_metrics(speck, truth, (1, 1, 1))
    pooled = mask_metrics(speck, truth, (1, 1, 1), measures=Measures(hd95="pooled"))
    assert directed.hd95 != pooled.hd95
    assert "pooled" in Measures(hd95="pooled").notes()[0]


@pytest.mark.parametrize(
    ("rule", "both", "missed", "invented"),
    [
        ("convention", (1.0, 0.0), (0.0, math.inf), (0.0, math.inf)),
        ("left_out", (math.nan, math.nan), (0.0, math.inf), (math.nan, math.nan)),
        ("penalty", (1.0, 0.0), (0.0, math.sqrt(3) * 14), (0.0, math.sqrt(3) * 14)),
    ],
)
def test_empty_masks_by_the_chosen_rule(rule, both, missed, invented) -> None:
    nothing, some = np.zeros((14, 14, 14), bool), cube(4)
    measures = EVERY.model_copy(update={"empty": rule})
    for (found, true), expected in (((nothing, nothing), both), ((nothing, some), missed), ((some, nothing), invented)):
        result = mask_metrics(found, true, (1, 1, 1), measures=measures)
        assert (result.dice, result.hd95) == pytest.approx(expected, nan_ok=True)
        assert result.further["nsd"] == pytest.approx(expected[0], nan_ok=True)
        assert result.further["masd"] == pytest.approx(expected[1], nan_ok=True)


def test_undefined_values_are_counted_and_survive_the_table(tmp_path: Path) -> None:
    evaluation = Evaluation(ONE.names, measures=EVERY.model_copy(update={"empty": "left_out"}))
    for case, (found, true) in {"x": (cube(4), cube(4)), "y": (cube(4), cube(4) & False)}.items():
        evaluation.add(case, evaluate_case(volume(found), volume(true), ONE, evaluation.measures))
    summary = evaluation.summary()
    assert (summary["dice"]["a"]["n"], summary["dice"]["a"]["undefined"], summary["dice"]["a"]["mean"]) == (1, 1, 1.0)
    assert any(line.startswith("Empty masks: truth empty: left out") for line in summary["conventions"])
    again = Evaluation.read_csv(evaluation.write_csv(tmp_path / "metrics.csv"))
    assert again.metrics == evaluation.metrics
    assert again.rows[0].metrics.further == pytest.approx(evaluation.rows[0].metrics.further)


def test_leaning_axes_are_refused_and_volumes_of_them_right() -> None:
    affine = np.eye(4)
    affine[1, 2] = math.tan(math.radians(20))
    tilted = volume(cube(4), affine)
    assert tilted.voxel_size == pytest.approx(1.0), "shear keeps volumes; the axes' lengths say 6 % more"
    assert find_structures(tilted, ONE).found[0].ml == pytest.approx(0.064)
    with pytest.raises(BadInput, match="lean by 20"):
        evaluate_case(tilted, tilted, ONE)
    turned = np.eye(4)
    turned[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    assert evaluate_case(volume(cube(4), turned), volume(cube(4), turned), ONE)["a"].dice == 1


def test_more_structures_than_sixteen_bits() -> None:
    from voxloom.evaluation.instances import _from_head_to_feet

    pieces = np.arange(1, 70_001, dtype=np.uint32).reshape(70, 100, 10)
    found = _from_head_to_feet(pieces, ["a"] * 70_000, np.eye(4), 0.001)
    assert len(found.found) == 70_000 == found.numbers.max()
    assert len(np.unique(found.numbers)) == 70_000


def test_staple_of_two_raters_is_told() -> None:
    with collect() as notes:
        consensus([volume(cube(4)), volume(cube(5))], ONE, "staple")
    assert "two raters only" in notes[0].text


def test_the_command_takes_metrics_and_conventions(tmp_path: Path, capsys) -> None:
    for folder, at in (("pred", 4), ("truth", 5)):
        write_volume(volume(cube(at)), tmp_path / folder / "x.nii.gz")
    folders = ["evaluate", "--pred", str(tmp_path / "pred"), "--truth", str(tmp_path / "truth")]
    assert run([*folders, "--metrics", "nsd,masd", "--measures", "hd95=pooled,tolerance_mm=2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert next(iter(told["nsd"].values()))["mean"] == 1
    assert told["conventions"][0].endswith("pooled")
    assert run([*folders, "--metrics", "nds"]) == 2
    assert "no metric 'nds'" in capsys.readouterr().err
    assert run([*folders, "--measures", "hd59=pooled"]) == 2
    assert run(["evaluate", str(tmp_path), "--metrics", "nsd"]) == 2


def test_a_recipe_names_metrics() -> None:
    recipe = Recipe.check({"evaluate": {"metrics": ["nsd"], "tolerance_mm": {"a": 2}}}, "test")
    assert Measures.model_validate(recipe.evaluate).tolerance("a") == 2
    with pytest.raises(BadInput, match="no tolerance for label b"):
        Measures.model_validate(recipe.evaluate).tolerance("b")
    with pytest.raises(BadInput, match="no metric"):
        Recipe.check({"evaluate": {"metrics": ["dicee"]}}, "test")
