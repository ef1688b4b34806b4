"""The section on single structures of a run's page: how many were found, and how well each, counted from the head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.dataset.tables import read_table
from voxloom.evaluation.instances import LEAST_IOU
from voxloom.evaluation.statistics import bland_altman, interval_text
from voxloom.evaluation.units import volume_unit
from voxloom.report.parts import Part, number, picture, table_of
from voxloom.report.plots import bland_altman_plot

#: Fewer pairs than this have no limits of agreement.
_LEAST = 3


def structure_parts(summary: Mapping[str, Any], run: Path) -> Iterator[Part]:
    """A section for the held-out, the test and the external cases, where their structures were counted.

    Parameters
    ----------
    summary : of the run (``summary.json``).
    run : its folder, which holds the tables.
    """
    external = [
        (f"External cases of {name}", kept, run / kept["folder"])
        for name, kept in (summary.get("external") or {}).items()
    ]
    sets = [
        ("Held-out cases", summary.get("validation"), run),
        ("Test cases", summary.get("test"), run / "test"),
        *external,
    ]
    for name, kept, folder in sets:
        figures = (kept or {}).get("structures")
        if figures and figures["true"]:
            yield _part(name, figures)
            if (part := agreement_part(name, folder / "structures.csv")) is not None:
                yield part


@dataclass(frozen=True)
class Volumes:
    """True and predicted volumes of structures that were found, with case and patient of each."""

    true: np.ndarray
    found: np.ndarray
    patients: list[str]
    kinds: list[str]
    unit: str

    @classmethod
    def read(cls, path: Path) -> Volumes:
        """Of a ``structures.csv``."""
        rows = [row for row in read_table(path) if row.get("number") and row.get("predicted_number")]
        column = next((n for n in (rows[0] if rows else {}) if n.startswith("volume_ml_truth")), "volume_ml_truth")
        other = column.replace("truth", "prediction")
        true, found = (np.array([float(row[name]) for row in rows]) for name in (column, other))
        kinds = [f"{row['number']} {row['label']}" for row in rows]
        unit = "mm" if column == "volume_ml_truth" else "pixel"
        return cls(true, found, [str(row["patient"]) for row in rows], kinds, unit)

    def of(self, kind: str) -> Volumes:
        """Those of one number and label."""
        own = [n for n, name in enumerate(self.kinds) if name == kind]
        return Volumes(self.true[own], self.found[own], [self.patients[n] for n in own], [kind] * len(own), self.unit)


def agreement_part(name: str, table: Path) -> Part | None:
    """Bland-Altman of the volume of every single structure, as Kaliyugarasan et al. (fastMONAI thesis, paper E, figure 2) show it.

    None where fewer than three structures were found.
    """
    volumes = Volumes.read(table) if table.is_file() else None
    if volumes is None or len(volumes.true) < _LEAST:
        return None
    ml = volume_unit(volumes.unit)
    kinds = {kind: volumes.of(kind) for kind in sorted(set(volumes.kinds), key=lambda k: int(k.split(" ")[0]))}
    rows = [_agreement("all", volumes), *(_agreement(k, own) for k, own in kinds.items() if len(own.true) >= _LEAST)]
    figure, _ = bland_altman_plot(
        volumes.found, volumes.true, ("prediction", "truth"), ml, groups=volumes.patients, colored=True
    )
    text = (
        "Volumes of the structures that were found: mean of prediction minus truth, and the limits that hold 95 % of the differences, "
        "by number from the head. Structures of one patient are not independent: the limits hold both variances, between and within "
        "patients. In the picture every color is a patient."
    )
    head = ["Structure", "Found", f"Bias, {ml} [95 % CI]", f"Limits of agreement, {ml}"]
    drawn = [picture(figure, "Volume of every structure: difference over mean")]
    return Part(f"{name}: volumes of structures", text, table_of(head, rows), drawn)


def _agreement(kind: str, volumes: Volumes) -> list[object]:
    found = bland_altman(volumes.found, volumes.true, groups=volumes.patients)
    limits = f"{found.lower.value:.3f} to {found.upper.value:.3f}"
    return [kind, len(volumes.true), found.bias.text(3), limits]


def _part(name: str, figures: Mapping[str, Any]) -> Part:
    text = (
        f"Of {figures['true']} true structures {figures['found']} were found and {figures['missed']} missed; {figures['extra']} were "
        f"predicted where there is none. {figures['same_number']} of those found have the right number from the head. Found: "
        f"IoU of at least {LEAST_IOU:g}. A missed "
        "structure counts as Dice 0. Volumes and places are in structures.csv."
    )
    rows = [
        [
            kind,
            dice["n"],
            f"{number(dice['mean'])} [{interval_text(dice['ci'], 3)}]",
            number(dice["median"]),
            number(dice["sd"]),
            number(dice["min"]),
        ]
        for kind, dice in figures["dice"].items()
    ]
    head = ["Structure", "Cases", "Dice, mean [95 % CI]", "Median", "SD", "Lowest"]
    return Part(f"{name}: structures from head to feet", text, table_of(head, rows))
