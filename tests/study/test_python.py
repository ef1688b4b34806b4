"""Voxloom from Python: data set, training, run and figures as a notebook has them, on two tasks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import voxloom as vx
from tests.tasks.scans import write_scans
from voxloom.cli.app import run as command
from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe
from voxloom.training.migration import FORMAT
from voxloom.verbs.overrides import Overrides

pytestmark = pytest.mark.drawn

SMALL = {
    "device": "cpu",
    "folds.hold_out": 0.25,
    "training.patch": [16, 16, 12],
    "training.batch": 2,
    "training.steps": 4,
    "training.validations": 1,
    "training.precision": "fp32",
}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tables of twelve cases for two tasks, and of four further ones."""
    root = tmp_path_factory.mktemp("python")
    places = {task: root / task for task in ("segmentation", "classification", "more")}
    for place in places.values():
        place.mkdir()
    return {
        "segmentation": write_scans(places["segmentation"], "segmentation", range(12)),
        "classification": write_scans(places["classification"], "classification", range(12)),
        "more": write_scans(places["more"], "segmentation", range(20, 28)),
    }


@pytest.fixture(scope="module")
def run(sets: dict[str, Path]) -> vx.Run:
    """A run on label maps."""
    recipe = Recipe.load("auto").changed({**SMALL, "network.features": [4, 8, 8]})
    return vx.train(sets["segmentation"], recipe, out=sets["segmentation"].parent / "run")


