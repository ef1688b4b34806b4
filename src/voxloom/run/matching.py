"""The cases of another data set in the terms of a run: its channels in order, its labels by name.

Knows what a recipe makes of labels. Which names and values fit together is decided in ``voxloom.dataset``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxloom.dataset import Case, Dataset, Labels
from voxloom.dataset.join import with_channels
from voxloom.dataset.label_match import LabelMatch, is_unnamed, match_labels
from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe


@dataclass(frozen=True)
class MatchedCases:
    """Cases whose images and label maps mean what a run means by them.

    Parameters
    ----------
    cases : with the run's channels and label values.
    labels : the run's, with an ignore value where the data set has one; None for targets that are not label maps.
    notes : what a reader must know.
    """

    cases: tuple[Case, ...]
    labels: Labels | None
    notes: tuple[str, ...] = ()


def matched_cases(
    recipe: Recipe, labels: Labels, channels: Sequence[str], dataset: Dataset, cases: Sequence[Case]
) -> MatchedCases:
    """Cases of a data set for a run.

    Parameters
    ----------
    recipe, labels, channels : of the run.
    dataset, cases : the data set, and which of its cases.

    Raises
    ------
    BadInput : the data set has other channels, or its labels contradict the run's.
    """
    match = matched_labels(recipe, labels, dataset)
    ordered = with_channels(dataset.subset([case.id for case in cases]), channels)
    return MatchedCases(tuple(match.applied(case) for case in ordered), match.labels, match.notes)


def ordered_cases(channels: Sequence[str], dataset: Dataset, cases: Sequence[Case]) -> MatchedCases:
    """Cases with the channels of a run, whose targets are not label maps (BadInput for other channels)."""
    return MatchedCases(tuple(with_channels(dataset.subset([case.id for case in cases]), channels)), None)


def matched_labels(recipe: Recipe, labels: Labels, dataset: Dataset) -> LabelMatch:
    """The labels of a data set in the terms of a run.

    What a data set declares is merged as the recipe merges labels. Where the recipe itself says what values mean (``data.labels``)
    and shares no name with the data set, it says so for this one too.
    """
    theirs = dataset.declared_labels
    if isinstance(theirs, Labels):
        theirs = _merged(recipe, theirs, dataset.root)
        if recipe.data.labels is not None and not set(theirs.names) & set(labels.names):
            theirs = None
    return match_labels(labels, theirs, dataset.root)


def _merged(recipe: Recipe, theirs: Labels, where: Path) -> Labels:
    """Labels of a data set as the recipe merges them; a set that declares the merged ones already is left as it is."""
    try:
        return theirs if is_unnamed(theirs) else recipe.labels.apply(theirs)
    except BadInput:  # a part is not declared: match_labels says what is missing
        return theirs
