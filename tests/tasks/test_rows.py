"""Labels that are structures in a row are recognized by how they lie, and nothing else is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.dataset.inspect import fingerprint
from voxloom.formats import write_volume
from voxloom.tasks.segmentation.facts import gather_facts
from voxloom.training.planner import build_plan
from voxloom.volume import Volume

Block = tuple[Sequence[int], Sequence[int]]
#: Names by value; the highest first. Cubes of 6 voxels, 2 apart, along k, which runs up.
UP = np.diag([1.0, 1.0, 1.0, 1.0])
ROW = {"top": ([5, 5, 18], [6, 6, 6]), "mid": ([5, 5, 10], [6, 6, 6]), "low": ([5, 5, 2], [6, 6, 6])}


def row_of(folder: Path, cases: Sequence[Mapping[str, Block]], affine: np.ndarray = UP) -> tuple[str, ...]:
    """The row that a data set of blocks (corner, size) is found to be, by label name; the names are those of ``ROW``."""
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for number, blocks in enumerate(cases):
        label = np.zeros((1, 16, 16, 26), np.uint8)
        for value, name in enumerate(ROW, start=1):
            if name in blocks:
                corner, size = blocks[name]
                label[0, *(slice(c, c + s) for c, s in zip(corner, size, strict=True))] = value
        rng = np.random.default_rng(number)
        image = (rng.normal(100, 10, label.shape) + 50 * label).astype(np.float32)
        write_volume(Volume(image, affine), folder / "imagesTr" / f"c{number}_0000.nii.gz")
        write_volume(Volume(label, affine), folder / "labelsTr" / f"c{number}.nii.gz")
    values = ", ".join(f'"{name}": {value}' for value, name in enumerate(ROW, start=1))
    about = f'{{"channel_names": {{"0": "MR"}}, "labels": {{"background": 0, {values}}}, '
    (folder / "dataset.json").write_text(about + f'"numTraining": {len(cases)}, "file_ending": ".nii.gz"}}')
    dataset = Dataset(folder)
    assert dataset.labels is not None
    return gather_facts(dataset, fingerprint(dataset, workers=1), dataset.labels).row


def test_a_row_is_found_and_planned(tmp_path: Path) -> None:
    """Whichever way the axes run, and where a case shows a part of it."""
    part = {name: ROW[name] for name in ("mid", "low")}
    assert row_of(tmp_path / "up", [ROW, part]) == ("top", "mid", "low")
    assert row_of(tmp_path / "down", [ROW, ROW], np.diag([1.0, 1.0, -1.0, 1.0])) == ("low", "mid", "top")


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param([ROW, {"top": ROW["top"], "low": ROW["low"]}], id="a gap"),
        pytest.param([ROW, {**ROW, "top": ROW["low"], "low": ROW["top"]}], id="another order"),
        pytest.param([{**ROW, "low": ([5, 5, 2], [2, 2, 2])}] * 2, id="another size"),
        pytest.param([{**ROW, "mid": ([0, 0, 16], [6, 6, 6])}] * 2, id="beside one another"),
        pytest.param([{name: ROW[name] for name in ("mid", "low")}] * 2, id="a label that no case has"),
        pytest.param([ROW, {"mid": ROW["mid"]}], id="one alone says nothing"),
    ],
)
def test_what_is_no_row(tmp_path: Path, cases: Sequence[Mapping[str, Block]]) -> None:
    assert row_of(tmp_path / "set", cases) == ()


def test_real_data(data_dir: Path) -> None:
    """Vertebrae are a row; regions of a brain, and two parts of a hippocampus, are not."""
    rows = {}
    for name in ("lumbar-mr", "hippocampus", "heads"):
        whole = Dataset(data_dir / name)
        few = whole.subset([case.id for case in whole.cases[:4]])
        assert few.labels is not None
        rows[name] = gather_facts(few, fingerprint(few, workers=1), few.labels).row
    assert rows == {"lumbar-mr": ("L1", "L2", "L3", "L4", "L5"), "hippocampus": (), "heads": ()}


def test_the_plan_names_it(data_dir: Path) -> None:
    whole = Dataset(data_dir / "lumbar-mr")
    few = whole.subset([case.id for case in whole.cases[:3]])
    assert few.labels is not None
    facts = gather_facts(few, fingerprint(few, workers=1), few.labels)
    plan = build_plan(facts, "cpu", 600.0, lambda *candidate: 0.5)
    (step,) = plan.inference.postprocess
    assert (step.step, step.labels, step.when) == ("name_in_order", ("L1", "L2", "L3", "L4", "L5"), "unless_worse")
    assert "L1 > L2 > L3 > L4 > L5" in [value for name, value, _ in plan.reasons if name == "names in a row"]
