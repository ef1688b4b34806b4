"""The sections on probabilities of a run's page: lesions found over false positives, and whether probabilities mean what they say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voxloom.evaluation import Evaluation
from voxloom.evaluation.candidates import LEVELS
from voxloom.evaluation.detection import RATES, pool
from voxloom.evaluation.probes import MOST_LIKELY
from voxloom.evaluation.statistics import Estimate, interval_text
from voxloom.report.parts import Part, number, picture, table_of
from voxloom.report.plots.probes import froc_curves, reliability_curves

#: Rates of false positives that the table has room for.
_SHOWN = (0.5, 1.0, 2.0)


def probe_parts(name: str, evaluation: Evaluation, conventions: str) -> Iterator[Part]:
    """Tables and pictures of what was measured of probabilities; nothing where none was.

    Parameters
    ----------
    name : of the cases, for the title.
    conventions : how it was measured, in words.
    """
    probes = evaluation.probes
    if probes is None:
        return
    summary = probes.summary()
    if "froc" in summary:
        detection = probes.detection
        curves = {label: pool([row.found for row in detection.of_label(label)]).froc for label in detection.labels}
        head, *rows = froc_rows(summary["froc"])
        text = (
            f"A candidate is a connected piece of probabilities of at least {', '.join(map(str, LEVELS))}, of each the surest that "
            "stands alone; candidates choose lesions one to one, the surest first. Sensitivity: share of all lesions of all cases. "
            f"Mean: over {', '.join(f'{rate:g}' for rate in RATES)} false positives per case. Average precision: precision over "
            f"sensitivity, every point interpolated. Intervals are over patients. All candidates are in candidates.csv. {conventions}."
        )
        drawn = picture(froc_curves(curves), "Sensitivity over false positives per case")
        yield Part(f"{name}: lesions", text, table_of(head, rows), [drawn])
    if "calibration" in summary:
        head, *rows = calibration_rows(summary["calibration"])
        text = (
            "Calibration error: mean distance of the probability from the share of voxels that are so, over ten bins, weighted by "
            "voxels; the mean over cases, its interval over patients. Each label against the rest; the last row is the most likely "
            f"label. Most voxels of an image are surely outside, so the error over a whole image is small by itself. {conventions}."
        )
        drawn = picture(
            reliability_curves(probes.pooled()), "Share that is so over the probability, all cases together"
        )
        yield Part(f"{name}: calibration of probabilities", text, table_of(head, rows), [drawn])


def froc_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """A row per label, with a header row."""
    head = ["label", "lesions", "cases", "average precision [95 % CI]", "mean sensitivity [95 % CI]"]
    rows = [[*head, *(f"at {rate:g} per case [95 % CI]" for rate in _SHOWN)]]
    for label, found in summary.items():
        told = [found["average_precision"], found["mean_sensitivity"], *(found["froc"][f"{rate:g}"] for rate in _SHOWN)]
        rows.append(
            [label, str(found["lesions"]), str(found["cases"]), *(Estimate(**one).text(3) for one in told)]
            if found["lesions"]
            else [label, "0", str(found["cases"]), *["not defined"] * len(told)]
        )
    return rows


def calibration_rows(summary: Mapping[str, Any]) -> list[list[str]]:
    """A row per label and one of the most likely label, with a header row."""
    rows = [["label", "calibration error [95 % CI]", "median", "largest", "voxels"]]
    for label, found in summary.items():
        ece, name = found["ece"], "most likely label" if label == MOST_LIKELY else label
        mean = f"{number(ece['finite_mean'], 4)} [{interval_text(ece['ci'], 4)}]"
        rows.append([name, mean, number(ece["median"], 4), number(ece["max"], 4), str(sum(found["voxels"]))])
    return rows
