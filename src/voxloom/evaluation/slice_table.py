"""Dice of every slice of many cases: a row per slice, written as ``slices.csv``, and their mean as one number.

After Utegulov (2020), chapter 4: a slice that is empty in truth and prediction counts as 1, so the mean over all slices flatters; the
mean over the slices with truth stands beside it. Knows label maps and anatomical planes; does not know runs.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.evaluation.case import check_grids
from voxloom.evaluation.limits import limits_of
from voxloom.evaluation.slices import dice_per_slice
from voxloom.evaluation.summary import summarize
from voxloom.files import write_text
from voxloom.volume import Volume, closest_axes

Plane = Literal["sagittal", "coronal", "axial"]
#: Planes by the world axis (RAS) that runs across them.
PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "axial")
#: Columns of ``slices.csv``.
COLUMNS = ("case", "patient", "label", "slice", "dice", "truth")


@dataclass(frozen=True)
class SliceRow:
    """One slice of one label; ``slice`` counts from 0 along the axis of the file, ``truth`` says whether it holds any."""

    case: str
    patient: str
    label: str
    slice: int
    dice: float
    truth: bool


@dataclass
class SliceTable:
    """Dice per slice by case and label, in the order they were added."""

    rows: list[SliceRow] = field(default_factory=list)

    def add(
        self, case: str, prediction: Volume, truth: Volume, labels: Labels, plane: Plane, *, patient: str | None = None
    ) -> None:
        """Cut one case.

        Parameters
        ----------
        prediction, truth : label maps (1, I, J, K) of outer values on one grid; voxels that the truth ignores count nowhere.
        plane : of the slices; the axis of the grid that runs closest to its normal is cut.

        Raises
        ------
        BadInput : the grids differ.
        """
        check_grids(prediction, truth)
        axis = axis_across(truth, plane)
        valid = labels.valid(truth.data[0])
        pairs = zip(labels.masks(prediction.data[0]), labels.masks(truth.data[0]), strict=True)
        for (name, found), (_, true) in pairs:
            if valid is not None:
                found, true = found & valid, true & valid
            filled = np.asarray(true.any(axis=tuple(n for n in range(3) if n != axis)))
            dice = dice_per_slice(found, true, axis)
            self.rows += [
                SliceRow(case, patient or case, name, n, float(value), bool(has))
                for n, (value, has) in enumerate(zip(dice, filled, strict=True))
            ]

    def summary(self) -> dict[str, Any]:
        """Per label: figures of ``summarize`` over all slices (``all``) and over those with truth (``with_truth``).

        Intervals draw patients, whose slices stay together.
        """
        found: dict[str, Any] = {}
        for label in dict.fromkeys(row.label for row in self.rows):
            own = [row for row in self.rows if row.label == label]
            parts = {"all": own, "with_truth": [row for row in own if row.truth]}
            found[label] = {
                n: summarize([r.dice for r in rows], [r.patient for r in rows], limits_of("dice"))
                for n, rows in parts.items()
            }
        return found

    def of_case(self, case: str, label: str) -> list[SliceRow]:
        """The slices of one label of a case, in their order."""
        return [row for row in self.rows if row.case == case and row.label == label]

    def write_csv(self, path: Path) -> Path:
        """Write ``slices.csv``, whole or not at all."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([r.case, r.patient, r.label, r.slice, f"{r.dice:.6g}", int(r.truth)] for r in self.rows)
        write_text(path, text.getvalue())
        return path

    @classmethod
    def read_csv(cls, path: Path) -> SliceTable:
        """The inverse of ``write_csv`` (BadInput for another table)."""
        try:
            with path.open(newline="", encoding="utf-8") as f:
                return cls([_row(line) for line in csv.DictReader(f)])
        except (KeyError, ValueError, TypeError) as error:
            raise BadInput(f"not a table of slices ({error})", path, "Evaluate the run again") from error


def axis_across(volume: Volume, plane: Plane) -> int:
    """The voxel axis (0, 1, 2) that runs closest to the normal of an anatomical plane; of a picture (K = 1) always 2."""
    if volume.shape[2] == 1:
        return 2
    return [world for world, _ in closest_axes(volume.affine)].index(PLANES.index(plane))


def thick_plane(volume: Volume) -> Plane:
    """The plane whose normal runs along the axis of the largest spacing; axial where voxels are cubes."""
    spacing = np.round(volume.spacing, 3)
    if spacing.max() < 1.2 * spacing.min():
        return "axial"
    return PLANES[closest_axes(volume.affine)[int(spacing.argmax())][0]]


def _row(line: dict[str, str]) -> SliceRow:
    numbers = int(line["slice"]), float(line["dice"]), bool(int(line["truth"]))
    return SliceRow(line["case"], line["patient"], line["label"], *numbers)
