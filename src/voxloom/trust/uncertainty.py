"""The members of an uncertain prediction: networks of the folds, changed views of the scan, draws with active dropout.

Knows predictors of runs and of ensembles. What members disagree about is measured in ``voxloom.inference.disagreement``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.inference.disagreement import Disagreement, Pass, disagreement
from voxloom.inference.views import View
from voxloom.networks.dropout import active_dropout, dropout_layers
from voxloom.run.scans import admit
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.segmentation.tta import refusal, varied_views
from voxloom.trust.sampling import Sampling, Source
from voxloom.volume import Volume


def default_sources(predictor: Predictor) -> tuple[Source, ...]:
    """The source that a run has: folds where there are several, else dropout where its networks have it, else tta."""
    if len(predictor.members) > 1:
        return ("folds",)
    return ("dropout",) if dropout_layers(predictor.members[0].network) else ("tta",)


@contextlib.contextmanager
def scan_disagreement(
    predictors: Sequence[Predictor], volume: Volume, sampling: Sampling
) -> Iterator[tuple[Disagreement, int]]:
    """What the members of a scan disagree about, and how many there are; maps (I, J, K) on the scan's own grid.

    Parameters
    ----------
    predictors : a run, or the members of an ensemble.
    volume : the scan (C, I, J, K).

    Raises
    ------
    BadInput : the sources give one member only, networks lack dropout, or an ensemble is asked without its members.
    """
    admit(volume, predictors[0].channels, trained_on=predictors[0].trained_on)
    check_sources(predictors, sampling)
    shape = (volume.shape[0], volume.shape[1], volume.shape[2])
    with SharedViews(volume) as shared:
        passes = members(predictors, shared, sampling)
        with disagreement(passes, predictors[0].maps, shape, predictors[0].labels) as found:
            yield found, len(passes)


def check_sources(predictors: Sequence[Predictor], sampling: Sampling) -> None:
    """Refuse, before any work, sources that these networks do not have.

    Raises
    ------
    BadInput : one network only for folds, networks without dropout or random changes, or an ensemble without its members.
    """
    networks = [member.network for predictor in predictors for member in predictor.members]
    if sampling.sources == ("folds",) and len(networks) < 2:
        fix = "Train more folds, or take another source: --uncertainty tta"
        raise BadInput("the run has one network only, which has no spread over folds", "uncertainty", fix)
    if "folds" not in sampling.sources and len(predictors) > 1:
        raise BadInput("an ensemble's uncertainty is that of its members", None, "Name them: --uncertainty folds")
    if "tta" in sampling.sources and any(len(varied_views(one, sampling.seed)) < 2 for one in predictors):
        raise refusal()
    if "dropout" in sampling.sources:
        with active_dropout(networks, sampling.seed):
            pass  # refuses networks without dropout


def members(predictors: Sequence[Predictor], shared: SharedViews, sampling: Sampling) -> list[Pass]:
    """One pass per member: it fills (maps, I, J, K) with the member's probabilities while the views are open."""
    varied, dropped = "tta" in sampling.sources, "dropout" in sampling.sources
    passes: list[Pass] = []
    for predictor in predictors:
        looks = varied_views(predictor, sampling.seed) if varied else [None]
        settings = predictor.inference.model_copy(update={"mirror": ()}) if varied else predictor.inference
        for network in range(len(predictor.members)) if "folds" in sampling.sources else [None]:
            for look in looks:
                alone = replace(predictor, inference=settings, looks=() if look is None else (look,))
                for draw in range(sampling.draws if dropped else 1):
                    entropy = [sampling.seed, len(passes), draw]
                    seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
                    passes.append(partial(_fill, alone, shared, network, seed, dropped))
    return passes


class SharedViews:
    """A scan as predictors see it, one predictor at a time; prepared when first looked at."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self._of: Predictor | None = None
        self._seen: tuple[View, ...] = ()
        self._open = ExitStack()

    def __enter__(self) -> SharedViews:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def views(self, predictor: Predictor) -> tuple[View, ...]:
        """The scan prepared for a predictor's members; that of the predictor before is let go."""
        if self._of is None or self._of.members is not predictor.members:
            self._open.close()
            self._seen, self._of = self._open.enter_context(predictor.views(self.volume)), predictor
        return self._seen


def _fill(
    predictor: Predictor,
    shared: SharedViews,
    network: int | None,
    seed: int,
    drop: bool,
    out: NDArray[np.float16],
) -> None:
    """One member's probabilities: of network number ``network``, or the mean of all; by its look, or with dropout drawn."""
    seen = shared.views(predictor)
    if network is not None:
        alone = [replace(view, networks=(one,)) for view in seen for one in view.networks]
        seen = (alone[network],)
    networks = [member.network for member in predictor.members]
    with active_dropout(networks, seed) if drop else nullcontext():
        predictor.seen_through(seen, shared.volume, out)
