"""The methods paragraphs: plain English, every number from the run's files; what is not known is not said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from voxloom.report.cards import architecture, sections, training
from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.subject import Subject
from voxloom.report.cards.words import counted, listed, share, size


def methods_text(facts: RunFacts, subject: Subject) -> str:
    """Paragraphs on recipe, data, preparation, model, training, inference, evaluation and results, parted by empty lines."""
    parts = (
        origin(facts),
        sections.data(facts, subject),
        sections.preparation(facts, subject),
        architecture.network(facts, subject),
        training.training(facts, subject),
        inference(facts, subject),
        evaluation(facts, subject),
        results(facts, subject),
        training.software(facts),
    )
    return "\n\n".join(text for text in map(joined, parts) if text)


def joined(sentences: Iterator[str]) -> str:
    """One paragraph."""
    return " ".join(sentence for sentence in sentences if sentence)


def origin(facts: RunFacts) -> Iterator[str]:
    """The recipe, by whom it was published, and keys of a task of another package."""
    r = facts.recipe
    if r.get("name") and r["name"] != "auto":
        text = f": {r['description'].rstrip('.')}" if r.get("description") else ""
        after = f" It follows {r['reference'].rstrip('.')}." if r.get("reference") else ""
        yield f"The recipe was {r['name']}{text}.{after}"
    if r.get("task") and ":" in r["task"]:
        yield f"The task was {r['task']}, of another package."
    if own := {key: value for key, value in facts.section("options").items() if value is not None}:
        yield f"Its own keys were {listed(f'{key} = {value}' for key, value in own.items())}."


def inference(facts: RunFacts, subject: Subject) -> Iterator[str]:
    """Windows, mirroring, ensemble, and what the subject does with the answers."""
    i, patch = facts.section("inference"), facts.section("training").get("patch")
    if patch and "overlap" in i and subject.example[0] != "case":
        yield f"Volumes were predicted in windows of {size(patch, 'voxels')} that overlap by {share(i['overlap'])}."
    elif patch and "overlap" in i:
        yield f"Whole cases were predicted, cut or padded to {size(patch, 'voxels')}."
    if i.get("mirror"):
        yield f"Predictions were averaged over mirror images along {listed('ijk'[axis] for axis in i['mirror'])}."
    if len(facts.networks) > 1:
        yield f"On new scans the answers of the {len(facts.networks)} networks are averaged."
    yield from subject.applying(facts) if facts.section("training") else ()


def evaluation(facts: RunFacts, subject: Subject) -> Iterator[str]:
    """Metrics and intervals, where anything was measured."""
    if facts.figures:
        yield from subject.measuring(facts)


def results(facts: RunFacts, subject: Subject) -> Iterator[str]:
    """Figures of the held-out cases, of the external sets and of the test set."""
    for kind, summary, _ in facts.figures:
        yield from subject.result(place(kind, summary), summary)


def place(kind: str, summary: Mapping[str, Any]) -> str:
    """``12 external cases of Other``."""
    cases = counted(summary.get("cases", 0), f"{kind} case")
    return cases + (f" of {summary['name']}" if summary.get("name") else "")
