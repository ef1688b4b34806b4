"""What results say of a label, a mark or a statement, in the terms of DICOM: plain values.

Knows codes, segments, marks, measured figures and who answers for them. Reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Stands in every object that a network's answer goes into.
NOTE = "Research only, not for diagnosis"

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Code:
    """A coded concept: value, scheme (``SCT`` is SNOMED CT) and meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Meaning:
    """What a label is, by codes.

    Parameters
    ----------
    category, type : of the structure (DICOM PS3.16 CID 7150 and 7151).
    modifiers : of the type: side, and the like (CID 244).
    region : where an abnormality lies.
    color : red, green, blue, 0 to 255.
    generic : whether no code is known for the label.
    """

    category: Code
    type: Code
    modifiers: tuple[Code, ...] = ()
    region: Code | None = None
    color: Color | None = None
    generic: bool = False


@dataclass(frozen=True)
class Segment:
    """One label of a map: its value in the voxels, its name and what it is."""

    value: int
    name: str
    meaning: Meaning


@dataclass(frozen=True)
class Mark:
    """One named position in RAS millimetres; ``confidence`` from 0 to 1 where it was predicted."""

    name: str
    position: tuple[float, float, float]
    confidence: float | None = None


@dataclass(frozen=True)
class Figure:
    """A number that was predicted or measured.

    Parameters
    ----------
    name : of what it is.
    value : in ``unit`` (UCUM; ``"1"`` for none).
    low, high : ends of the interval that holds the truth with ``promise``; None without one.
    label : name of the segment that it was measured of; "" for the whole scan.
    """

    name: str
    value: float
    unit: str = "1"
    low: float | None = None
    high: float | None = None
    promise: float | None = None
    label: str = ""


@dataclass(frozen=True)
class Statement:
    """An answer in words: what was asked, what the answer is, how likely it is."""

    name: str
    answer: str
    probability: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Author:
    """Who answers for a result.

    Parameters
    ----------
    name : of the run, or of who drew a mask.
    version : hash of the weights; of a mask by hand "".
    by_hand : whether people made it.
    parameters : name and value of what a run was given beside the images, e.g. that a channel was resampled (Algorithm Parameters).
    """

    name: str
    version: str = ""
    by_hand: bool = False
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def says(self) -> str:
        """By whom or for what it is, in short."""
        return "Drawn by hand" if self.by_hand else NOTE

    @property
    def note(self) -> str:
        """What stands where an object has room for a text: ``says``, and the parameters."""
        return ". ".join([self.says, *(f"{name}: {value}" for name, value in self.parameters)])


@dataclass(frozen=True, eq=False)
class Findings:
    """All that a prediction says of one scan.

    Parameters
    ----------
    mask : label values (I, J, K) on the scan's grid; None where nothing was outlined.
    names : label by its value in ``mask``.
    probabilities : (L, I, J, K) 0 to 1, of the labels in the order of ``names``; None where not asked for.
    marks : named positions.
    figures, statements : numbers and answers in words.
    """

    mask: NDArray[Any] | None = None
    names: Mapping[int, str] = field(default_factory=dict)
    probabilities: NDArray[np.floating[Any]] | None = None
    marks: tuple[Mark, ...] = ()
    figures: tuple[Figure, ...] = ()
    statements: tuple[Statement, ...] = ()
