"""Several data sets as one: their cases side by side, each with the name of the set it came from.

Knows what must agree (channels, label values, ids). Does not know which cases train and which test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from voxloom.dataset.case import Case
from voxloom.dataset.dataset import Dataset
from voxloom.dataset.label_match import check_same_labels
from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput


def join_datasets(first: Dataset, others: Sequence[Dataset], also: Labels | None = None) -> Dataset:
    """The cases of all sets with the labels and channels of the first; every case knows its ``origin``.

    Parameters
    ----------
    also : labels that other sets may declare in the place of the first's, such as those that a recipe makes of them.

    Raises
    ------
    BadInput : a set has other channels or other labels than the first, or two sets use one id.
    """
    names = set_names([first, *others])
    cases = [replace(case, origin=names[0]) for case in first]
    origin = {case.id: names[0] for case in cases}
    for other, name in zip(others, names[1:], strict=True):
        check_same_labels([first.labels, *([] if also is None else [also])], other.declared_labels, other.root)
        for case in with_channels(other, first.channels):
            if case.id in origin:
                raise BadInput(
                    f"case {case.id} of {name} and case {case.id} of {origin[case.id]} have one id",
                    other.root,
                    "Give every case an id of its own",
                )
            origin[case.id] = name
            cases.append(replace(case, origin=name))
    notes = [
        *first.notes,
        *(f"{name}: {note}" for one, name in zip(others, names[1:], strict=True) for note in one.notes),
    ]
    return Dataset.from_cases(
        first.name,
        cases,
        first.channels,
        first.labels,
        root=first.root,
        channel_kinds=first.channel_kinds,
        notes=notes,
        columns=first.columns,
    )


def set_names(datasets: Sequence[Dataset]) -> list[str]:
    """A name for every set: its own, with a number where two have the same."""
    names: list[str] = []
    for dataset in datasets:
        tries = (dataset.name if n == 1 else f"{dataset.name}-{n}" for n in range(1, len(datasets) + 1))
        names.append(next(name for name in tries if name not in names))
    return names


def with_channels(dataset: Dataset, channels: Sequence[str]) -> Iterable[Case]:
    """The cases with their channels named and ordered like ``channels``; a single channel may have any name."""
    if len(dataset.channels) == len(channels) == 1:
        return [replace(case, images={channels[0]: next(iter(case.images.values()))}) for case in dataset]
    if set(dataset.channels) != set(channels):
        raise BadInput(
            f"has the channels {', '.join(dataset.channels)}, not {', '.join(channels)}",
            dataset.root,
            "Name the channels alike in both data sets",
        )
    return [
        replace(
            case,
            images={name: case.images[name] for name in channels if name in case.images},
            missing=tuple(n for n, name in enumerate(channels) if name not in case.images),
        )
        for case in dataset
    ]
