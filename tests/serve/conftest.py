"""Small runs that predict in a moment, an engine on them, and a PACS, shared by the tests of the clinic side."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from tests.serve.orthanc import Orthanc, running
from tests.study.conftest import TINY, write_balls
from voxloom.serve.engine import Engine

#: What makes a training so short that its run hardly learns: services need a run, not a good one.
FEW_STEPS = {
    **TINY, "training.patch": [16, 16, 16], "training.steps": 30, "training.batch": 2, "training.validations": 1,
    "folds.hold_out": 0.34,
}  # fmt: skip


@dataclass(frozen=True)
class Small:
    """A run on balls of two brightnesses (values 3 and 207), its data set, and a folder of scans that it never saw."""

    run: Path
    data: Path
    scans: Path

    def scan(self, number: int) -> Path:
        """One of the unseen scans, 0 or 1."""
        return sorted(self.scans.iterdir())[number]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A segmentation run of a few steps."""
    import torch

    from voxloom.dataset import Dataset
    from voxloom.recipe.recipe import Recipe
    from voxloom.verbs.train import train

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("serve")
    data = write_balls(root / "balls", 6)
    write_balls(root / "more", 8)
    (root / "scans").mkdir()
    for n in (6, 7):
        name = f"ball{n:02d}_0000.nii.gz"
        (root / "more" / "imagesTr" / name).rename(root / "scans" / f"scan{n}.nii.gz")
    train(Dataset(data), Recipe.load("auto").changed(FEW_STEPS), out=root / "run")
    torch.set_num_threads(before)
    return Small(root / "run", data, root / "scans")


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A real PACS on this machine, without any patient at first, for one file of tests."""
    with running(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


class SharedEngine(Engine):
    """An engine that services of many tests use: a service that ends does not end it, and each file begins with its one run."""

    open: ClassVar[list[SharedEngine]] = []

    def close(self) -> None:
        """Nothing: its fixture ends it."""

    def end(self) -> None:
        """End the process with the networks."""
        self.open.remove(self)
        super().close()

    def keep_only(self, name: str) -> None:
        """Forget the runs that were trained meanwhile."""
        self._infos = {name: self.runs[name]}


@pytest.fixture(scope="module", autouse=True)
def only_balls() -> Iterator[None]:
    """The shared engine has its one run again when a file of tests has ended."""
    yield
    for engine in SharedEngine.open:
        engine.keep_only("balls")


@pytest.fixture(scope="session")
def engine(small: Small) -> Iterator[Engine]:
    """An engine with the run ``balls``; tests leave it as they find it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        made = SharedEngine({"balls": small.run}, device="cpu")
        made.open.append(made)
        yield made
        made.end()


def labelled_folder(small: Small, folder: Path) -> Path:
    """A data set of four cases: two with their truth, two without, one of those under a name of a person."""
    import csv

    names = {"ball00": "labelled_0", "ball01": "labelled_1", "ball02": "new_0", "ball03": "DOE^JOHN"}
    folder.mkdir()
    rows = []
    for source, name in names.items():
        shutil.copyfile(small.data / "imagesTr" / f"{source}_0000.nii.gz", folder / f"{name}.nii.gz")
        label = ""
        if name.startswith("labelled"):
            label = f"{name}_label.nii.gz"
            shutil.copyfile(small.data / "labelsTr" / f"{source}.nii.gz", folder / label)
        rows.append([name, f"{name}.nii.gz", label, "train" if label else "test"])
    with (folder / "cases.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["case", "image_MR", "label", "split"], *rows])
    return folder
