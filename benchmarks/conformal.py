"""Whether conformal sets and intervals keep their promise, on simulated patients.

    python benchmarks/conformal.py [--repeats 500] [--patients 100] [--promise 0.9]

In every repeat a model that is too sure of itself is calibrated (temperature and limit, as a run does after its training) on some
patients with one to three cases each, and the share of new patients is counted all of whose truths lie in the sets, or intervals.
"""

from __future__ import annotations

import argparse

import numpy as np

from voxloom.evaluation.conformal import class_scores, class_set, quantile
from voxloom.evaluation.probabilities import at_temperature, fit_temperature

#: New patients per repeat.
NEW = 200


def simulated(
    random: np.random.Generator, patients: int, classes: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (n, K) that are too sharp by a factor of 2.5, true classes (n,), and the patient of every case."""
    groups = np.repeat(np.arange(patients), random.integers(1, 4, patients))
    hard = random.normal(0, 0.7, patients)[groups]  # some patients are harder than others, in all of their cases
    truth = random.integers(classes, size=len(groups))
    logits = random.normal(size=(len(groups), classes))
    logits[np.arange(len(groups)), truth] += 1.5 + hard
    return at_temperature(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), 0.4), truth, groups


def held_by_patient(held: np.ndarray, groups: np.ndarray) -> float:
    """Share of patients all of whose cases are held."""
    whole = np.ones(groups.max() + 1, bool)
    np.logical_and.at(whole, groups, held)
    return float(whole.mean())


def coverage_of_sets(seed: int, patients: int, promise: float) -> tuple[float, float]:
    """Share of new patients whose sets hold the truth, and the mean size of a set."""
    random = np.random.default_rng(seed)
    p, truth, groups = simulated(random, patients)
    temperature = fit_temperature(p, truth)
    limit = quantile(class_scores(at_temperature(p, temperature), truth), promise, groups.tolist())
    new, new_truth, new_groups = simulated(random, NEW)
    sets = [class_set(q.tolist(), limit) for q in at_temperature(new, temperature)]
    held = np.array([t in kept for t, kept in zip(new_truth, sets, strict=True)])
    return held_by_patient(held, new_groups), float(np.mean([len(kept) for kept in sets]))


def coverage_of_intervals(seed: int, patients: int, promise: float) -> float:
    """Share of new patients all of whose numbers lie in their intervals; errors have heavy tails and are alike within a patient."""
    random = np.random.default_rng(seed)

    def errors(count: int) -> tuple[np.ndarray, np.ndarray]:
        groups = np.repeat(np.arange(count), random.integers(1, 4, count))
        return np.abs(random.standard_t(3, len(groups)) + random.normal(size=count)[groups]), groups

    known, groups = errors(patients)
    limit = quantile(known, promise, groups.tolist())
    new, new_groups = errors(NEW)
    return held_by_patient(new <= limit, new_groups)


def main() -> None:
    """Print mean coverages with their standard errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--patients", type=int, default=100)
    parser.add_argument("--promise", type=float, default=0.9)
    asked = parser.parse_args()
    sets = np.array([coverage_of_sets(n, asked.patients, asked.promise) for n in range(asked.repeats)])
    intervals = np.array([coverage_of_intervals(n, asked.patients, asked.promise) for n in range(asked.repeats)])
    for name, values in {"sets of classes": sets[:, 0], "intervals": intervals}.items():
        error = values.std(ddof=1) / np.sqrt(len(values))
        print(
            f"{name}: {100 * values.mean():.2f} % +- {100 * error:.2f} of new patients held, {asked.promise:.0%} promised"
        )
    print(f"mean size of a set: {sets[:, 1].mean():.2f} of 3 classes")


if __name__ == "__main__":
    main()
