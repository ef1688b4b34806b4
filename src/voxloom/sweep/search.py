"""Which draw comes next: every combination, or one that Optuna proposes.

Knows draws and their scores. Draw n depends on the seed, n and the results told so far, so that a search that was
interrupted goes on as if it had not been. Does not run anything.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from voxloom.sweep.settings import Sweep
from voxloom.sweep.space import Factor, Levels

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


class Grid:
    """Every combination of levels, the last factor changing fastest."""

    def __init__(self, factors: Sequence[Factor]) -> None:
        names = [factor.name for factor in factors]
        self.draws = [
            dict(zip(names, levels, strict=True)) for levels in itertools.product(*(f.levels for f in factors))
        ]

    def __len__(self) -> int:
        return len(self.draws)

    def draw(self, number: int) -> Levels:
        """Levels of trial ``number``, from 1 on."""
        return self.draws[number - 1]

    def tell(self, number: int, levels: Levels, score: float | None) -> None:
        """A grid learns nothing."""


class Proposals:
    """Draws of Optuna's random or TPE sampler."""

    def __init__(self, sweep: Sweep) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.sweep, self.count = sweep, sweep.trials or 0
        self.space = {factor.name: _distribution(factor) for factor in sweep.factors}
        self.study = optuna.create_study(direction="maximize" if sweep.goal == "max" else "minimize")
        self.asked: dict[int, int] = {}

    def __len__(self) -> int:
        return self.count

    def draw(self, number: int) -> Levels:
        """Levels of trial ``number``, proposed from what was told so far."""
        self.study.sampler = self._sampler(number)
        trial = self.study.ask(self.space)
        self.asked[number] = trial.number
        return dict(trial.params)

    def tell(self, number: int, levels: Levels, score: float | None) -> None:
        """Add a result; None for a failed run. Results of an earlier session may be told without a draw."""
        from optuna.trial import TrialState, create_trial

        if number in self.asked:
            state = TrialState.FAIL if score is None else TrialState.COMPLETE
            self.study.tell(self.asked[number], score, state)
        elif score is not None:
            self.study.add_trial(create_trial(params=dict(levels), distributions=self.space, value=score))

    def _sampler(self, number: int) -> Any:
        import optuna

        seed = 1000 * self.sweep.seed + number
        if self.sweep.search == "random":
            return optuna.samplers.RandomSampler(seed)
        with warnings.catch_warnings():  # `multivariate` and `constant_liar` are marked as experimental
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)


def make_search(sweep: Sweep) -> Grid | Proposals:
    """The search that a sweep asks for."""
    return Grid(sweep.factors) if sweep.search == "grid" else Proposals(sweep)


def _distribution(factor: Factor) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    r = factor.range
    if r is None:
        return CategoricalDistribution(list(factor.levels))
    if r.whole:
        return IntDistribution(int(r.low), int(r.high), log=r.log, step=int(r.step or 1))
    return FloatDistribution(float(r.low), float(r.high), log=r.log, step=None if r.step is None else float(r.step))
