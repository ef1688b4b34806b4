"""How often a 95 % interval of a mean holds the true mean: ours, and the plain percentile bootstrap of SciPy.

Run: python benchmarks/coverage.py [studies]
"""

from __future__ import annotations

import sys

import numpy as np
from scipy import stats

from voxloom.evaluation import bootstrap_ci


def covered(draw, truth: float, studies: int, interval) -> float:
    """Share of simulated studies whose interval holds the truth."""
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(studies):
        low, high = interval(*draw(random))
        hits += low <= truth <= high
    return hits / studies


def ours(values, groups) -> tuple[float, float]:
    return bootstrap_ci(values, groups)


def plain(values, groups) -> tuple[float, float]:
    """SciPy's percentile bootstrap of cases; it knows no patients."""
    found = stats.bootstrap((values,), np.mean, n_resamples=2000, method="percentile", rng=0, vectorized=True)
    return found.confidence_interval


def clustered(random):
    scans = random.integers(1, 7, 15)
    patients = np.repeat(np.arange(15), scans)
    return random.normal(0.8, 0.1, 15)[patients] + random.normal(0, 0.03, len(patients)), patients


def main(studies: int) -> None:
    print(f"{studies} simulated studies; the promise is 95 %")
    print("| data | ours | percentile, cases |\n|---|---|---|")
    for count in (6, 12, 40):
        draw = lambda random, n=count: (random.beta(9, 2, n), None)
        rates = [100 * covered(draw, 9 / 11, studies, interval) for interval in (ours, plain)]
        print(f"| {count} patients, skewed as Dice is | {rates[0]:.1f} % | {rates[1]:.1f} % |")
    rates = [100 * covered(clustered, 0.8, studies, interval) for interval in (ours, plain)]
    print(f"| 15 patients with 1 to 6 scans | {rates[0]:.1f} % | {rates[1]:.1f} % |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
