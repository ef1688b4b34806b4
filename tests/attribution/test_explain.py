"""``voxloom explain`` on a run whose only cue is known: command line, Python, report; two folds, a covariate."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from voxloom import Run
from voxloom.attribution import METHODS
from voxloom.attribution.explainable import file_name_of
from voxloom.cli.app import run as voxloom
from voxloom.errors import BadInput
from voxloom.evaluation.classification import ClassEvaluation
from voxloom.evaluation.likeness import points_at
from voxloom.files import file_stem
from voxloom.formats import read_volume, write_volume
from voxloom.tasks.task import task_of
from voxloom.volume import Volume

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.drawn]

AFFINE = np.array([[0, -2.0, 0, 5], [2.0, 0, 0, 7], [0, 0, 2.0, 9], [0, 0, 0, 1]])
SETTINGS = {
    "task": "classification", "device": "cpu", "folds.count": 2, "training.steps": 60, "training.validations": 2,
    "training.batch": 6, "training.learning_rate": 0.01, "training.precision": "fp32", "network.features": [6, 8, 8],
    "network.strides": [[1, 1, 1], [2, 2, 2], [1, 1, 1]], "network.head_dropout": 0.0, "classification.covariates": ["age"],
}  # fmt: skip


def scan(number: int) -> tuple[Volume, np.ndarray]:
    """Noise; those of odd numbers have a bright box somewhere: the only cue."""
    random = np.random.default_rng(number)
    data, there = random.normal(0, 0.3, (16, 16, 12)), np.zeros((16, 16, 12), bool)
    i, j, k = random.integers(2, 10, 2).tolist() + [int(random.integers(2, 6))]
    there[i : i + 4, j : j + 4, k : k + 4] = True
    if number % 2:
        data[there] += 2.5
    return Volume(data.astype(np.float32)[None], AFFINE), there


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    rows = [["case", "image", "target", "age"]]
    for n in range(24):
        write_volume(scan(n)[0], folder / f"s{n}.nii.gz")
        rows.append([f"s{n}", f"s{n}.nii.gz", "box" if n % 2 else "none", str(40 + n)])
    with (folder / "cases.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    told = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    assert voxloom(["train", str(folder / "cases.csv"), "-o", str(folder / "run"), *told]) == 0
    write_volume(scan(31)[0], folder / "new.nii.gz")
    return folder


def test_the_map_points_at_the_cue_and_lies_on_the_scan(root: Path, tmp_path: Path) -> None:
    assert (
        voxloom(["explain", str(root / "run"), str(root / "new.nii.gz"), "-o", str(tmp_path), "--covariate", "age=50"])
        == 0
    )
    assert sorted(p.name for p in tmp_path.glob("new*")) == ["new_grad-cam_box.nii.gz", "new_grad-cam_box.png"]
    found, (image, there) = read_volume(tmp_path / "new_grad-cam_box.nii.gz"), scan(31)
    assert found.same_grid(image)
    assert points_at(found.data[0], there)
    assert float(found.data.max()) == pytest.approx(1)
    again = Run(root / "run").explain(root / "new.nii.gz", attributes={"age": 50})
    np.testing.assert_allclose(again.data, found.data, atol=1e-6)


@pytest.mark.parametrize("method", ["cam", "grad-cam++", "integrated-gradients", "occlusion"])
def test_every_method_finds_it(root: Path, method: str) -> None:
    image, there = scan(31)
    found = Run(root / "run").explain(image, method, answer="box")  # type: ignore[arg-type]
    assert points_at(found.data[0], there)
    opposite = Run(root / "run").explain(image, method, answer="none")  # type: ignore[arg-type]
    if method != "grad-cam++":  # what speaks for one of two classes speaks against the other
        np.testing.assert_allclose(opposite.data, -found.data, atol=1e-5 * np.abs(found.data).max())


def test_names_of_files_tell_every_method(root: Path, tmp_path: Path) -> None:
    names = [file_name_of(method) for method in METHODS]
    assert len(set(names)) == len(METHODS)
    assert [file_stem(name) for name in names] == names, "nothing of a method becomes an underscore"
    words = ["explain", str(root / "run"), str(root / "new.nii.gz"), "-o", str(tmp_path), "--covariate", "age=50"]
    assert voxloom([*words, "--method", "grad-cam++"]) == 0
    assert {p.name for p in tmp_path.glob("new*")} == {
        f"new_grad-cam-plus-plus_box{end}" for end in (".nii.gz", ".png")
    }
    assert json.loads((tmp_path / "explain.json").read_text())["method"]["method"] == "grad-cam++"


def test_maps_are_the_mean_over_the_folds_and_use_covariates(root: Path) -> None:
    from voxloom.attribution import MethodSettings, attribute

    run, settings = Run(root / "run"), MethodSettings(method="integrated-gradients", steps=4)
    task, image = task_of(run), scan(31)[0]
    maps = [
        attribute(task.explainable(run, folds, "cpu"), image, "box", settings, {"age": 50}).map.data
        for folds in (run.folds[:1], run.folds[1:], run.folds)
    ]
    assert len(run.folds) == 2
    np.testing.assert_allclose(maps[2], (maps[0] + maps[1]) / 2, atol=1e-5)
    call = task.explainable(run, run.folds, "cpu")
    seen = torch.zeros(1, 1, 16, 16, 16)
    network = call.members[0].network
    assert float((call.call(network, seen, {"age": 20}) - call.call(network, seen, {"age": 80})).abs().max()) > 1e-6


def test_random_weights_change_the_map(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["explain", str(root / "run"), str(root / "new.nii.gz"), "-o", str(tmp_path), "--sanity", "--answer", "box"]
    assert voxloom([*words, "--json"]) == 0
    captured = capsys.readouterr()
    (row,) = json.loads(captured.out)["maps"]
    assert abs(row["rank_correlation"]) < 0.7
    assert row["ssim"] < 0.8
    assert row["draws"] == 3
    assert "Likeness to maps of random weights" in captured.err
    assert json.loads((tmp_path / "explain.json").read_text())["maps"] == [row]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--answer", "tumor"], "the run has no answer 'tumor'. There are box, none"),
        (["--layer", "-7"], "the network has no stage -7. Stages count from the end: -1 to -3"),
        (["--layer", "net.nothing"], "no layer 'net.nothing'. Its stages end with"),
        (["--covariate", "age"], "'age' is not NAME=NUMBER"),
    ],
)
def test_what_cannot_be_explained_is_one_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    place = tmp_path / "out"
    assert voxloom(["explain", str(root / "run"), str(root / "new.nii.gz"), "-o", str(place), *words]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert told in said[0]
    assert not place.exists()


def test_other_files_are_not_written_over(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "new_grad-cam_box.png").write_text("mine")
    words = ["explain", str(root / "run"), str(root / "new.nii.gz"), "-o", str(tmp_path), "--answer", "box"]
    assert voxloom(words) == 2
    assert "not an earlier prediction" in capsys.readouterr().err
    assert (tmp_path / "new_grad-cam_box.png").read_text() == "mine"


def test_the_report_shows_the_worst_and_the_right_with_maps_of_their_own_fold(root: Path) -> None:
    index = json.loads((root / "run" / "explained" / "index.json").read_text())
    assert index["method"] == "grad-cam"
    losses = Run(root / "run").top_losses(24)
    wrong = [one.case for one in losses if not one.right]
    right = [one.case for one in losses if one.right]
    assert list(dict.fromkeys(e["case"] for e in index["cases"] if e["right"])) == right[::-1][:3]
    assert list(dict.fromkeys(e["case"] for e in index["cases"] if not e["right"])) == wrong[:5]
    page = (root / "run" / "report.html").read_text()
    assert "Right answers with maps of grad-cam" in page
    assert page.count("data:image/png;base64") >= len(index["cases"])
    for entry in index["cases"]:
        assert (root / "run" / "explained" / entry["picture"]).stat().st_size > 1000


def test_top_losses_and_confusion_matrix_are_those_of_the_table(root: Path, tmp_path: Path) -> None:
    run = Run(root / "run")
    table = ClassEvaluation.read_csv(run.held_out_tables[0])
    table.extend(ClassEvaluation.read_csv(run.held_out_tables[1]))
    truth = {
        row.case: -np.log(dict(zip(table.classes, row.probabilities, strict=True))[row.truth]) for row in table.rows
    }
    losses = run.top_losses(5)
    assert len(losses) == 5
    assert [one.loss for one in losses] == sorted((one.loss for one in losses), reverse=True)
    assert losses[0].loss == pytest.approx(max(truth.values()), abs=1e-4)
    assert losses[0].loss == pytest.approx(truth[losses[0].case], abs=1e-4)
    found = run.confusion_matrix()
    assert found.classes == ("box", "none")
    assert found.counts.sum() == 24
    assert found.counts.trace() == sum(one.right is True for one in run.top_losses(24))
    np.testing.assert_allclose(found.shares.sum(axis=1), 1)
    found.show(tmp_path / "matrix.png", normalize=True)
    assert (tmp_path / "matrix.png").stat().st_size > 1000
    with pytest.raises(BadInput, match="not evaluated on a test set"):
        run.top_losses(on="test")


def test_pictures_of_chosen_cases(root: Path, tmp_path: Path) -> None:
    run = Run(root / "run")
    figure = run.show_maps(tmp_path / "maps.png", cases=["s3", "s4"], layer="-2")
    assert (tmp_path / "maps.png").stat().st_size > 10000
    titles = [part.get_suptitle() for part in figure.subfigs]
    assert [title.split(":")[0] for title in titles] == ["s3", "s4"]
    with pytest.raises(BadInput, match="no fold held out s99"):
        run.show_maps(cases=["s99"])
