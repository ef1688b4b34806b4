"""The section of every fold's training curves. What is drawn of a log is the page's."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxloom.report.parts import Part
from voxloom.runfiles import logged_folds

#: Columns of ``log.csv``.
Columns = dict[str, NDArray[np.float64]]


def curve_parts(run: Path, draw: Callable[[Columns, str], dict[str, str]]) -> list[Part]:
    """The training of every fold that has begun; nothing where none has.

    Parameters
    ----------
    draw : a picture of the columns of a log, with a caption.
    """
    pictures = []
    for fold in logged_folds(run):
        with fold.log.open(encoding="utf-8", newline="") as f:
            rows = list(csv.DictReader(f))
        if rows:
            columns = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
            pictures.append(draw(columns, fold.title))
    return [Part("Training", "", None, pictures)] if pictures else []
