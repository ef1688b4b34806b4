"""The MONAI bundle: MONAI's own loader runs it and says the same as the run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.export.export import own_preparation
from voxloom.formats import read_label, read_volume, write_volume
from voxloom.recipe.recipe import Recipe
from voxloom.verbs.train import train

from .conftest import TINY, Trained


@pytest.fixture(scope="module")
def bundle(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained.run.export(tmp_path_factory.mktemp("export") / "bundle")


FILES = [
    "LICENSE", "configs/metadata.json", "configs/inference.json", "configs/evaluate.json", "configs/train.json",
    "models/model.pt", "docs/README.md",
]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_bundle_has_its_files(bundle: Path, name: str) -> None:
    assert (bundle / name).stat().st_size > 0


def test_metadata_describes_the_network(bundle: Path) -> None:
    about = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert about["network_data_format"]["outputs"]["pred"]["channel_def"] == {
        "0": "background",
        "1": "bright",
        "2": "dark",
    }
    assert {"version", "monai_version", "pytorch_version", "numpy_version", "task", "description"} <= set(about)


@pytest.fixture(scope="module")
def cells(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run whose network computes on cells of two voxels a side."""
    network = {"network.strides": [[2, 2, 2], [2, 2, 2], [1, 1, 1]], "training.steps": 60}
    recipe = Recipe.load("auto").changed({**TINY, **network})
    run = train(Dataset(trained.data), recipe, out=tmp_path_factory.mktemp("cells") / "run")
    return replace(trained, run=run)


def test_monai_says_the_same_as_a_run_that_computes_on_cells(cells: Trained, tmp_path: Path) -> None:
    check_same(cells.run.export(tmp_path / "bundle"), cells)


def test_monai_says_the_same_as_the_run(bundle: Path, trained: Trained) -> None:
    check_same(bundle, trained)


def check_same(bundle: Path, trained: Trained) -> None:
    """MONAI's loader runs the bundle; its label map is the run's own."""
    from monai.bundle import ConfigParser

    scan = trained.unseen / "imagesTr" / "ball13_0000.nii.gz"
    write_volume(read_volume(scan), bundle / "images" / "ball13.nii.gz")
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.json")
    parser["bundle_root"] = str(bundle)
    parser["device"] = "$torch.device('cpu')"
    parser.parse()
    parser.get_parsed_content("run")
    (written,) = (bundle / "eval").rglob("ball13_seg.nii.gz")
    theirs, ours = read_label(written), trained.run.predict(scan)
    assert theirs.same_grid(ours)
    least = 1.0 if own_preparation(bundle) else 0.999  # the same code, or the same arithmetic in other code
    assert np.mean(theirs.data == ours.data) >= least
    assert set(np.unique(theirs.data)) == set(np.unique(ours.data))


def test_full_folder_is_refused(bundle: Path, trained: Trained) -> None:
    with pytest.raises(BadInput, match="not empty"):
        trained.run.export(bundle)
