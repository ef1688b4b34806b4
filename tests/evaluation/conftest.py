"""Spheres drawn by simulated raters, whose agreement is known beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxloom.formats import write_volume
from voxloom.phantom.rater import simulate_rater

from .drawn import TUMOR, sphere


@pytest.fixture(scope="session")
def readings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Twelve tumors: R1 draws 0.5 mm outside, R2 0.5 mm inside, the model 1.5 mm outside; all wobble by 0.3 mm."""
    root = tmp_path_factory.mktemp("readings with spaces é")
    for n, radius in enumerate(np.linspace(8, 17, 12)):
        truth = sphere(float(radius))
        for m, (name, bias) in enumerate((("R1", 0.5), ("R2", -0.5), ("model", 1.5))):
            drawn = simulate_rater(truth, TUMOR, bias_mm=bias, wobble_mm=0.3, seed=10 * n + m)
            write_volume(drawn, root / name / f"case{n:02d}.nii.gz")
    return {name: root / name for name in ("R1", "R2", "model")}
