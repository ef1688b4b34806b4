"""Least squares with errors that hold for few clusters of alike observations: CR2, Satterthwaite, Hotelling's T2.

Bell and McCaffrey (Survey Methodology 2002, 28:169); Pustejovsky and Tipton (J Bus Econ Stat 2018, 36:672). The working model is that
of independent errors. Knows matrices only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Clustered:
    """Coefficients, their standard errors and degrees of freedom, and p of all but the first together."""

    values: Numbers
    errors: Numbers
    freedom: Numbers
    f_p: float


def clustered_least_squares(design: Numbers, response: Numbers, place: NDArray[np.intp]) -> Clustered:
    """Ordinary least squares with CR2 standard errors.

    Parameters
    ----------
    design : (n, p) of full rank, the intercept first.
    response : (n,).
    place : (n,) cluster of each row, 0 to clusters - 1.
    """
    bread: Numbers = np.asarray(np.linalg.inv(design.T @ design), dtype=np.float64)
    values = bread @ design.T @ response
    members = [np.flatnonzero(place == n) for n in range(int(place.max()) + 1)]
    loads = [bread @ design[m].T @ _root(np.eye(len(m)) - design[m] @ bread @ design[m].T) for m in members]
    residuals = response - design @ values
    scores = np.stack([load @ residuals[m] for load, m in zip(loads, members, strict=True)])
    working = _working(loads, members, design, bread)
    spread = np.einsum("gpp->p", np.einsum("ggpq->gpq", working))
    freedom = 2 * spread**2 / (2 * np.einsum("ghpp->ghp", working) ** 2).sum(axis=(0, 1))
    f_p = _hotelling(values[1:], scores[:, 1:], working[:, :, 1:, 1:])
    return Clustered(values, np.sqrt((scores**2).sum(axis=0)), freedom, f_p)


def _root(matrix: Numbers) -> Numbers:
    """The inverse of the symmetric root; directions without variance stay out."""
    sizes, axes = np.linalg.eigh(matrix)
    scale = np.where(sizes > 1e-10, 1 / np.sqrt(np.maximum(sizes, 1e-10)), 0.0)
    found: Numbers = (axes * scale) @ axes.T
    return found


def _working(loads: list[Numbers], members: list[NDArray[np.intp]], design: Numbers, bread: Numbers) -> Numbers:
    """Covariance of the clusters' scores under independent errors of variance 1, (clusters, clusters, p, p)."""
    carried = np.stack([load @ design[m] for load, m in zip(loads, members, strict=True)])  # (g, p, p)
    found: Numbers = -np.einsum("gab,bc,hdc->ghad", carried, bread, carried)
    for n, load in enumerate(loads):
        found[n, n] += load @ load.T
    return found


def _hotelling(values: Numbers, scores: Numbers, working: Numbers) -> float:
    """p of "all values are 0" by the approximate Hotelling T2 (Pustejovsky and Tipton 2018, section 3.2); NaN without freedom."""
    from scipy.stats import f

    count = len(values)
    expected = np.einsum("ggpq->pq", working)
    root = _root(expected)
    turned = np.einsum("ab,ghbc,cd->ghad", root, working, root)
    own = np.einsum("ghaa->gha", turned)
    variance = np.einsum("gha,ghb->ab", own, own) + np.einsum("ghab,ghba->ab", turned, turned)
    freedom = count * (count + 1) / float(variance.sum())
    if freedom <= count - 1:
        return math.nan
    statistic = float(values @ np.linalg.pinv(scores.T @ scores) @ values)
    return float(f.sf((freedom - count + 1) / (freedom * count) * statistic, count, freedom - count + 1))
