"""The pelvis has three channels on one grid, and raters whose disagreement is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.evaluation import dice_score, surface_distances
from voxloom.formats import read_label
from voxloom.phantom import make_phantom, write_phantoms


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms("pelvis-mr", 3, tmp_path_factory.mktemp("pelvis") / "data", seed=2, raters=2)


def test_tumor_is_bright_in_diffusion_and_dark_in_adc(data: Path) -> None:
    dataset = Dataset(data)
    assert dataset.channels == ("T2", "DWI", "ADC")
    for case in dataset:
        image, label = case.read_image().data, case.read_label()
        assert label is not None
        assert image.shape[0] == 3
        tumor = label.data[0] == 1
        inside = image[0] > np.quantile(image[0], 0.2)
        assert np.median(image[1][tumor]) > 2 * np.median(image[1][inside])
        assert np.median(image[2][tumor]) < 0.5 * np.quantile(image[2], 0.999)
    assert {"field_strength", "slice_mm", "fov_mm", "tumor_ml"} <= set(dataset.cases[0].attributes)


def test_raters_disagree_as_much_as_was_asked_for(data: Path) -> None:
    volumes: dict[str, list[float]] = {}
    for path in sorted((data / "labelsTr").iterdir()):
        truth = read_label(path)
        drawn = {name: read_label(data / "raters" / name / path.name) for name in ("R1", "R2")}
        assert all(d.same_grid(truth) for d in drawn.values())
        for name, d in drawn.items():
            volumes.setdefault(name, []).append(float(d.data.sum() / truth.data.sum()))
        masks = [d.data[0] == 1 for d in drawn.values()]
        assert 0.6 < dice_score(*masks) < 0.99
        assert surface_distances(*masks, truth.spacing).assd < 2.5
    assert min(volumes["R1"]) > max(volumes["R2"]), "R1 draws outside, R2 inside"


def test_the_same_seed_gives_the_same_readings(data: Path, tmp_path: Path) -> None:
    again = write_phantoms("pelvis-mr", 1, tmp_path / "again", seed=2, raters=1)
    path = "raters/R1/pelvis_000.nii.gz"
    assert np.array_equal(read_label(again / path).data, read_label(data / path).data)
    assert not (again / "raters" / "R2").exists()
    assert np.array_equal(
        make_phantom("pelvis-mr", 2).label.data, read_label(again / "labelsTr/pelvis_000.nii.gz").data
    )


def test_several_channels_are_not_written_as_dicom(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="several channels"):
        write_phantoms("pelvis-mr", 1, tmp_path / "data", dicom=True)
    assert not (tmp_path / "data").exists()
