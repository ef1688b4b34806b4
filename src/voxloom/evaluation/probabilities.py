"""Whether probabilities mean what they say: Brier score, expected calibration error, reliability diagram, temperature.

Brier (Monthly Weather Review 1950); Guo et al., "On calibration of modern neural networks" (ICML 2017). Knows numbers only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.errors import BadInput

Numbers = NDArray[np.float64]
BINS = 10
_TINY = 1e-7


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: per bin of confidence the cases, their mean confidence, and the share that was right."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    confidence: tuple[float, ...]
    right: tuple[float, ...]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of confidence and share, weighted by the cases."""
        total = sum(self.counts)
        gaps = zip(self.counts, self.confidence, self.right, strict=True)
        return sum(n * abs(c - r) for n, c, r in gaps if n) / total if total else math.nan


def brier(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Mean squared distance of probabilities (n, K) from the true classes (n,): 0 is perfect, 2 the worst."""
    p, classes = _checked(probabilities, truth)
    hot = np.eye(p.shape[1])[classes]
    return float(((p - hot) ** 2).sum(axis=1).mean())


def reliability(probabilities: ArrayLike, truth: ArrayLike, bins: int = BINS) -> Reliability:
    """The reliability of the most likely class, in equal bins of its probability."""
    p, classes = _checked(probabilities, truth)
    return binned(p.max(axis=1), p.argmax(axis=1) == classes, bins)


def binned(confidence: Numbers, right: NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Cases by their confidence in equal bins of 0 to 1."""
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.digitize(confidence, edges[1:-1], right=True), 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    means = [float(v.mean()) if len(v) else math.nan for v in (confidence[place == n] for n in range(bins))]
    shares = [float(v.mean()) if len(v) else math.nan for v in (right[place == n] for n in range(bins))]
    return Reliability(tuple(edges.tolist()), tuple(counts.tolist()), tuple(means), tuple(shares))


def fit_temperature(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """The temperature that makes held-out probabilities likeliest; 1 leaves them, above 1 makes them milder.

    Between 0.05 and 20: where every case is right, no temperature is the best, and confidence is not sharpened beyond 1.
    """
    from scipy.optimize import minimize_scalar

    p, classes = _checked(probabilities, truth)
    logits = np.log(np.clip(p, _TINY, 1))
    everything_right = bool((p.argmax(axis=1) == classes).all())

    def loss(log_t: float) -> float:
        scaled = logits / math.exp(log_t)
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        chosen = scaled[np.arange(len(classes)), classes] - np.log(np.exp(scaled).sum(axis=1))
        return -float(chosen.mean())

    low = 0.0 if everything_right else math.log(0.05)
    found = minimize_scalar(loss, bounds=(low, math.log(20)), method="bounded")
    return 1.0 if everything_right and found.x < 1e-3 else float(math.exp(found.x))


def at_temperature(probabilities: ArrayLike, temperature: float) -> Numbers:
    """Probabilities (n, K) at another temperature."""
    logits = np.log(np.clip(np.asarray(probabilities, dtype=float), _TINY, 1)) / temperature
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True))


def _checked(probabilities: ArrayLike, truth: ArrayLike) -> tuple[Numbers, NDArray[np.intp]]:
    p, classes = np.asarray(probabilities, dtype=float), np.asarray(truth)
    if p.ndim != 2 or classes.shape != p.shape[:1] or not len(p):
        raise BadInput(f"probabilities of shape {p.shape} do not go with truths of shape {classes.shape}")
    return p, classes.astype(np.intp)
