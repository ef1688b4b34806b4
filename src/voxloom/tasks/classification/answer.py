"""The answer for one case: a probability per class, the classes that cannot be ruled out, and how far the networks agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voxloom.formats.dicom.results.terms import Statement
from voxloom.report.notebook import html_table


@dataclass(frozen=True)
class ClassAnswer:
    """Probabilities of classes or findings.

    Parameters
    ----------
    classes : names.
    probabilities : one per class; of findings each on its own.
    several : whether these are findings, any number of which may be true.
    possible : classes that cannot be ruled out with the promised chance; empty without a calibration.
    spread : per class the SD of the probability over networks and changed views.
    promise : chance that ``possible`` holds the truth, over new patients.
    least : probability that the answer must have to be given at all.
    """

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    several: bool = False
    possible: tuple[str, ...] = ()
    spread: tuple[float, ...] = ()
    promise: float | None = None
    least: float = 0.0

    @property
    def abstained(self) -> bool:
        """Whether the likeliest class is not sure enough to be answered."""
        return not self.several and max(self.probabilities) < self.least

    @property
    def prediction(self) -> str:
        """The likeliest class, or the findings above one half."""
        if self.several:
            return ", ".join(c for c, p in zip(self.classes, self.probabilities, strict=True) if p > 0.5)
        return self.classes[max(range(len(self.classes)), key=lambda n: self.probabilities[n])]

    def _repr_html_(self) -> str:
        """A row per class or finding, in a notebook."""
        head = ["finding" if self.several else "class", "probability", *(["spread"] if self.spread else [])]
        rows = [
            [name, f"{p:.3f}", *([f"{self.spread[n]:.3f}"] if self.spread else [])]
            for n, (name, p) in enumerate(zip(self.classes, self.probabilities, strict=True))
        ]
        told = statements_of(self)
        return html_table(
            [head, *rows],
            "; ".join(f"{one.name}: {one.answer}" for one in told),
            [one.note for one in told if one.note],
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        found: dict[str, Any] = {
            "prediction": None if self.abstained else self.prediction,
            "probabilities": dict(zip(self.classes, self.probabilities, strict=True)),
            "spread": dict(zip(self.classes, self.spread, strict=True)) if self.spread else {},
        }
        found |= {"abstained": self.abstained} if self.least else {}
        return found | ({"possible": list(self.possible), "promise": self.promise} if self.promise is not None else {})


def statements_of(answer: ClassAnswer) -> tuple[Statement, ...]:
    """The answer for people: the class with those that cannot be ruled out, or every finding with its probability."""
    if answer.several:
        each = zip(answer.classes, answer.probabilities, strict=True)
        return tuple(Statement(name, "present" if p > 0.5 else "absent", p if p > 0.5 else 1 - p) for name, p in each)
    note = ""
    if answer.promise is not None:
        possible = ", ".join(answer.possible) or "none"
        note = f"not ruled out at {100 * answer.promise:g} %: {possible}"
    if answer.abstained:
        return (Statement("Class", f"no answer: below {answer.least:g}", None, note),)
    return (Statement("Class", answer.prediction, max(answer.probabilities), note),)
