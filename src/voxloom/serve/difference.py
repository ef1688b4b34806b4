"""Where a predicted label map differs from the truth, or from what somebody drew."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from voxloom.evaluation.case import check_grids
from voxloom.formats import read_label, write_volume
from voxloom.serve.store import Store, Version

#: Values of the map.
ONLY_PREDICTED, ONLY_TRUE, OTHER_LABEL = 1, 2, 3


def difference_map(store: Store, case: str, prediction: Path, version: Version | None) -> bytes:
    """A NIfTI file on the grid of the scan with the values above.

    Parameters
    ----------
    version : the drawing that the prediction is compared with; None takes the truth.

    Raises
    ------
    NotThere : there is no truth.
    BadInput : the grids differ.
    """
    other = store.truth(case) if version is None else store.drawings(case).file(version)
    found, true = read_label(prediction), read_label(other)
    check_grids(found, true)
    a, b = found.data, true.data
    values = np.zeros(a.shape, np.uint8)
    values[(a != 0) & (b == 0)] = ONLY_PREDICTED
    values[(a == 0) & (b != 0)] = ONLY_TRUE
    values[(a != 0) & (b != 0) & (a != b)] = OTHER_LABEL
    with tempfile.TemporaryDirectory() as folder:
        return write_volume(found.with_data(values), Path(folder) / "difference.nii.gz").read_bytes()
