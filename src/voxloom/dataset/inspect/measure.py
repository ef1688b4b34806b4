"""All facts of one case, read once.

Knows that a broken image or label is a fact, not an error: it becomes the case's ``problem``. Runs in worker processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.case import Case, grid_difference
from voxloom.dataset.inspect.components import count_components
from voxloom.dataset.inspect.facts import CaseFacts
from voxloom.dataset.inspect.intensities import describe_channel
from voxloom.dataset.inspect.likeness import likeness
from voxloom.dataset.inspect.masks import follows_label
from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.notes import collect
from voxloom.volume import Volume

_LARGEST_COUNTED = 1 << 16
#: Is shown a case and its image (C, I, J, K) as they are measured.
Looker = Callable[[Case, Volume], None]


def measure_case(task: tuple[Case, Labels | None], look: Looker | None = None) -> CaseFacts:
    """Facts of a case; without declared labels every value found counts as a label ``label_<value>``.

    ``look`` is shown the image too, where it can be read.
    """
    case, declared = task
    faults: list[BadInput] = []
    with collect() as heard:
        image = _image(case, faults)
        label = _label(case, faults)
    facts = CaseFacts(case.id, has_label=case.label is not None, target=case.target, split=case.split)
    inside, names = None, dict(zip(case.channel_numbers, case.images, strict=True))
    if label is not None:
        facts = _add_label(facts, label, declared, faults)
        if image is not None and _on_one_grid(case, image, label, faults):
            inside = _foreground(label.data[0], declared)
            told = tuple(name for n, name in names.items() if follows_label(image.data[n], label.data[0]))
            facts = replace(facts, label_channels=told)
    if image is not None:
        facts = _add_image(facts, image, names, inside)
        if look is not None:
            look(case, image)
    facts = replace(facts, notes=tuple(dict.fromkeys(note.text for note in heard)))
    if faults:
        facts = replace(facts, problem="; ".join(_told(f) for f in faults), fix=faults[0].fix)
    return facts


def _image(case: Case, faults: list[BadInput]) -> Volume | None:
    try:
        return case.read_image()
    except BadInput as fault:
        faults.append(fault)
        return None


def _label(case: Case, faults: list[BadInput]) -> Volume | None:
    if case.label is None:
        return None
    try:
        return case.label_alone()
    except BadInput as fault:
        faults.append(fault)
        return None


def _on_one_grid(case: Case, image: Volume, label: Volume, faults: list[BadInput]) -> bool:
    difference = grid_difference(label.shape, label.affine, image.shape, image.affine)
    if difference:
        what = f"the label does not lie on its image: {difference} (label against image)"
        faults.append(BadInput(what, label.meta.get("source"), "Export the label on the grid of the image"))
    return difference is None


def _add_image(facts: CaseFacts, image: Volume, names: dict[int, str], inside: NDArray[np.bool_] | None) -> CaseFacts:
    """The facts with those of the image; ``names`` by channel number, without the missing ones."""
    like = likeness(image.data, image.affine)
    return replace(
        facts,
        shape=image.shape,
        spacing=image.spacing,
        unit=image.unit,
        modality=str(image.meta.get("modality", "")),
        orientation=image.orientation,
        sha256=like.digest,
        sketch=like.sketch,
        parts=tuple((one.digest, one.sketch) for one in like.channels),
        channels={name: describe_channel(image.data[n], inside) for n, name in names.items()},
    )


def _foreground(outer: NDArray[Any], labels: Labels | None) -> NDArray[np.bool_]:
    background, ignore = (0, None) if labels is None else (labels.background, labels.ignore)
    return outer != background if ignore is None else (outer != background) & (outer != ignore)


def _add_label(facts: CaseFacts, label: Volume, declared: Labels | None, faults: list[BadInput]) -> CaseFacts:
    counts = count_values(label.data[0])
    named = {int(v): str(name) for v, name in label.meta.get("segments", {}).items()}
    facts, source = replace(facts, label_values=counts, segments=named), label.meta.get("source")
    if min(counts, default=0) < 0:
        faults.append(BadInput(f"label value {min(counts)} is negative", source, "Use 0 and above"))
        return facts
    labels = declared if declared is not None or not set(counts) - {0} else Labels.from_values(counts)
    if labels is None:
        return facts
    if declared is not None and (wrong := contradicted(named, declared)):
        fix = "Correct the values in dataset.json, or number the segments alike in every file"
        faults.append(BadInput(f"names label {wrong}", source, fix))
    if unknown := sorted(set(counts) - set(labels.declared)):
        faults.append(_undeclared(unknown, labels, source))
    return replace(
        facts,
        label_voxels={lab.name: sum(counts.get(v, 0) for v in lab.values) for lab in labels.foreground},
        components=count_components(label.data[0], labels),
        ignore_voxels=0 if labels.ignore is None else counts.get(labels.ignore, 0),
    )


def contradicted(segments: Mapping[int, str], labels: Labels) -> str | None:
    """In words, the first label to which a file and the data set give other values; None where they agree.

    A name that the data set does not know contradicts nothing.
    """
    values = {label.name.strip().lower(): label.values for label in labels.foreground}
    for value, name in segments.items():
        if value not in values.get(name.strip().lower(), (value,)):
            known = " or ".join(str(v) for v in values[name.strip().lower()])
            return f"{value} {name}, which is declared as {known}"
    return None


def _undeclared(values: list[int], labels: Labels, source: Any) -> BadInput:
    shown = ", ".join(str(v) for v in values[:8]) + (", ..." if len(values) > 8 else "")
    one = "value" if len(values) == 1 else "values"
    low, high = min(labels.declared), max(labels.declared)
    return BadInput(
        f"label {one} {shown} not declared (declared: {low} to {high})",
        source,
        "Declare the value in dataset.json, or correct the label file",
    )


def count_values(data: NDArray[Any]) -> dict[int, int]:
    """Voxels per value of an integer array, slab by slab."""
    found: dict[int, int] = {}
    depth = max(1, (1 << 22) // max(1, data[..., :1].size))
    for start in range(0, data.shape[-1], depth):
        slab = data[..., start : start + depth].ravel(order="K")
        if slab.min() >= 0 and slab.max() < _LARGEST_COUNTED:
            counts = np.bincount(slab)
            values = np.flatnonzero(counts)
            pairs = zip(values, counts[values], strict=True)
        else:
            pairs = zip(*np.unique(slab, return_counts=True), strict=True)
        for value, count in pairs:
            found[int(value)] = found.get(int(value), 0) + int(count)
    return dict(sorted(found.items()))


def _told(fault: BadInput) -> str:
    return f"{fault.where}: {fault.what}" if fault.where is not None else fault.what
