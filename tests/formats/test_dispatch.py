"""Which reader a source gets, and that importing the package stays light."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.formats import ENDINGS, format_of, read_header, read_volume, write_volume
from voxloom.volume import Volume


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.nii", "nifti"),
        ("A.NII.GZ", "nifti"),
        ("a.b.mha", "metaimage"),
        ("a.mhd", "metaimage"),
        ("a.nrrd", "nrrd"),
        ("a.png", "picture"),
        ("a.TIFF", "picture"),
        ("a.dcm", "dicom"),
    ],
)
def test_endings(name: str, expected: str) -> None:
    assert format_of(name) == expected


def test_folder_and_content_decide_for_dicom(series: Callable[..., Path], tmp_path: Path) -> None:
    folder = series()
    assert format_of(folder) == "dicom"
    bare = (folder / "0001.dcm").rename(tmp_path / "IM0001")
    assert format_of(bare) == "dicom"
    assert read_volume(bare).shape == (4, 5, 1)


def test_wrong_endings(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_text("no image")
    for name in ("a.docx", "a.gz"):
        with pytest.raises(BadInput):
            read_volume(tmp_path / name)
    with pytest.raises(BadInput, match=r"the ending is none of \.nii\.gz, \.nii"):
        write_volume(Volume(np.zeros((1, 2, 2, 2)), np.eye(4)), tmp_path / "a.docx")
    (tmp_path / "b.nii").write_text("This is text that only claims to be a volume.")
    with pytest.raises(BadInput, match="is not a NIfTI file"):
        read_header(tmp_path / "b.nii")


def test_endings_are_longest_first() -> None:
    assert ENDINGS[0] == ".nii.gz"
    assert ".dcm" not in ENDINGS


def test_importing_is_light() -> None:
    heavy = "nibabel SimpleITK pydicom scipy PIL pandas matplotlib torch"
    code = f"import sys, voxloom.formats; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
