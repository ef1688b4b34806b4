"""What a training keeps at its end of how its cases look to the first network: the basis on which new scans are told to be unlike.

Knows which cases are looked at and what that may cost. The file is ``voxloom.run.features``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import VoxloomError
from voxloom.inference.grid import evenly
from voxloom.run.features import KnownFeatures
from voxloom.tasks.study import Study
from voxloom.tasks.values import Features

#: Training cases whose features are compared: at most so many, from all over the data set.
MOST_TRAINING = 60
#: Windows of each: at most so many, and as few as cost this share of the training, but one.
MOST_WINDOWS, SHARE = 8, 0.02
#: A training pass of a window costs about as much as six passes to the deepest features: half a forward pass each, where the
#: backward pass costs two.
PASSES = 6


def some_cases(names: Sequence[str]) -> list[str]:
    """At most ``MOST_TRAINING`` of some cases, from all over them."""
    return [names[n] for n in evenly(len(names), MOST_TRAINING)]


def windows_of(cases: int, trained: int) -> int:
    """Windows of every case that is looked at.

    Parameters
    ----------
    trained : windows that the training saw.
    """
    return min(MOST_WINDOWS, max(1, int(SHARE * PASSES * trained / cases)))


def keep_features(
    study: Study, features: Features | None, held_out: Mapping[str, NDArray[np.float32]], steps: int
) -> list[str]:
    """Keep the features of the first fold's cases, where its task has any and it held out some.

    Parameters
    ----------
    features : of the fold's network.
    held_out : case -> row, as seen when the held-out cases were predicted.
    steps : that the fold was trained for.

    Returns
    -------
    Why they were left out, for the reader of the run; nothing where they are kept, or there are none.
    """
    train = study.folds[0].train
    if features is None or not held_out or len(train) < 2:
        return []
    names = some_cases(train)
    try:
        rows = features.of_training(study, names, windows_of(len(names), steps * study.settings.training.batch))
    except VoxloomError as error:
        return [f"predict cannot say how far a scan is from the training cases in the network's features: {error}"]
    if len(rows) > 1:
        KnownFeatures(rows, held_out).write(study.place(0))
    return []
