"""Checks of intensities and grids.

Outliers are judged by robust z-scores: distance from the median in units of 1.4826 times the median absolute deviation,
on a logarithmic scale for anything that is a ratio.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.inspect.facts import CaseFacts, ChannelFacts
from voxloom.dataset.inspect.fingerprint import Fingerprint
from voxloom.dataset.inspect.problem import Problem, about, counted
from voxloom.dataset.inspect.suggest import ANISOTROPIC
from voxloom.dataset.tables import name_some

#: Gray scales that differ by this factor between cases need scaling per case.
_SCALES_DIFFER = 10.0
_OUTLIER = 5.0
#: Where more cases than this share stick out, the set is a mixture and has no outliers.
_MOST_OUTLIERS = 0.1
#: A maximum this many gray scales (0.5th to 99.5th percentile) above the median is a speck, not anatomy.
_SPECK = 8.0
_FIXED_SCALES = ("CT", "noNorm", "rescale_to_0_1", "rgb_to_0_1")


def nonfinite_values(found: Fingerprint) -> Iterator[Problem]:
    """NaN and infinite voxels."""
    for name in found.channels:
        bad = [case.id for case in found.having(name) if case.channels[name].nonfinite]
        if bad:
            yield about(
                "error",
                bad,
                f"{name} has NaN or infinite voxels in {counted(len(bad))}: {{cases}}",
                "Replace them (often by the background value) and save the image again",
            )


def missing_channels(found: Fingerprint) -> Iterator[Problem]:
    """Channels that some cases lack."""
    for name in found.channels:
        lacking = [case.id for case in found.readable if name not in case.channels]
        if lacking:
            yield about(
                "warning",
                lacking,
                f"{name} is missing in {counted(len(lacking))}: {{cases}}",
                "Add the files, or train with augment.channel_dropout so that the network learns to do without",
            )


def masks_as_channels(found: Fingerprint) -> Iterator[Problem]:
    """Channels that hold the label map itself, or look like a mask: the network would be given the answer."""
    for name in found.channels:
        telling = [case.id for case in found.having(name) if name in case.label_channels]
        if telling:
            yield about(
                "error",
                telling,
                f"channel {name} equals the label map or follows from it in {counted(len(telling))}: {{cases}}",
                "Leave it out of the inputs: a network that sees the answer learns nothing else",
            )
        masks = [c for c in found.having(name) if c.channels[name].few_values and c.id not in telling]
        if masks and len(masks) + len(telling) == len(found.having(name)):
            values = sorted({v for c in masks for v in c.channels[name].few_values})
            yield about(
                "warning",
                [c.id for c in masks],
                f"channel {name} looks like a mask (values {', '.join(f'{v:g}' for v in values)}): {{cases}}",
                "Leave it out of the inputs, unless it will be there for new scans too",
            )


def constant_channels(found: Fingerprint) -> Iterator[Problem]:
    """Channels in which every voxel has the same value: often a missing channel that somebody filled in."""
    for name in found.channels:
        flat = [
            c.id
            for c in found.having(name)
            if c.channels[name].whole.percentile(0) == c.channels[name].whole.percentile(100)
        ]
        if flat:
            yield about(
                "error",
                flat,
                f"{name} has one value everywhere in {counted(len(flat))}, as if the channel were missing: {{cases}}",
                "Put the real image there or leave the cases out",
            )


def intensity_scales(found: Fingerprint, kinds: Sequence[str]) -> Iterator[Problem]:
    """Gray scales that differ between cases by more than a factor of ten."""
    for name, kind in zip(found.channels, kinds, strict=True):
        cases, spreads = _spreads(found, name)
        if not cases or spreads.max() < _SCALES_DIFFER * spreads.min():
            continue
        tops = [case.channels[name].whole.percentile(100) for case in cases]
        span = f"maxima from {_short(min(tops))} to {_short(max(tops))}"
        what = f"the intensity scale of {name} differs from case to case: {span}"
        if kind in _FIXED_SCALES:
            fix = (
                f"Declared as {kind}, which keeps such differences; declare zscore, or find out which cases are scaled"
            )
            yield Problem("warning", None, what, fix)
        else:
            yield Problem(
                "warning", None, what, "Normalize each case by itself (zscore does); never by one fixed range"
            )


def unlikely_ct(found: Fingerprint, kinds: Sequence[str]) -> Iterator[Problem]:
    """Channels declared CT whose values are not Hounsfield units (no air below -200)."""
    for name, kind in zip(found.channels, kinds, strict=True):
        if kind != "CT":
            continue
        odd = [c.id for c in found.having(name) if c.channels[name].whole.percentile(0) > -200]
        if odd:
            yield about(
                "warning",
                odd,
                f"{name} is declared CT, but {counted(len(odd))} hold no value below -200 HU: {{cases}}",
                "Check that the values are Hounsfield units (rescale intercept applied)",
            )


def intensity_outliers(found: Fingerprint) -> Iterator[Problem]:
    """Single cases whose gray scale is far from all others, where the others agree."""
    for name in found.channels:
        cases, spreads = _spreads(found, name)
        scores = robust_scores(np.log(spreads))
        far = [n for n in np.argsort(-np.abs(scores)) if abs(scores[n]) > _OUTLIER and _ratio(spreads, n) > 3]
        if far and len(far) <= max(1, _MOST_OUTLIERS * len(cases)):
            told = [f"{cases[n].id} ({_short(spreads[n])})" for n in far]
            yield Problem(
                "warning",
                cases[far[0]].id if len(far) == 1 else None,
                f"{name} has an unusual gray scale in {counted(len(far))} "
                f"(usual: {_short(float(np.median(spreads)))} wide): {name_some(told)}",
                "Look at these cases first",
                tuple(cases[n].id for n in far),
            )


def bright_specks(found: Fingerprint) -> Iterator[Problem]:
    """A few voxels far brighter than everything else: they ruin scaling by minimum and maximum."""
    for name in found.channels:
        hit = [case.id for case in found.having(name) if _has_speck(case.channels[name])]
        if hit:
            yield about(
                "note",
                hit,
                f"{name} has a few voxels far brighter than all others in {counted(len(hit))}: {{cases}}",
                "Clip percentiles (0.5 to 99.5), or normalize by zscore rather than by the maximum",
            )


def number_types(found: Fingerprint) -> Iterator[Problem]:
    """Files that store the same channel in different number types."""
    for name in found.channels:
        types = Counter(case.channels[name].dtype for case in found.having(name))
        if len(types) > 1:
            told = ", ".join(f"{n} {kind}" for kind, n in types.most_common())
            yield Problem(
                "note",
                None,
                f"{name} is stored in different number types: {told}",
                "Harmless after normalization per case",
            )


def odd_grids(found: Fingerprint) -> Iterator[Problem]:
    """Orientations of a minority, and voxel sizes far from the others."""
    if len(found.orientations) > 1:
        told = ", ".join(f"{n} {code}" for code, n in found.orientations.items())
        yield Problem(
            "note", None, f"the cases lie differently in their files: {told}", "Voxloom turns all to one orientation"
        )
    spacings: dict[int, list[str]] = defaultdict(list)
    values = np.array([case.ras_spacing for case in found.readable])
    if len(values) < 3:
        return
    for axis in range(3):
        scores = robust_scores(np.log(values[:, axis]))
        for n in np.flatnonzero((np.abs(scores) > _OUTLIER) & (_ratios(values[:, axis]) > 1.5)):
            case = found.readable[n]
            spacings[int(n)].append(f"{case.id} ({' x '.join(f'{s:.3g}' for s in case.ras_spacing)} mm)")
    if spacings:
        told_cases = [told[0] for told in spacings.values()]
        usual = " x ".join(f"{s:.3g}" for s in found.median_spacing)
        yield Problem(
            "warning",
            None,
            f"unusual voxel sizes in {counted(len(told_cases))} (usual: {usual} mm): {name_some(told_cases)}",
            "Check the header; such cases are resampled strongly",
            tuple(found.readable[n].id for n in spacings),
        )


def thick_slices(found: Fingerprint) -> Iterator[Problem]:
    """Voxels much longer than wide."""
    thick = [case.id for case in found.readable if max(case.spacing) > ANISOTROPIC * min(case.spacing)]
    if thick:
        yield Problem(
            "note",
            None,
            f"{len(thick)} of {counted(len(found.readable))} have voxels over {ANISOTROPIC:.0f} times longer than wide",
            "Resampling treats the thick axis apart, and the network pools it later",
            tuple(thick),
        )


def robust_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Robust z-scores of values (n,); zeros for fewer than five.

    Where more than half are equal, the mean absolute deviation stands in for the median one.
    """
    if len(values) < 5:
        return np.zeros(len(values))
    distance = values - np.median(values)
    deviation = 1.4826 * float(np.median(np.abs(distance)))
    if deviation == 0:
        deviation = float(np.abs(distance).mean()) or 1.0
    return distance / deviation


def _spreads(found: Fingerprint, name: str) -> tuple[list[CaseFacts], NDArray[np.float64]]:
    cases = [case for case in found.having(name) if case.channels[name].whole.spread > 0]
    return cases, np.array([case.channels[name].whole.spread for case in cases])


def _has_speck(channel: ChannelFacts) -> bool:
    whole = channel.whole
    return whole.spread > 0 and whole.percentile(100) - whole.percentile(50) > _SPECK * whole.spread


def _ratio(values: NDArray[np.float64], n: int) -> float:
    return float(_ratios(values)[n])


def _ratios(values: NDArray[np.float64]) -> NDArray[np.float64]:
    median = float(np.median(values))
    return np.asarray(np.maximum(values / median, median / values))


def _short(value: float) -> str:
    """4, 380 or 1.7 million."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:.2g} million"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
