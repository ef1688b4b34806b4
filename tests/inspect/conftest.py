"""Small data sets with known faults, written without Voxloom's own writers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from voxloom.dataset import Dataset

SHAPE = (12, 10, 8)
Make = Callable[..., Dataset]


def volume(seed: int, scale: float = 1.0) -> Any:
    """Noise between 0 and ``scale`` x 100."""
    return (np.random.default_rng(seed).random(SHAPE) * 100 * scale).astype(np.float32)


def block(value: int = 1, size: int = 4) -> Any:
    """A cube of a value in a corner."""
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[1 : 1 + size, 1 : 1 + size, 1 : 1 + size] = value
    return mask


def write(path: Path, data: Any, affine: Any = None) -> Path:
    """A NIfTI file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    return path


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make an nnU-Net raw set of ``count`` cases c00, c01, ...; ``images`` and ``labels`` replace single ones."""

    def build(
        count: int = 6,
        images: dict[str, Any] | None = None,
        labels: dict[str, Any] | None = None,
        names: dict[str, Any] | None = None,
        channel: str = "MR",
        affines: dict[str, Any] | None = None,
    ) -> Dataset:
        root = tmp_path / "Dataset001_Toy"
        for n in range(count):
            case = f"c{n:02d}"
            affine = (affines or {}).get(case)
            write(root / "imagesTr" / f"{case}_0000.nii.gz", (images or {}).get(case, volume(n)), affine)
            write(root / "labelsTr" / f"{case}.nii.gz", (labels or {}).get(case, block()), affine)
        about = {
            "channel_names": {"0": channel},
            "labels": names or {"background": 0, "organ": 1},
            "numTraining": count,
            "file_ending": ".nii.gz",
        }
        (root / "dataset.json").write_text(json.dumps(about))
        return Dataset(root)

    return build
