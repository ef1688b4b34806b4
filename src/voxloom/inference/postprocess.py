"""ChosenStep label maps after prediction.

Knows which voxels of a label map a step changes (the steps are in ``mask_steps``). Does not decide
whether a step helps; validation does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.boxes import bounding_box
from voxloom.connected import connected
from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.inference.mask_steps import StepName, Surroundings, run_step


def keep_largest(outer: NDArray[Any], labels: Labels, names: Iterable[str]) -> NDArray[Any]:
    """Remove all but the largest component (26 neighbors) of each named label.

    Parameters
    ----------
    outer : (I, J, K) outer label values; not changed.
    labels : what the values mean.
    names : the labels to process. Removed voxels become background, or the smallest region that encloses the label.

    Returns
    -------
    A new array of the same shape and type.

    Raises
    ------
    BadInput : a name that is not declared.
    """
    out = outer.copy()
    for name in names:
        if name not in labels.names:
            raise BadInput(f"no label is called {name!r}; there are {', '.join(labels.names)}")
        number = labels.names.index(name)
        mask = np.isin(out, labels.foreground[number].values)
        box = bounding_box(mask)
        if box is not None:
            out[box][_scraps(mask[box])] = _enclosing_value(labels, number)
    return out


def apply_step(
    outer: NDArray[Any], labels: Labels, name: str, step: StepName, amount: float, around: Surroundings
) -> NDArray[Any]:
    """Mend one label of a label map.

    Parameters
    ----------
    outer : (I, J, K) outer label values; not changed.
    labels : what the values mean.
    name : the label to process. Removed voxels become background, or the smallest region that encloses the label; voxels are
        gained from the background (or that region) only, so that no other label is written over.
    step, amount, around : see :func:`run_step`.

    Raises
    ------
    BadInput : a name that is not declared, or what the step needs is missing.
    """
    if name not in labels.names:
        raise BadInput(f"no label is called {name!r}; there are {', '.join(labels.names)}")
    number = labels.names.index(name)
    mask = np.isin(outer, labels.foreground[number].values)
    out = outer.copy()
    if not mask.any():
        return out
    left = _enclosing_value(labels, number)
    after = run_step(mask, step, amount, around)
    out[mask & ~after] = left
    out[after & ~mask & (outer == left)] = labels.written_values[number]
    return out


def _scraps(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """All voxels of a mask but its largest component; of equally large ones the first is kept."""
    numbered = connected(mask)
    sizes = np.bincount(numbered.ravel())
    sizes[0] = 0
    scraps: NDArray[np.bool_] = mask & (numbered != sizes.argmax())
    return scraps


def _enclosing_value(labels: Labels, number: int) -> int:
    """What a removed label leaves: the value written for the smallest region around it, else the background."""
    own = set(labels.foreground[number].values)
    around = [n for n, label in enumerate(labels.foreground) if own < set(label.values)]
    if not around:
        return labels.background
    return labels.written_values[min(around, key=lambda n: len(labels.foreground[n].values))]
