"""Labels: which voxel values mean what, inside Voxloom and in the user's files.

Knows names, any outer integer values, regions (nested or overlapping groups of values), the background and the ignore
value, and how to go between the outer values and consecutive inner ones (0 background, 1..n the distinct foreground
values in ascending order, n + 1 ignored). Does not read files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput

_LARGEST_TABLE = 1 << 20
_SHOWN = 8


@dataclass(frozen=True)
class Label:
    """One structure: its name and the outer voxel values that belong to it (more than one value makes a region)."""

    name: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class Labels:
    """All labels of a data set.

    Parameters
    ----------
    foreground : the structures. Without regions they are kept in ascending order of their values.
    ignore : outer value of voxels that nobody annotated; training, planning and evaluation leave them out.
    background : outer value of everything else.
    regions_order : with regions, the outer value written for each label; a later label is written over an earlier one
        (nnU-Net's ``regions_class_order``). None: each label's smallest value that no later label has.

    Raises
    ------
    BadInput : negative or repeated values, repeated or empty names, no label at all, or an ignore or background value
        that also means a structure.
    """

    foreground: tuple[Label, ...]
    ignore: int | None = None
    background: int = 0
    regions_order: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        cleaned = tuple(
            Label(str(label.name), tuple(sorted(int(v) for v in label.values))) for label in self.foreground
        )
        object.__setattr__(self, "foreground", cleaned)
        _check(self)
        if not self.has_regions:
            object.__setattr__(self, "foreground", tuple(sorted(cleaned, key=lambda label: label.values)))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the foreground labels, in their order."""
        return tuple(label.name for label in self.foreground)

    @property
    def atoms(self) -> tuple[int, ...]:
        """The distinct outer foreground values in ascending order; inner index n stands for ``atoms[n - 1]``."""
        return tuple(sorted({value for label in self.foreground for value in label.values}))

    @property
    def count(self) -> int:
        """Number of foreground labels."""
        return len(self.foreground)

    @property
    def has_regions(self) -> bool:
        """Whether a label has several values or shares one with another label."""
        return any(len(label.values) > 1 for label in self.foreground) or len(self.atoms) < self.count

    @property
    def ignore_index(self) -> int | None:
        """Inner index of ignored voxels, or None where nothing is ignored."""
        return None if self.ignore is None else len(self.atoms) + 1

    @property
    def declared(self) -> tuple[int, ...]:
        """Every outer value that a label file may hold, in inner order: background, the atoms, ignore."""
        return (self.background, *self.atoms, *(() if self.ignore is None else (self.ignore,)))

    @property
    def written_values(self) -> tuple[int, ...]:
        """Outer value that is written for each label of a prediction, in label order; later labels lie on top."""
        if self.regions_order is not None:
            return self.regions_order
        values = []
        for n, label in enumerate(self.foreground):
            later = {v for other in self.foreground[n + 1 :] for v in other.values}
            values.append(min(set(label.values) - later or label.values))
        return tuple(values)

    def encode(self, array: NDArray[Any], where: str | Path | None = None) -> NDArray[Any]:
        """Outer values to inner ones, any shape; uint8, or uint16 beyond 253 values.

        ``where`` is the file the array came from, for the message. Raises BadInput naming the undeclared values.
        """
        values = _as_integers(array, where)
        unknown = len(self.declared)
        dtype = np.uint8 if unknown <= np.iinfo(np.uint8).max else np.uint16
        inner = self._by_table(values, unknown, dtype)
        if inner.size and inner.max() == unknown:
            self._refuse(np.unique(values[inner == unknown]), where)
        return inner

    def decode(self, inner: NDArray[Any]) -> NDArray[Any]:
        """Inner values to outer ones, exactly, ignored voxels included; smallest unsigned type that holds them."""
        table = np.array(self.declared, dtype=np.min_scalar_type(max(self.declared)))
        outer: NDArray[Any] = table[inner]
        return outer

    def membership(self) -> NDArray[np.bool_]:
        """Which inner index belongs to which label: bool (count, len(atoms) + 1), column 0 is the background."""
        atoms = (None, *self.atoms)
        return np.array([[atom in label.values for atom in atoms] for label in self.foreground], dtype=bool)

    def masks(self, outer: NDArray[Any]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
        """Yield (name, bool mask of the shape of ``outer``) for each label of an array of outer values."""
        for label in self.foreground:
            mask = outer == label.values[0]
            for value in label.values[1:]:
                mask |= outer == value
            yield label.name, mask

    def valid(self, outer: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Mask of the voxels that count, or None where no value is ignored."""
        return None if self.ignore is None else outer != self.ignore

    def merged(self, name: str, parts: Sequence[str]) -> Labels:
        """The labels with several of them as one, ``name``, in the place of the first; the files' values stay as they are.

        The merged label has the values of all its parts. A prediction writes the smallest of them that no later label has.

        Raises
        ------
        BadInput : fewer than two parts, or one that is not declared.
        """
        if unknown := sorted(set(parts) - set(self.names)):
            known = f"Declared are {', '.join(self.names)}"
            raise BadInput(f"no label is called {', '.join(unknown)}", "labels.merge", known)
        if len(set(parts)) < 2:
            raise BadInput(f"{name} merges fewer than two labels", "labels.merge", "Name at least two")
        values = tuple(sorted({v for label in self.foreground if label.name in parts for v in label.values}))
        first = min(self.names.index(part) for part in parts)
        left = [label for label in self.foreground if label.name not in parts]
        left.insert(sum(other not in parts for other in self.names[:first]), Label(name, values))
        return Labels(tuple(left), ignore=self.ignore, background=self.background)

    def as_one(self, name: str) -> Labels:
        """All labels as one, ``name``; a prediction writes the smallest of their values."""
        return Labels((Label(name, self.atoms),), ignore=self.ignore, background=self.background)

    @classmethod
    def from_nnunet(cls, mapping: Mapping[str, Any], regions_order: Sequence[int] | None = None) -> Labels:
        """From nnU-Net's ``labels`` {name: value or values}, where ``background`` and ``ignore`` are special names."""
        foreground, special = [], {"background": 0, "ignore": None}
        for name, given in mapping.items():
            values = _integers(name, given)
            if name not in special:
                foreground.append(Label(name, values))
            elif len(values) != 1:
                raise BadInput(f"label {name!r} must have one value, not {given!r}", None, "Correct it in dataset.json")
            else:
                special[name] = values[0]
        order = None if regions_order is None else _integers("regions_class_order", regions_order)
        labels = cls(tuple(foreground), ignore=special["ignore"], background=special["background"] or 0)
        return cls(labels.foreground, labels.ignore, labels.background, order if labels.has_regions else None)

    def to_nnunet(self) -> dict[str, int | list[int]]:
        """As nnU-Net's ``labels``, outer values unchanged; ``from_nnunet`` reads it back."""
        mapping: dict[str, int | list[int]] = {"background": self.background}
        for label in self.foreground:
            mapping[label.name] = label.values[0] if len(label.values) == 1 else list(label.values)
        return mapping if self.ignore is None else {**mapping, "ignore": self.ignore}

    @classmethod
    def from_values(cls, values: Iterable[int], names: Mapping[int, str] | None = None) -> Labels:
        """One label per value other than 0, named after it (``label_5``) where ``names`` does not say."""
        named = names or {}
        return cls(tuple(Label(named.get(v, f"label_{v}"), (v,)) for v in sorted({int(v) for v in values} - {0})))

    def _by_table(self, values: NDArray[Any], unknown: int, dtype: Any) -> NDArray[Any]:
        declared = np.array(self.declared, dtype=np.int64)
        order = np.argsort(declared)
        if declared.max() >= _LARGEST_TABLE:
            place = np.searchsorted(declared[order], values).clip(0, len(order) - 1)
            inner = order[place]
            return np.where(declared[inner] == values, inner, unknown).astype(dtype)
        # Index 0 of the table catches negative values, the last one those above every declared value.
        table = np.full(int(declared.max()) + 3, unknown, dtype=dtype)
        table[declared + 1] = np.arange(len(declared))
        if values.size == 0 or (values.min() >= 0 and values.max() <= declared.max()):
            within: NDArray[Any] = table[1:][values]
            return within
        clipped: NDArray[Any] = table[values.astype(np.int64).clip(-1, declared.max() + 1) + 1]
        return clipped

    def _refuse(self, found: NDArray[Any], where: str | Path | None) -> None:
        shown = ", ".join(str(int(v)) for v in found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
        plural = "values" if len(found) > 1 else "value"
        declared = ", ".join(f"{v} {name}" for name, v in list(self.to_nnunet().items())[:40])
        raise BadInput(
            f"label {plural} {shown} not declared; declared are {declared}",
            where,
            "Declare the value (labels in dataset.json, or labels= of Dataset), or correct the label file",
        )


def _check(labels: Labels) -> None:
    if not labels.foreground:
        raise BadInput("no foreground label is declared", None, "Declare at least one label beside the background")
    names = [label.name for label in labels.foreground]
    if repeated := sorted({name for name in names if names.count(name) > 1 or not name.strip()}):
        raise BadInput(
            f"label names must be unique and not empty, found {', '.join(map(repr, repeated))}", None, "Rename"
        )
    for label in labels.foreground:
        if not label.values or len(set(label.values)) < len(label.values):
            raise BadInput(f"label {label.name!r} has no value or one twice: {list(label.values)}", None, "Correct it")
    meaning: dict[tuple[int, ...], str] = {}
    for label in labels.foreground:
        if (other := meaning.setdefault(label.values, label.name)) != label.name:
            shown = label.values[0] if len(label.values) == 1 else list(label.values)
            raise BadInput(f"value {shown} means both {other} and {label.name}", None, "Give each a value of its own")
    if min(labels.declared) < 0:
        raise BadInput(f"label value {min(labels.declared)} is negative", None, "Use values from 0 up")
    for name, value in (("background", labels.background), ("ignore", labels.ignore)):
        if value in labels.atoms:
            shared = next(label.name for label in labels.foreground if value in label.values)
            raise BadInput(f"value {value} means both {name} and {shared}", None, f"Give {name} a value of its own")
    if labels.ignore == labels.background:
        raise BadInput(
            f"value {labels.ignore} means both background and ignore", None, "Give ignore a value of its own"
        )
    order = labels.regions_order
    if order is not None and (len(order) != labels.count or not set(order) <= set(labels.atoms)):
        raise BadInput(
            f"regions_class_order {list(order)} does not fit {labels.count} labels of values {list(labels.atoms)}",
            None,
            "Give one declared value per label, in the order of the labels",
        )


def _integers(name: str, given: Any) -> tuple[int, ...]:
    values = given if isinstance(given, (list, tuple)) else [given]
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        raise BadInput(f"label {name!r} has the value {given!r}, not an integer", None, "Write {name: integer or list}")
    return tuple(values)


def _as_integers(array: NDArray[Any], where: str | Path | None) -> NDArray[Any]:
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind == "b":
        return array.view(np.uint8)
    whole = array.astype(np.int64)
    if not np.array_equal(whole, array):
        raise BadInput("the label holds values that are not integers", where, "Save it as an integer image")
    return whole