def test_training_tells_where_it_is(sets: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recipe = Recipe.load("auto").changed({**SMALL, "task": "classification", "network.features": [4, 8, 8]})
    made = vx.train(sets["classification"], recipe, out=tmp_path / "run", epochs=2)
    told = capfd.readouterr().err
    answer = made.predict(sets["classification"].parent / "s1.nii.gz")
    assert f"<b>Class: {answer.prediction}</b>" in answer._repr_html_()
    assert "<td>many</td>" in answer._repr_html_()
    assert "Training fold 0: step 9/9  loss" in told  # two passes over nine cases, two to a batch
    assert "AUC" in made._repr_html_()
    assert "<table>" in made._repr_html_()


def test_epochs_and_a_budget_contradict(sets: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="epochs"):
        vx.train(sets["segmentation"], epochs=2, budget="10m", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_splits_are_named_by_a_text_or_a_path() -> None:
    for named in ("splits_final.json", Path("splits_final.json")):
        assert Overrides(folds=named).applied(Recipe()).folds.file == Path("splits_final.json")


def test_a_data_set_shows_its_cases(sets: dict[str, Path], tmp_path: Path) -> None:
    data = vx.Dataset(sets["segmentation"])
    figure = data.show(tmp_path / "cases.png", cases=["s3", "s1"])
    titles = [axes.get_title() for axes in figure.axes]
    assert any(title.startswith("s3") for title in titles)
    assert any(title.startswith("s1") for title in titles)
    assert sum(len(axes.collections) for axes in figure.axes) > 0  # contours of the labels
    assert figure._repr_png_().startswith(b"\x89PNG")  # as the last line of a cell
    assert (tmp_path / "cases.png").stat().st_size > 1000
    assert "<pre>name:" in data._repr_html_()
    assert "12 patients" in data._repr_html_()
    assert isinstance(data.training, vx.Dataset)
    with pytest.raises(BadInput, match="there is no case"):
        data.show(cases=["s99"])


def test_classes_stand_above_their_cases(sets: dict[str, Path]) -> None:
    figure = vx.Dataset(sets["classification"]).show(most=2)
    assert any("s0: few" in axes.get_title().replace("\n", " ") for axes in figure.axes)


def test_one_scan_a_pair_of_channels_or_a_list(run: vx.Run, sets: dict[str, Path]) -> None:
    files = [sets["more"].parent / f"s{n}.nii.gz" for n in (20, 21)]
    one, other = run.predict(files)
    assert np.array_equal(one.data, run.predict(files[0]).data)
    assert repr(one) == "Volume(1 x 16 x 16 x 12 uint8, 2 x 2 x 2 mm, RAS)"
    assert np.array_equal(other.data, run.predict(vx.read_volume(files[1])).data)
    with pytest.raises(BadInput, match="2 channel"):
        run.predict((files[0], files[1]))


def test_networks_and_batches_are_torch(run: vx.Run) -> None:
    image, target = next(iter(run.loader()))
    assert image.shape[:2] == (2, 1)
    assert target.shape[0] == 2
    again, _ = next(iter(run.loader()))
    assert torch.equal(image, again)
    later, _ = next(iter(run.loader(first=1)))
    assert not torch.equal(image, later)
    with torch.inference_mode():
        answer = run.network(image)
    answer = answer[0] if isinstance(answer, (tuple, list)) else answer
    assert answer.shape[0] == 2
    assert torch.isfinite(answer).all()
    assert len(run.networks) == len(run.folds)


def test_figures_as_a_frame(run: vx.Run, sets: dict[str, Path]) -> None:
    found = run.evaluate(sets["more"])
    frame = found.frame
    assert set(frame["case"]) == {f"s{n}" for n in range(20, 28)}
    means = found.evaluation.case_means("dice")
    assert frame.groupby("case")["dice"].mean().to_dict() == pytest.approx(means, abs=1e-6)
    assert "<table>" in found._repr_html_()
    lines = repr(found).splitlines()  # what print shows: a table, not the rows of all cases
    assert lines[0].startswith("Dice, ")
    assert lines[1].split()[:3] == ["label", "Dice", "mean"]
    assert len(lines) < 12
    assert repr(found.evaluation) == "Evaluation(8 cases of 8 patients: label_1)"


def test_fine_tuning_starts_from_the_weights(run: vx.Run, sets: dict[str, Path], tmp_path: Path) -> None:
    tuned = run.fine_tune(sets["more"], epochs=1, learning_rate=1e-9, out=tmp_path / "tuned")
    assert tuned.recipe.init.run == run.folder
    assert tuned.recipe.init.part == "all"
    assert {case["id"] for case in tuned.data["cases"]} == {f"s{n}" for n in range(20, 28)}
    before, after = run.network.state_dict(), tuned.network.state_dict()
    assert all(torch.allclose(before[name], after[name], atol=1e-4) for name in before)


def test_find_lr_shows_its_plot(run: vx.Run, tmp_path: Path) -> None:
    found = run.find_lr(out=tmp_path / "rates", steps=12)
    assert found.suggestion > 0
    assert found.plot.is_file()
    assert "data:image/png;base64," in found._repr_html_()


def test_a_run_whose_data_set_moved_still_shows_it(run: vx.Run, sets: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "moved"
    shutil.copytree(run.folder, copy / "run")
    shutil.copytree(sets["segmentation"].parent, copy / "data", ignore=shutil.ignore_patterns("run", "cache"))
    about = json.loads((copy / "run" / "data.json").read_text())
    about["dataset"]["root"] = str(tmp_path / "gone")
    (copy / "run" / "data.json").write_text(json.dumps(about))
    with pytest.raises(BadInput, match="gone"):
        vx.Run(copy / "run").show_results(tmp_path / "results.png")
    picture = ["show", "results", str(copy / "run"), "-o", str(tmp_path / "results.png")]
    assert command([*picture, "--data", str(copy / "data" / "cases.csv")]) == 0
    assert (tmp_path / "results.png").is_file()


def test_weights_of_a_later_voxloom_are_refused(run: vx.Run, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "run")
    about = tmp_path / "run" / "fold_0" / "model.json"
    known = json.loads(about.read_text())
    assert known["format"] == FORMAT
    about.write_text(json.dumps({**known, "format": FORMAT + 1}))
    with pytest.raises(BadInput, match="later Voxloom.*Update Voxloom"):
        _ = vx.Run(tmp_path / "run").network
    del known["format"]  # as the first versions wrote it
    about.write_text(json.dumps(known))
    assert vx.Run(tmp_path / "run").network is not None
