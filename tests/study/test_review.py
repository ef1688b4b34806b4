"""The review of labels: what is listed, that verdicts survive, and that the next run excludes."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.study.conftest import Trained
from voxloom.annotate.review import review_run
from voxloom.cli.app import run as cli
from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation
from voxloom.recipe.recipe import Recipe
from voxloom.run.cases import excluded_ids, settled
from voxloom.tasks.segmentation.material import usable_cases
from voxloom.tasks.segmentation.scoring import held_out_figures

pytestmark = pytest.mark.drawn


@pytest.fixture(scope="module")
def spoiled(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with the figures of two cases made bad: ball02 wholly, one label of ball07."""
    folder = tmp_path_factory.mktemp("review") / "run"
    shutil.copytree(trained.run.folder, folder)
    for table in folder.glob("fold_*/metrics.csv"):
        lines = []
        for line in table.read_text().splitlines():
            cells = line.split(",")
            if cells[0] == "ball02" or cells[:3] == ["ball07", "ball07", "dark"]:
                cells[3] = "0.1"
            elif cells[0] != "case":
                cells[3] = "0.9"
            lines.append(",".join(cells))
        table.write_text("\n".join(lines) + "\n")
    return folder


def listed(folder: Path) -> list[dict[str, str]]:
    with (folder / "review" / "review.csv").open(encoding="utf-8") as f:
        return list(csv.DictReader(f))


def test_suspects_are_listed_with_pictures_and_kept_until_a_person_says_otherwise(
    spoiled: Path, trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Evaluation.read_csv(next(spoiled.glob("fold_*/metrics.csv"))).labels == ["bright", "dark"]
    (spoiled / "review" / "review.csv").unlink(missing_ok=True)
    assert cli(["review", str(spoiled)]) == 0
    said = capsys.readouterr()
    assert "2 of 10 held-out cases below 0.8" in said.err
    assert "--set data.exclude=" in said.out
    rows = listed(spoiled)
    assert [(row["case"], row["dice"], row["worst_label"], row["verdict"]) for row in rows] == [
        ("ball02", "0.1000", "bright", "keep"),
        ("ball07", "0.5000", "dark", "keep"),
    ]
    folds = held_out_figures(trained.run)
    assert {row["case"] for row in rows} < set(folds.cases)
    with Image.open(spoiled / "review" / "thumbnails" / "ball02.png") as picture:
        assert picture.width > 500
        colors = picture.convert("RGB").getcolors(1 << 24)
    assert colors is not None
    assert any(max(c) - min(c) > 80 for _, c in colors)  # contours are in color, the scan is gray
    page = (spoiled / "review" / "review.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    recipe = Recipe.load("auto").changed({"data.exclude": str(spoiled / "review" / "review.csv")})
    assert settled(recipe).data.exclude == (), "a low Dice alone leaves nothing out"
    assert len(usable_cases(Dataset(trained.data), recipe)[0]) == 10


def test_a_persons_verdict_survives_and_counts(spoiled: Path, trained: Trained) -> None:
    (spoiled / "review" / "review.csv").unlink(missing_ok=True)
    review_run(spoiled)
    path = spoiled / "review" / "review.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1].replace("keep", "exclude"), lines[2]]) + "\n")
    review_run(spoiled, 0.95)
    verdicts = {row["case"]: row["verdict"] for row in listed(spoiled)}
    assert (verdicts["ball02"], verdicts["ball07"], len(verdicts)) == ("exclude", "keep", 10)
    recipe = Recipe.load("auto").changed({"data.exclude": str(path)})
    assert excluded_ids(recipe) == ("ball02",)
    assert len(usable_cases(Dataset(trained.data), recipe)[0]) == 9


def test_one_label_may_judge_and_nothing_may_be_found(spoiled: Path, tmp_path: Path) -> None:
    assert [s.case for s in review_run(spoiled, label="bright", out=tmp_path / "bright").suspects] == ["ball02"]
    none = review_run(spoiled, 0.05, out=tmp_path / "none")
    assert none.suspects == []
    assert "0 cases with Dice below 0.05" in none.wrote[1].read_text()
    recipe = Recipe.load("auto").changed({"data.exclude": str(none.wrote[0])})
    assert excluded_ids(recipe) == ()


def test_bad_input_is_refused(spoiled: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the run has no label 'liver'"):
        review_run(spoiled, label="liver", out=tmp_path / "out")
    damaged = tmp_path / "review.csv"
    damaged.write_text("case,verdict\nball02,perhaps\n")
    with pytest.raises(BadInput, match="row 2 has no case or no verdict"):
        excluded_ids(Recipe.load("auto").changed({"data.exclude": str(damaged)}))
    with pytest.raises(BadInput, match="no such review list"):
        excluded_ids(Recipe.load("auto").changed({"data.exclude": str(tmp_path / "absent.csv")}))
    moved = tmp_path / "run"
    shutil.copytree(spoiled, moved)
    shutil.rmtree(moved / "fold_0" / "predictions")
    shutil.rmtree(moved / "fold_1" / "predictions")
    with pytest.raises(BadInput, match="is gone"):
        review_run(moved, out=tmp_path / "gone")
