"""Channels of DICOM on other grids: laid over the first by the geometry, as ``select`` does it, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from tests.archive.make import uid
from voxloom.archive.align import align
from voxloom.errors import BadInput
from voxloom.formats import read_volume, write_volume
from voxloom.formats.dicom import write_series
from voxloom.notes import collect
from voxloom.run.scans import Scan, read_channels, read_scan, resampled_channels
from voxloom.volume import Volume

FINE = np.diag([1.0, 1.0, 2.0, 1.0])


def coarse(**place: float) -> np.ndarray:
    """The affine of a channel with larger voxels, shifted along an axis."""
    affine = np.diag([2.0, 2.0, 4.0, 1.0])
    for axis, name in enumerate("ijk"):
        affine[axis, 3] = place.get(name, 0.0)
    return affine


def series(folder: Path, name: str, affine: np.ndarray, frame: str = "frame", patient: str = "P") -> Path:
    """A folder with a series of 12 x 10 x 6 voxels."""
    data = np.random.default_rng(len(name)).integers(0, 900, (1, 12, 10, 6)).astype(np.int16)
    template = {"SeriesInstanceUID": uid("series", name), "PatientID": patient}
    template["FrameOfReferenceUID"] = uid("frame", frame)
    for path in write_series(Volume(data, affine, {"modality": "MR"}), folder / name, template=template):
        if not frame:
            whole = pydicom.dcmread(path)
            del whole.FrameOfReferenceUID
            whole.save_as(path)
    return folder / name


def test_a_channel_is_laid_over_the_first_as_for_training(tmp_path: Path) -> None:
    paths = [series(tmp_path, "first", FINE), series(tmp_path, "second", coarse(k=4.0))]
    with collect() as notes:
        whole = read_channels(paths)
    first, second = (read_volume(path) for path in paths)
    placed = align(second, first)
    np.testing.assert_array_equal(whole.data, np.concatenate([first.data, placed.data]))
    np.testing.assert_array_equal(whole.affine, first.affine)
    share = 100 * placed.meta["covered"]
    assert 0 < share < 100
    how = f"resampled by the DICOM geometry, covers {share:.3g} % of the grid"
    assert resampled_channels(whole, ("T1", "T2")) == {"T2": how}
    assert [note.text for note in notes] == [f"lies on another grid than {paths[0]}: {how}"]


def test_channels_keep_their_names_beside_missing_ones(tmp_path: Path) -> None:
    paths = (series(tmp_path, "first", FINE), series(tmp_path, "second", coarse()))
    volume = read_scan(Scan("scan", paths, ".nii.gz", missing=(1,)))
    assert list(resampled_channels(volume, ("T1", "T1c", "T2"))) == ["T2"]
    alike = read_scan(Scan("scan", (paths[0], series(tmp_path, "third", FINE)), ".nii.gz"))
    assert resampled_channels(alike, ("T1", "T2")) == {}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"frame": "another"}, ": the channels have different frames of reference, so that their places cannot be"),
        ({"frame": ""}, "\\. Resample the channels onto one grid first"),
        ({"patient": "Q"}, ", and is of another patient"),
        ({"affine": coarse(k=400.0)}, ": the channels do not overlap"),
    ],
)
def test_what_cannot_be_laid_over_the_first_is_refused(tmp_path: Path, other: dict[str, object], why: str) -> None:
    wanted: dict[str, object] = {"affine": coarse(), **other}
    paths = [series(tmp_path, "first", FINE), series(tmp_path, "second", **wanted)]  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=f"lies on another grid than .*first{why}"):
        read_channels(paths)


def test_files_that_do_not_say_how_they_lie_are_refused(tmp_path: Path) -> None:
    for name, affine in (("a", FINE), ("b", coarse())):
        write_volume(Volume(np.zeros((1, 4, 4, 4), np.int16), affine), tmp_path / f"{name}.nii.gz")
    with pytest.raises(BadInput, match="another grid than .*a.nii.gz. Resample the channels onto one grid first"):
        read_channels([tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"])
