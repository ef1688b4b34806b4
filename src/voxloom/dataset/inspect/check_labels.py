"""Checks of label maps and classes: empty, rare, tiny, scattered, unbalanced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from voxloom.dataset.inspect.fingerprint import Fingerprint
from voxloom.dataset.inspect.problem import Problem, about, counted
from voxloom.dataset.tables import name_some

#: A label below this share of all voxels, or below this many voxels in the median case, is small.
_SMALL_SHARE = 1e-3
_SMALL_VOXELS = 100
_RARE = 0.2
_MOSTLY = 0.9
_UNBALANCED = 3.0
_LABELS_SHOWN = 4


def empty_labels(found: Fingerprint) -> Iterator[Problem]:
    """Label maps without any labeled voxel."""
    cases = found.labeled
    empty = [case.id for case in cases if not any(case.label_voxels.values())]
    if empty and len(empty) == len(cases):
        yield about(
            "error", empty, "no label map holds a labeled voxel", "Check the label files and the declared values"
        )
    elif empty:
        yield about(
            "warning",
            empty,
            f"{counted(len(empty))} with an empty label map: {{cases}}",
            "Right if the structure is absent there; else label them or leave them out",
        )


def rare_labels(found: Fingerprint) -> Iterator[Problem]:
    """Labels that few cases have, or none."""
    cases = found.labeled
    counts = {name: sum(bool(case.label_voxels.get(name)) for case in cases) for name in found.label_names}
    absent = [name for name, n in counts.items() if n == 0]
    if absent and len(absent) < len(counts):
        yield Problem(
            "warning",
            None,
            f"declared, but in no case: {name_some(absent, _LABELS_SHOWN)}",
            "Remove from the labels, or label them",
        )
    rare = {name: n for name, n in counts.items() if 0 < n < _RARE * len(cases)}
    if rare and len(cases) > 4:
        told = [f"{name} ({n})" for name, n in sorted(rare.items(), key=lambda item: item[1])]
        yield Problem(
            "note",
            None,
            f"in fewer than {_RARE * len(cases):.0f} of {len(cases)} cases: {name_some(told, _LABELS_SHOWN)}",
            "Stratify the folds by label volume; figures for such labels are uncertain",
        )


def small_labels(found: Fingerprint) -> Iterator[Problem]:
    """Structures that a network could miss without much loss."""
    small = []
    for name, share in sorted(found.label_frequencies.items(), key=lambda item: item[1]):
        sizes = [case.label_voxels[name] for case in found.labeled if case.label_voxels.get(name)]
        if sizes and (share < _SMALL_SHARE or np.median(sizes) < _SMALL_VOXELS):
            small.append(f"{name} ({100 * share:.2g} % of all voxels, median {np.median(sizes):.0f} voxels)")
    if small:
        yield Problem(
            "warning",
            None,
            f"{counted(len(small), 'small label')}: {name_some(small, _LABELS_SHOWN)}",
            "Training samples patches around every label and its loss counts each label alike, so they are seen; "
            "choose a spacing that keeps them",
        )


def scattered_labels(found: Fingerprint) -> Iterator[Problem]:
    """Labels in one piece nearly everywhere, but in several in a few cases: often stray voxels."""
    odd: dict[str, list[str]] = {}
    for name in found.label_names:
        pieces = {case.id: case.components[name] for case in found.labeled if case.components.get(name)}
        several = [case for case, n in pieces.items() if n > 1]
        if len(pieces) >= 5 and len(several) <= (1 - _MOSTLY) * len(pieces):
            for case in several:
                odd.setdefault(case, []).append(f"{name} in {pieces[case]} pieces")
    if odd:
        told = [f"{case} ({name_some(labels, _LABELS_SHOWN)})" for case, labels in odd.items()]
        yield Problem(
            "note",
            None,
            f"labels in several pieces that are in one piece nearly everywhere else: {name_some(told)}",
            "Look for stray voxels",
            tuple(odd),
        )


def class_balance(found: Fingerprint) -> Iterator[Problem]:
    """Classes of very different size, and what always naming the largest one would score."""
    if found.task != "classification":
        return
    counts = Counter(found.class_counts)
    if not counts:
        return
    (most, n), (least, few) = counts.most_common()[0], counts.most_common()[-1]
    if n >= _UNBALANCED * few:
        share = n / sum(counts.values())
        yield Problem(
            "note",
            None,
            f"class {most} has {n} cases, class {least} only {few}; always saying {most} scores {100 * share:.1f} %",
            "Judge by the area under the ROC curve or balanced accuracy, and stratify folds by class",
        )
