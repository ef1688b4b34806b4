"""Post-processing in a run: gains on the held-out cases decide, are written down, and reach prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.evaluation import Evaluation
from voxloom.formats import read_label, read_volume
from voxloom.recipe.recipe import Recipe
from voxloom.runfiles import folders_of
from voxloom.tasks.segmentation.postprocessing import ChosenStep, is_kept, mean_volumes, planned_steps, used_steps
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.training.settings import InferenceSettings, PostprocessStep
from voxloom.verbs.evaluate import validate_run
from voxloom.verbs.run import Run
from voxloom.verbs.train import train

from .conftest import TINY, write_balls

STEPS = [
    "fill_holes",
    {"step": "remove_small", "amount": 1000},
    {"step": "remove_small", "amount": 0.002, "when": "always"},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Trained for a few steps only, so that predictions have scraps."""
    root = tmp_path_factory.mktemp("steps é")
    changes = {**TINY, "training.steps": 12, "training.validations": 1, "folds.hold_out": 0.5}
    changes |= {"inference.postprocess": [*STEPS, "largest_activation"]}
    return train(write_balls(root / "balls", 4), Recipe.load("auto").changed(changes), out=root / "run")


def test_gains_are_written_and_decide(run: Run) -> None:
    entries = run.summary["postprocess"]
    assert [(e["step"], e["label"]) for e in entries][:2] == [("fill_holes", "bright"), ("fill_holes", "dark")]
    assert len(entries) == 8
    for entry in entries:
        assert entry["used"] == (entry["when"] == "always" or entry["gain"] > 1e-4)
    removed = [e for e in entries if e["amount"] == 1000]
    assert not any(e["used"] for e in removed), "removing all there is cannot help"
    assert all(e["used"] for e in entries if e["amount"] == 0.002)
    assert entries[0]["amount"] == "inf"


def test_predictions_on_disk_are_those_of_the_run(run: Run) -> None:
    """What the figures were computed from is what ``predict`` gives, the fold being the only one."""
    dataset = Dataset(run.data["dataset"]["root"])
    predictor = Predictor.of(run)
    assert len(predictor.steps) == sum(e["used"] for e in run.summary["postprocess"])
    for path in sorted((run.folder / "fold_0" / "predictions").iterdir()):
        case = dataset[path.name.removesuffix(".nii.gz")]
        assert np.array_equal(predictor.predict(case.read_image()).data, read_label(path).data)


def test_a_step_that_helps_is_taken_and_raises_the_figures(run: Run, tmp_path: Path) -> None:
    """Scraps are drawn into the predictions; removing them must be found out to help."""
    dataset = Dataset(run.data["dataset"]["root"])
    path = next(iter((run.folder / "fold_0" / "predictions").iterdir()))
    before = Evaluation.read_csv(run.folder / "fold_0" / "metrics.csv").case_means("dice")
    from voxloom.formats import write_volume
    from voxloom.tasks.segmentation.postprocessing import postprocess_predictions

    case = dataset[path.name.removesuffix(".nii.gz")]
    truth = case.read_label()
    assert truth is not None
    spoiled = truth.data.copy()
    spoiled[0, 0, 0, 0] = 3
    copy = write_volume(truth.with_data(spoiled), tmp_path / "p.nii.gz")
    assert dataset.labels is not None
    planned = [ChosenStep("remove_small", label, 0.01) for label in ("bright", "dark")]
    decided = postprocess_predictions(
        planned, {case.id: copy}, dataset, dataset.labels, lambda name: pytest.fail("not needed")
    )
    assert [m.used for m in decided] == [True, False]
    assert decided[0].gain is not None
    assert 0 < decided[0].gain < 0.1
    assert np.array_equal(read_label(copy).data, truth.data)
    assert set(before) == {p.name.removesuffix(".nii.gz") for p in path.parent.iterdir()}


def test_probabilities_on_the_scans_grid_give_the_label_map(run: Run) -> None:
    predictor = Predictor.from_folds(folders_of(run.folds))
    scan = read_volume(Path(run.data["dataset"]["root"]) / "imagesTr" / "ball01_0000.nii.gz")
    found = predictor.probabilities(scan)
    assert found.shape == (3, *scan.shape)
    assert np.allclose(found.sum(axis=0), 1, atol=2e-3)
    same = np.array([0, 3, 207])[found.argmax(axis=0)] == predictor.predict(scan).data[0]
    assert same.mean() > 0.999


def test_mean_volume_of_one_piece() -> None:
    cases = [
        {"spacing": [1, 1, 2], "label_voxels": {"v": 3000}, "components": {"v": 3}},
        {"spacing": [1, 1, 1], "label_voxels": {"v": 2000}, "components": {"v": 1}},
    ]
    assert mean_volumes({"cases": cases}) == {"v": 2.0}


def test_steps_that_are_not_used_are_left_out() -> None:
    entry = {"step": "fill_holes", "label": "a", "amount": "inf", "mean_ml": None, "when": "auto", "gain": 0.1}
    known = used_steps({"postprocess": [{**entry, "used": True}, {**entry, "used": False}]})
    assert [m.amount for m in known] == [float("inf")]
    assert used_steps({}) == ()
    assert callable(validate_run)


def test_labels_are_ordered_by_their_height_and_named_once(run: Run) -> None:
    dataset = Dataset(run.data["dataset"]["root"])
    assert dataset.labels is not None
    settings = InferenceSettings.model_validate({"postprocess": ["name_in_order"]})
    (planned,) = planned_steps(settings, dataset.labels, run.data["fingerprint"], dataset)
    heights = {
        name: np.mean([(c.read_label().affine[2] @ [*np.argwhere(m).mean(0), 1]) for c in dataset for n, m in
                       dataset.labels.masks(c.read_label().data[0]) if n == name])
        for name in dataset.labels.names
    }  # fmt: skip
    assert planned.labels == tuple(sorted(heights, key=lambda name: -heights[name]))
    assert planned.mean_ml is not None
    told = InferenceSettings.model_validate({"postprocess": [{"step": "name_in_order", "labels": ["dark", "bright"]}]})
    assert planned_steps(told, dataset.labels, {}, dataset)[0].labels == ("dark", "bright")


def test_which_steps_are_kept() -> None:
    gains = (None, -0.01, 0.0, 0.01)
    assert [is_kept("auto", gain) for gain in gains] == [False, False, False, True]
    assert [is_kept("unless_worse", gain) for gain in gains] == [True, False, True, True]
    assert [is_kept("always", gain) for gain in gains] == [True, True, True, True]


def test_a_row_is_kept_unless_it_costs_dice() -> None:
    """It guards scans that show more of the row than those of training, and gains nothing on the held-out ones, which do not."""
    steps = InferenceSettings.model_validate({"postprocess": ["name_in_order", {"step": "name_in_order"}, "smooth"]})
    assert [step.when for step in steps.postprocess] == ["unless_worse", "unless_worse", "auto"]
    assert PostprocessStep.model_validate({"step": "name_in_order", "when": "auto"}).when == "auto"
