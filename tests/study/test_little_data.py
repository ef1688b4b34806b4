"""External sets, added sets and the leakage guard: a run that uses them all, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.study.conftest import TINY, write_balls
from voxloom.cli.app import run as cli
from voxloom.dataset import Case, Dataset, Fold
from voxloom.dataset.leaks import describe_cases
from voxloom.errors import BadInput
from voxloom.formats import read_volume, write_volume
from voxloom.recipe.recipe import DataSettings, Recipe
from voxloom.run.cases import choose_folds
from voxloom.run.guard import guard_folds
from voxloom.tasks.segmentation.material import usable_cases
from voxloom.verbs.evaluate import evaluate_run
from voxloom.verbs.run import Run
from voxloom.verbs.train import train

QUICK = {**TINY, "training.steps": 40, "training.validations": 1}


def site(root: Path, letter: str, first: int, count: int) -> Path:
    """``count`` of the balls from number ``first`` on, named after their site."""
    write_balls(root, first + count)
    for path in sorted(root.glob("*Tr/*.nii.gz")):
        if int(path.name[4:6]) < first:
            path.unlink()
        else:
            path.rename(path.with_name(path.name.replace("ball", letter)))
    (root / "participants.csv").write_text(
        "case,patient,group\n"
        + "".join(f"{letter}{n:02d},{letter}-{n},{letter}\n" for n in range(first, first + count))
    )
    return root


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Predictions of one number of threads: another may round a voxel to the other label."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Site A (4 cases) trains, site B (4) is the target, site X (2) is external, V and W have pseudo-labels."""
    root = tmp_path_factory.mktemp("sites")
    made = {
        letter: site(root / letter, letter, first, n) for letter, first, n in (("A", 0, 4), ("B", 4, 4), ("X", 8, 2))
    }
    made["P"] = site(root / "P", "P", 10, 2)
    text = (made["P"] / "participants.csv").read_text().replace("\n", ",run\n").replace("group,run", "group,pseudo")
    (made["P"] / "participants.csv").write_text(text)
    return made


