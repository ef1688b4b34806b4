"""``model_card.md``: what the model is, for whom, how good, and where it fails (after Mitchell et al., 2019)."""

from __future__ import annotations

from voxloom.report.cards import architecture, methods, sections, training
from voxloom.report.cards.author import answer
from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.methods import joined
from voxloom.report.cards.subject import Subject
from voxloom.report.cards.words import listed
from voxloom.runfiles import WEIGHTS


def model_card_text(facts: RunFacts, subject: Subject) -> str:
    """The card as Markdown; what only the author knows is a marked blank."""
    made = (
        sections.preparation(facts, subject),
        architecture.network(facts, subject),
        training.training(facts, subject),
        methods.inference(facts, subject),
    )
    blocks = [
        f"# Model card: {facts.name}",
        _overview(facts, subject),
        f"## Intended use\n\n{answer(facts.author, 'intended_use')}\n\nNot a medical device. {_bounds(facts)}",
        f"## Training data\n\n{joined(sections.data(facts, subject))}\n\nSource: {answer(facts.author, 'data_source')}\n\n"
        f"Acquisition: {answer(facts.author, 'acquisition')}\n\nPatients: {answer(facts.author, 'demographics')}\n\n"
        f"Approval and consent: {answer(facts.author, 'ethics')}",
        f"## How it was made\n\n{' '.join(filter(None, map(joined, made)))}",
        f"## How good it is\n\n{_figures(facts, subject)}",
        f"## Where it fails\n\n{_failures(facts, subject)}",
        f"## Limitations and bias\n\n{answer(facts.author, 'limitations')}",
        _origin(facts),
    ]
    return "\n\n".join(blocks) + "\n"


def _overview(facts: RunFacts, subject: Subject) -> str:
    channels = listed(facts.dataset.get("channels", [])) or "images"
    covariates = (facts.recipe.get(facts.recipe.get("task") or "") or {}).get("covariates") or ()
    beside = f"; beside them {listed(covariates)}" if covariates else ""
    rows = [
        ("Task", subject.goal(facts)),
        ("Input", f"{channels}, one file per channel on one grid{beside}"),
        ("Output", subject.output(facts)),
        ("Networks", f"{len(facts.networks)}, {facts.parameters:,} parameters each"),
        ("Weights", ", ".join(f"{fold.name}/{WEIGHTS}" for fold in facts.networks)),
        ("Made with", f"Voxloom {facts.environment.get('packages', {}).get('voxloom', '')}"),
        ("Version", answer(facts.author, "version")),
        ("License of the weights", answer(facts.author, "license")),
        ("DOI", answer(facts.author, "doi")),
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
    if facts.in_pixels:
        return "Trained on images without a voxel size: their pixels were taken as equal, whatever their size in mm."
    return f"Trained on voxels of {', '.join(spans)} mm (axes as stored); scans far beyond that are beyond what was tested."


def _figures(facts: RunFacts, subject: Subject) -> str:
    head, *rows = subject.table([(f"{w} {s.get('name', '')}".strip(), s) for w, s, _ in facts.figures]) or [[]]
    if not rows:
        return "No case was held out, so nothing is known about its accuracy."
    lines = [head, ["---"] * len(head), *rows]
    table = "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)
    return "\n\n".join(
        filter(None, [table, joined(subject.measuring(facts)), joined(training.optimism(facts, subject))])
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _failures(facts: RunFacts, subject: Subject) -> str:
    found = [subject.failures(summary, tables, where) for where, summary, tables in facts.figures]
    told = [f"{text[0].upper()}{text[1:]}." for text in found if text]
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
    lines = ["## Where it comes from", "", joined(training.software(facts)), "", *hashes]
    lines += ["", "`repeat.yaml` repeats the run, `data.json` holds the hash of every file."]
    return "\n".join(lines)
