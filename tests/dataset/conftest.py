"""Tiny data sets on disk, written without Voxloom's own writers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

Write = Callable[..., Path]
SHAPE = (6, 5, 4)


def write_nifti(path: Path, values: Any = 0, affine: Any = None) -> Path:
    """A NIfTI file; a number gives a block of that value in a corner of a small volume of zeros."""
    data = np.asarray(values)
    if data.ndim == 0:
        block = np.zeros(SHAPE, dtype=np.uint16)
        block[:3, :2, :2] = data
        data = block
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, np.diag([2.0, 1.0, 1.0, 1.0]) if affine is None else affine), path)
    return path


def write_picture(path: Path, values: Any) -> Path:
    """A PNG or TIFF of an array (rows, columns[, 3])."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype=np.uint8)).save(path)
    return path


def write_text(path: Path, text: str) -> Path:
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def nifti() -> Write:
    """``write_nifti``."""
    return write_nifti


@pytest.fixture
def picture() -> Write:
    """``write_picture``."""
    return write_picture


@pytest.fixture
def text() -> Write:
    """``write_text``."""
    return write_text


@pytest.fixture
def make_nnunet(tmp_path: Path) -> Write:
    """Make an nnU-Net raw set of two channels: cases a, b, c with the label values given per case."""

    def make(
        values: dict[str, Any] | None = None, about: dict[str, Any] | None = None, name: str = "Dataset001_T"
    ) -> Path:
        root = tmp_path / name
        for case, value in (values or {"a": 1, "b": 2, "c": 1}).items():
            for channel in range(2):
                write_nifti(root / "imagesTr" / f"{case}_{channel:04d}.nii.gz", 7 + channel)
            write_nifti(root / "labelsTr" / f"{case}.nii.gz", value)
        described = {
            "channel_names": {"0": "T1", "1": "CT"},
            "labels": {"background": 0, "cord": 1, "disc": 2},
            "numTraining": len(values or "abc"),
            "file_ending": ".nii.gz",
        }
        (root / "dataset.json").write_text(json.dumps({**described, **(about or {})}))
        return root

    return make


@pytest.fixture
def make_msd(tmp_path: Path) -> Write:
    """Make a Decathlon set of one modality: training cases a, b, c and one test case."""

    def make(about: dict[str, Any] | None = None) -> Path:
        root = tmp_path / "Task01_T"
        for case in "abc":
            write_nifti(root / "imagesTr" / f"{case}.nii.gz", 7)
            write_nifti(root / "labelsTr" / f"{case}.nii.gz", 1)
        write_nifti(root / "imagesTs" / "t.nii.gz", 7)
        described = {
            "name": "Toy",
            "modality": {"0": "MRI"},
            "labels": {"0": "background", "1": "cord"},
            "training": [{"image": f"./imagesTr/{c}.nii.gz", "label": f"./labelsTr/{c}.nii.gz"} for c in "abc"],
            "test": ["./imagesTs/t.nii.gz"],
        }
        (root / "dataset.json").write_text(json.dumps({**described, **(about or {})}))
        return root

    return make
