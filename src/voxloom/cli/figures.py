"""How figures of label maps are told on the screen: notes and tables below the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def show_figures(summary: dict[str, Any], structures: dict[str, Any] | None) -> None:
    """What stands below the metrics: intervals, conventions, probabilities, single structures, slices and times."""
    from voxloom.cli import output

    if note := interval_note(summary):
        output.note(note)
    for convention in summary.get("conventions", ()):
        output.note(convention)
    show_probes(summary)
    if structures is not None:
        output.table(structure_rows(structures), title=structure_title(structures))
    for line in further_lines(summary):
        output.note(line)


def show_probes(summary: Mapping[str, Any]) -> None:
    """Tables of lesions and of calibration, where probabilities were measured."""
    from voxloom.cli import output
    from voxloom.report.probe_part import calibration_rows, froc_rows

    if "froc" in summary:
        output.table(froc_rows(summary["froc"]), title="Lesions")
    if "calibration" in summary:
        output.table(calibration_rows(summary["calibration"]), title="Calibration of probabilities")


def further_lines(summary: Mapping[str, Any]) -> list[str]:
    """Dice over slices, Dice before post-processing, and the time per case, each in one line where it was measured."""
    lines = []
    slices = dict(summary.get("slices") or {})
    planes = " and ".join(slices.pop("planes", ()))
    for label, figures in slices.items():
        every, true = figures["all"], figures["with_truth"]
        lines.append(
            f"{label}: mean Dice {every['mean']:.4f} over {every['n']} {planes} slices, "
            f"{true['mean']:.4f} over the {true['n']} with truth"
        )
    for label, before in (summary.get("raw") or {}).get("dice", {}).items():
        lines.append(f"{label}: mean Dice {before['mean']:.4f} before post-processing")
    if seconds := summary.get("seconds"):
        lines.append(f"{seconds['median']:.3g} s per case (median of {seconds['n']}, {seconds['device']})")
    return lines


def interval_note(summary: dict[str, Any]) -> str:
    """What the intervals take as independent, and why there are none where patients are too few; "" where none are given."""
    from voxloom.evaluation.patients import ASSUMED
    from voxloom.evaluation.statistics import LEAST_PATIENTS

    if "patients_note" not in summary:
        return ""  # figures without intervals
    note, count = summary["patients_note"], summary["patients"]
    fix = "; name patients in participants.csv, or with --table for --pred" if note == ASSUMED else ""
    if count < LEAST_PATIENTS:
        return f"No intervals: {LEAST_PATIENTS} patients are needed, there are {count} ({note}{fix})"
    return f"Intervals are over patients: {note}{fix}"


def structure_title(structures: dict[str, Any]) -> str:
    """How many structures were found."""
    return (
        f"{structures['true']} structures: {structures['found']} found, {structures['missed']} missed, "
        f"{structures['extra']} extra, {structures['same_number']} of those found with the right number from the head"
    )


def structure_rows(structures: dict[str, Any]) -> list[list[str]]:
    """A row per number from the head and label, and one for all."""
    from voxloom.evaluation.statistics import interval_text

    lines = [["structure", "n", "Dice mean [95 % CI]", "median", "SD", "lowest"]]
    for name, dice in structures["dice"].items():
        mean = f"{dice['mean']:.4f} [{interval_text(dice['ci'], 4)}]"
        lines.append([name, str(dice["n"]), mean, f"{dice['median']:.4f}", f"{dice['sd']:.4f}", f"{dice['min']:.4f}"])
    return lines