@pytest.fixture(scope="module")
def adapted(sites: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Paper E, experiments 2 to 4 at once: site A and pseudo-labels always train, two folds over site B, X is external."""
    recipe = Recipe.load("auto").changed({**QUICK, "folds.over": "added", "inference.instances": ["bright"]})
    out = tmp_path_factory.mktemp("runs") / "adapted"
    run = train(sites["A"], recipe, out=out, folds=2, add=[sites["B"], sites["P"]], external=[sites["X"]])
    return run


def test_folds_divide_the_target_site_and_the_rest_always_trains(adapted: Run) -> None:
    folds = json.loads((adapted.folder / "splits_final.json").read_text())
    assert sorted(name for fold in folds for name in fold["val"]) == ["B04", "B05", "B06", "B07"]
    assert all({"A00", "A01", "A02", "A03", "P10", "P11"} < set(fold["train"]) for fold in folds)
    marked = {case["id"]: case.get("pseudo", False) for case in adapted.data["cases"]}
    assert {name for name, pseudo in marked.items() if pseudo} == {"P10", "P11"}


def test_external_cases_are_reported_apart_and_never_planned_with(adapted: Run, sites: dict[str, Path]) -> None:
    figures = adapted.summary["external"]["X"]
    assert figures["cases"] == 2
    assert adapted.summary["validation"]["cases"] == 4
    planned = {case["id"] for case in adapted.data["fingerprint"]["cases"]}
    assert not planned & {"X08", "X09"}
    assert [case["id"] for case in adapted.data["outside"]["X"]] == ["X08", "X09"]
    again = evaluate_run(adapted.folder, sites["X"], adapted.folder.parent / "again")
    assert json.dumps(again.summary()["dice"]) == json.dumps(figures["dice"])  # nan where there is no interval
    assert figures["structures"]["true"] == 4
    assert json.dumps(again.summary()["structures"]["dice"]) == json.dumps(figures["structures"]["dice"])
    assert (adapted.folder / "external" / "X" / "structures.csv").is_file()
    page = (adapted.folder / "report.html").read_text()
    assert "External cases of X: figures" in page
    assert "External cases of X: structures from head to feet" in page
    assert "on 2 external cases of X." in page
    card = (adapted.folder / "model_card.md").read_text()
    assert "| external X | bright | 2 |" in card
    assert "The external data set X (2 cases) was kept apart" in card
    assert "2 cases with pseudo-labels" in card
    assert "Tested on X (2 cases)" in (adapted.folder / "claim.md").read_text()


def test_a_run_knows_all_its_cases_again(adapted: Run, tmp_path: Path) -> None:
    from voxloom.tasks.study import open_study

    assert len(open_study(adapted).dataset) == 10
    adapted.show_results(tmp_path / "held-out.png", cases=["B04"])
    assert cli(["stress", str(adapted.folder), "--only", "noise", "--cases", "1", "-o", str(tmp_path / "stress")]) == 0


def test_a_run_goes_on_with_its_own_data_sets(adapted: Run, sites: dict[str, Path]) -> None:
    with pytest.raises(BadInput, match="with the data sets that it was started with"):
        train(sites["A"], out=adapted.folder, resume=True, external=[sites["P"]])
    before = adapted.summary["folds"]["fold_0"]["weights_sha256"]
    again = train(sites["A"], out=adapted.folder, resume=True)
    assert again.summary["folds"]["fold_0"]["weights_sha256"] == before
    assert again.summary["external"]["X"]["cases"] == 2


def test_pseudo_labels_are_no_truth(adapted: Run, sites: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="case P10 has a pseudo-label, which is not a truth"):
        evaluate_run(adapted.folder, sites["P"])
    with pytest.raises(BadInput, match="case P10 has a pseudo-label, which is not a truth"):
        train(sites["A"], Recipe.load("auto").changed(QUICK), out=tmp_path / "run", external=[sites["P"]])
    assert not (tmp_path / "run").exists()
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps([{"train": ["A00"], "val": ["P10"]}]))
    data, recipe = cases_of(sites, {"data.add": [str(sites["P"])], "folds.file": str(splits)})
    with pytest.raises(BadInput, match="pseudo-labelled cases cannot validate: P10"):
        choose_folds(data, recipe)


def cases_of(sites: dict[str, Path], changes: dict[str, object]) -> tuple[Dataset, Recipe]:
    recipe = Recipe.load("auto").changed(changes)
    return usable_cases(Dataset(sites["A"]), recipe)[0], recipe


def test_folds_by_site(sites: dict[str, Path]) -> None:
    add = {"data.add": [str(sites["B"]), str(sites["P"])]}
    for changes in (
        {"folds.leave_out": "group"},
        {"folds.leave_out": "dataset"},
        {"folds.group_by": "group", "folds.count": 2},
    ):
        folds = choose_folds(*cases_of(sites, {**add, **changes}))
        assert sorted({name[0] for name in fold.val} for fold in folds if fold) in ([{"A"}, {"B"}], [{"B"}, {"A"}])
        assert all({"P10", "P11"} < set(fold.train) for fold in folds)
    first = choose_folds(*cases_of(sites, {**add, "folds.over": "first", "folds.count": 4}))
    assert all(fold.val[0][0] == "A" and len(fold.val) == 1 for fold in first)
    with pytest.raises(BadInput, match="no added case to divide"):
        choose_folds(*cases_of(sites, {"folds.over": "added"}))
    with pytest.raises(BadInput, match="cannot be combined"):
        Recipe.load("auto").changed({"folds.leave_out": "group", "folds.stratify": "age"})


def test_a_splits_file_keeps_its_folds_and_gains_the_pseudo_labels(sites: dict[str, Path], tmp_path: Path) -> None:
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps([{"train": ["A00", "A01"], "val": ["A02"]}]))
    folds = choose_folds(*cases_of(sites, {"data.add": [str(sites["P"])], "folds.file": str(splits)}))
    assert folds == [Fold(("A00", "A01", "P10", "P11"), ("A02",))]


def test_leaks_are_refused_before_anything_is_trained(sites: dict[str, Path], tmp_path: Path) -> None:
    """A re-compressed copy, a patient and an id on two sides: one line that names both cases, and no run."""
    recipe = Recipe.load("auto").changed(QUICK)
    copied, torn, unnamed = (tmp_path / name for name in ("copied", "torn", "unnamed"))
    for place in (copied, torn, unnamed):
        shutil.copytree(sites["X"], place)
    write_volume(read_volume(sites["A"] / "imagesTr" / "A01_0000.nii.gz"), copied / "imagesTr" / "X08_0000.nii.gz")
    write_volume(read_volume(sites["A"] / "labelsTr" / "A01.nii.gz"), copied / "labelsTr" / "X08.nii.gz")
    (torn / "participants.csv").write_text("case,patient\nX08,A-1\nX09,X-9\n")
    (unnamed / "participants.csv").unlink()
    for path in unnamed.glob("*Tr/X08*"):
        path.rename(path.with_name(path.name.replace("X08", "A01")))
    for external, told in (
        (copied, "copied: case X08 and case A01 have the same image"),
        (torn, "torn: case X08 and case A01 are of one patient"),
        (unnamed, "unnamed: case A01 and case A01 have one id"),
    ):
        (external / "dataset.json").write_text(
            (external / "dataset.json").read_text().replace("{", f'{{"name": "{external.name}", ', 1)
        )
        with pytest.raises(BadInput, match=told):
            train(sites["A"], recipe, out=tmp_path / "run", external=[external])
        assert not (tmp_path / "run").exists()


def test_a_patient_with_a_pseudo_label_cannot_validate(sites: dict[str, Path]) -> None:
    data = Dataset(sites["A"])
    own = [*data, Case("P1", "A-1", images=data[0].images, attributes={"pseudo": "run"})]
    records = [{"id": c.id, "patient": c.patient, "files": {}, "pseudo": c.is_pseudo} for c in own]
    folds = [Fold(("A00", "P1"), ("A01",))]
    with pytest.raises(BadInput, match="pseudo-labelled case P1 and case A01 are of one patient"):
        guard_folds(records, folds, DataSettings())
    guard_folds(records, [Fold(("A01", "P1"), ("A00",))], DataSettings())


def test_sets_may_number_their_own_patients(sites: dict[str, Path]) -> None:
    records = describe_cases(Dataset(sites["A"]))
    other = [{**record, "id": f"other-{record['id']}", "image": "", "sketch": "", "origin": "O"} for record in records]
    both = [*({**record, "origin": "A"} for record in records), *other]
    folds = [Fold(("A00",), ("other-A00",))]
    with pytest.raises(BadInput, match="are of one patient"):
        guard_folds(both, folds, DataSettings())
    guard_folds(both, folds, DataSettings(patients="separate"))


def test_evaluating_cases_that_only_share_an_id_is_said(adapted: Run, sites: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(sites["X"], other)
    (other / "participants.csv").write_text("case,patient\nX08,somebody\nA00,A00\n")
    for path in other.glob("*Tr/X09*"):
        path.rename(path.with_name(path.name.replace("X09", "A00")))
    found = evaluate_run(adapted.folder, other, tmp_path / "out")
    assert "1 test cases have the id of a case of the run (A00)" in found.warnings[0]
    (other / "participants.csv").write_text("case,patient\nX08,A-0\nA00,new\n")
    with pytest.raises(BadInput, match="test case X08 and the run's case A00 are of one patient"):
        evaluate_run(adapted.folder, other, tmp_path / "out")
