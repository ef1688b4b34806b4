"""What a run answers with, in the words of its cards: label maps, points, classes or numbers.

A task hands its subject to :func:`voxloom.report.cards.write_cards`; the cards themselves know no task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxloom.evaluation.statistics import LEAST_PATIENTS
from voxloom.report.cards.facts import RunFacts


class Subject(ABC):
    """The sentences of one kind of answer. All that is said comes from the files of the run."""

    #: What one training example is called, and what its size is counted in.
    example: tuple[str, str] = ("patch", "patches")
    #: Log column that ``training.monitor: val_dice`` means, and what its score is called.
    score: tuple[str, str] = ("val_dice", "mean Dice")

    @abstractmethod
    def goal(self, facts: RunFacts) -> str:
        """What is learned, a noun phrase: ``segmentation of liver``."""

    @abstractmethod
    def output(self, facts: RunFacts) -> str:
        """What comes out of a prediction."""

    @abstractmethod
    def reference(self, facts: RunFacts) -> str:
        """What the cases have that is learned, a clause."""

    @abstractmethod
    def loss(self, facts: RunFacts) -> str:
        """The loss, a noun phrase."""

    def learning(self, facts: RunFacts) -> Iterator[str]:
        """What the training takes from the task's own section."""
        yield from ()

    def network(self, facts: RunFacts) -> Iterator[str]:
        """The network where the task's own section describes it."""
        yield from ()

    def applying(self, facts: RunFacts) -> Iterator[str]:
        """How answers come from the network's."""
        yield from ()

    def chosen(self, facts: RunFacts) -> Iterator[str]:
        """What the held-out cases decided beside the weights, noun phrases."""
        yield from ()

    @abstractmethod
    def measuring(self, facts: RunFacts) -> Iterator[str]:
        """Metrics and intervals."""

    @abstractmethod
    def result(self, where: str, summary: Mapping[str, Any]) -> Iterator[str]:
        """The figures of one set of cases in sentences; ``where`` names it."""

    @abstractmethod
    def table(self, sets: list[tuple[str, Mapping[str, Any]]]) -> list[list[str]]:
        """The figures of named sets with a header row."""

    @abstractmethod
    def failures(self, summary: Mapping[str, Any], tables: list[Path], where: str) -> str:
        """How many cases or answers of a set failed, a clause; "" where that cannot be said."""

    #: What becomes of a missing answer (CLAIM 13).
    missing: str = ""


def drawn_units(facts: RunFacts) -> str:
    """What intervals take as independent."""
    return "patients" if facts.names_patients else "cases (no patients are named)"


def limit_sentence() -> str:
    """When there is no interval."""
    return f"With fewer than {LEAST_PATIENTS} of them no interval is given."
