"""The page of a run: complete in itself, honest about failures, tolerant of parts that are not there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Label, Labels
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, evaluate_case
from voxloom.formats import write_volume
from voxloom.report.run_page import write_run_report
from voxloom.volume import Volume

LABELS = Labels((Label("sphere", (1,)), Label("core", (2,))))


def sphere(radius: float, core: float = 2.0) -> Volume:
    distance = np.linalg.norm(np.indices((16, 16, 12)) - np.array([8, 8, 6])[:, None, None, None], axis=0)
    data = np.where(distance < core, 2, distance < radius).astype(np.uint8)
    return Volume(data[None], np.diag([1.0, 1.0, 2.0, 1.0]))


def make_run(root: Path) -> Path:
    """Two cases, of which the second has lost its core."""
    run, evaluation, cases = root / "run", Evaluation(LABELS.names), []
    for case, found in (("good", sphere(5)), ("lost<core>", sphere(4, core=0))):
        truth = sphere(5)
        image = write_volume(Volume(truth.data.astype(np.float32), truth.affine), root / f"{case}_image.nii.gz")
        label = write_volume(truth, root / f"{case}.nii.gz")
        write_volume(found, run / "fold_0" / "predictions" / f"{case}.nii.gz")
        evaluation.add(case, evaluate_case(found, truth, LABELS))
        cases.append({"id": case, "patient": case, "fold": 0, "files": {str(image): "a" * 64, str(label): "b" * 64}})
    evaluation.write_csv(run / "fold_0" / "metrics.csv")
    (run / "fold_0" / "log.csv").write_text("step,train_loss,val_dice_sphere\n10,0.9,0.2\n20,0.5,0.7\n")
    dataset = {
        "name": "Spheres",
        "layout": "nnunet",
        "channels": ["CT"],
        "labels": {"background": 0, "sphere": 1, "core": 2},
    }
    (run / "data.json").write_text(json.dumps({"dataset": dataset, "cases": cases}))
    (run / "plan.json").write_text(json.dumps([{"choice": "patch", "value": "16", "why": "fits <memory>"}]))
    (run / "recipe.yaml").write_text("name: auto\n")
    return run


def test_page_is_complete_in_itself(tmp_path: Path) -> None:
    page = write_run_report(make_run(tmp_path)).read_text()
    sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", page)
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert "@import" not in page
    assert "<script" not in page


def test_page_has_figures_failures_pictures_plan_and_recipe(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    page = write_run_report(run).read_text()
    failures = page.split("Held-out cases: failures")[1].split("</section>")[0]
    assert "prediction empty" in failures
    assert "infinite" in failures
    assert "lost&lt;core&gt;" in failures
    assert ">good<" not in failures
    assert "<td>sphere</td>" in page
    assert "good (" in page
    assert "fits &lt;memory&gt;" in page
    assert "name: auto" in page
    assert "1 of them need a look" in page
    assert (run / "fold_0" / "curves.png").is_file()
    assert "nan" not in re.sub(r"data:[^\"]*", "", page).lower().split()


@pytest.mark.parametrize(
    "part",
    ["data.json", "plan.json", "recipe.yaml", "fold_0/metrics.csv", "fold_0/log.csv", "fold_0/predictions/good.nii.gz"],
)
def test_missing_parts_are_left_out(tmp_path: Path, part: str) -> None:
    run = make_run(tmp_path)
    (run / part).unlink()
    assert "</html>" in write_run_report(run).read_text()


def test_empty_run_says_that_it_has_no_figures(tmp_path: Path) -> None:
    assert "has no figures yet" in write_run_report(tmp_path).read_text()


def test_table_without_rows_has_no_figures(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    Evaluation(LABELS.names).write_csv(run / "fold_0" / "metrics.csv")
    assert "has no figures yet" in write_run_report(run).read_text()


def test_foreign_table_is_refused(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run / "fold_0" / "metrics.csv").write_text("case,dice\na,1\n")
    with pytest.raises(BadInput, match=r"metrics\.csv"):
        write_run_report(run)
