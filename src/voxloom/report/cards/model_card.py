"""``model_card.md``: what the model is, for whom, how good, and where it fails (after Mitchell et al., 2019)."""

from __future__ import annotations

import math
from typing import Any

from voxloom.evaluation.statistics import interval_text
from voxloom.evaluation.units import PIXEL, distance_unit, unit_of
from voxloom.report.cards import methods
from voxloom.report.cards.author import answer
from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.words import listed


def model_card_text(facts: RunFacts) -> str:
    """The card as Markdown; what only the author knows is a marked blank."""
    blocks = [
        f"# Model card: {facts.name}",
        _overview(facts),
        f"## Intended use\n\n{answer(facts.author, 'intended_use')}\n\nNot a medical device. {_bounds(facts)}",
        f"## Training data\n\n{_text(methods.data(facts))}\n\nSource: {answer(facts.author, 'data_source')}\n\n"
        f"Acquisition: {answer(facts.author, 'acquisition')}\n\nPatients: {answer(facts.author, 'demographics')}\n\n"
        f"Approval and consent: {answer(facts.author, 'ethics')}",
        f"## How it was made\n\n{_text(methods.preparation(facts))} {_text(methods.network(facts))} {_text(methods.training(facts))} "
        f"{_text(methods.inference(facts))}",
        f"## How good it is\n\n{_figures(facts)}",
        f"## Where it fails\n\n{_failures(facts)}",
        f"## Limitations and bias\n\n{answer(facts.author, 'limitations')}",
        _origin(facts),
    ]
    return "\n\n".join(blocks) + "\n"


def _text(sentences: Any) -> str:
    return " ".join(s for s in sentences if s)


def _overview(facts: RunFacts) -> str:
    channels = listed(facts.dataset.get("channels", [])) or "images"
    rows = [
        ("Task", f"segmentation of {listed(facts.labels)}" if facts.labels else "see the recipe"),
        ("Input", f"{channels}, one file per channel on one grid"),
        (
            "Output",
            "label map on the grid of the scan: "
            + ", ".join(f"{k} = {v}" for k, v in facts.dataset.get("labels", {}).items()),
        ),
        ("Networks", f"{len(facts.networks)}, {facts.parameters:,} parameters each"),
        ("Weights", ", ".join(f"{p.name}/model.safetensors" for p in facts.networks)),
        ("Made with", f"Voxloom {facts.environment.get('packages', {}).get('voxloom', '')}"),
        ("License of the weights", answer(facts.author, "license")),
        ("Contact", answer(facts.author, "contact")),
    ]
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


def _bounds(facts: RunFacts) -> str:
    """What the training data looked like: scans beyond it are beyond what was tested."""
    cases = [c for c in facts.fingerprint.get("cases", []) if c.get("orientation")]
    if not cases:
        return ""
    spans = []
    for axis, name in enumerate("ijk"):
        values = [c["spacing"][axis] for c in cases]
        low, high = f"{min(values):.3g}", f"{max(values):.3g}"
        spans.append(f"{name} {low}" if low == high else f"{name} {low} to {high}")
    if facts.fingerprint.get("unit") == PIXEL:
        return "Trained on images without a voxel size: their pixels were taken as equal, whatever their size in mm."
    return f"Trained on voxels of {', '.join(spans)} mm (axes as stored); scans far beyond that are beyond what was tested."


def _figures(facts: RunFacts) -> str:
    lines = [
        "| Cases | Label | n | Dice, mean | 95 % CI | median | HD95, median | one mask empty |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for where, summary, _ in facts.figures:
        for label, dice in summary.get("dice", {}).items():
            kinds = summary.get("kinds", {}).get(label, {})
            lost = kinds.get("truth_empty", 0) + kinds.get("prediction_empty", 0) if kinds else ""
            hd95 = f"{_number(summary['hd95'][label]['median'], 1)} {distance_unit(unit_of(summary))}"
            name = f"{where} {summary.get('name', '')}".strip()
            mean, median = _number(dice["mean"], 3), _number(dice["median"], 3)
            cells = [name, label, dice["n"], mean, interval_text(dice["ci"], 3, " to "), median, hd95, lost]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) if len(lines) > 2 else "No case was held out, so nothing is known about its accuracy."


def _number(value: Any, digits: int) -> str:
    number = float(value)
    return "infinite" if math.isinf(number) else f"{number:.{digits}f}"


def _failures(facts: RunFacts) -> str:
    told = [
        f"{count} of {summary['cases']} {where} cases lost a structure or had Dice below 0.5."
        for where, summary, count in facts.figures
    ]
    stress = facts.stress
    if stress is not None:
        told += [f"- {curve['sentence']}" for curve in stress["curves"]]
    else:
        told.append("No stress test was made (`voxloom stress RUN`).")
    return "\n".join(told)


def _origin(facts: RunFacts) -> str:
    hashes = [
        f"- {name}: weights SHA-256 `{found['weights_sha256']}`"
        for name, found in facts.summary.get("folds", {}).items()
        if isinstance(found, dict) and "weights_sha256" in found
    ]
    lines = ["## Where it comes from", "", _text(methods.software(facts)), "", *hashes]
    lines += ["", "`repeat.yaml` repeats the run, `data.json` holds the hash of every file."]
    return "\n".join(lines)
