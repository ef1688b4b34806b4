"""What cards say of a run that answers for whole cases: classes or numbers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.subject import Subject, drawn_units, limit_sentence
from voxloom.report.cards.words import counted, listed, named, share, size
from voxloom.report.class_table import class_rows, number_text, target_rows

RATERS = {
    "median": "the median of the raters",
    "majority": "the class that most raters gave",
    "distribution": "the shares of the raters",
}
NUMBER_LOSSES = {
    "l1": "absolute error",
    "mse": "squared error",
    "huber": "Huber loss",
    "gaussian": "a Gaussian likelihood whose spread is learned too",
}


def oversampling(own: Mapping[str, Any]) -> Iterator[str]:
    """Cases that are drawn more often."""
    if own.get("oversample"):
        told = [f"{times} times where {name} is given" for name, times in own["oversample"].items()]
        yield f"Cases were drawn more often in a pass: {listed(told)}."


def crop_words(crop: Mapping[str, Any]) -> str:
    """What of a scan was looked at."""
    if crop.get("around") == "point":
        names = crop.get("columns") or ([crop["landmark"]] if crop.get("landmark") else [])
        middle = f"the point {listed(names)}" if names else "its point"
    else:
        masks = listed(crop.get("masks") or ())
        middle = f"the union of the masks {masks}" if masks else "its mask"
        middle += f" (values {listed(map(str, crop['labels']))})" if crop.get("labels") else ""
        grown = [f"{crop['margin_mm']:g} mm"] if crop.get("margin_mm") else []
        grown += [f"{crop['margin_voxels']} voxels"] if crop.get("margin_voxels") else []
        middle += f", grown by {listed(grown)}" if grown else ""
    box = f" of {size(crop['size_mm'], 'mm')}" if crop.get("size_mm") else ""
    outside = "" if crop.get("keep_outside", True) else "; voxels outside it took the smallest value"
    return f"Of every scan a box{box} around {middle}, was looked at{outside}."


class WholeCases(Subject):
    """See :class:`voxloom.report.cards.subject.Subject`.

    Parameters
    ----------
    section : of the recipe that holds the task's own keys.
    """

    example = ("case", "cases")
    missing = (
        "A case without a target was neither trained on nor scored; predictions that are missing end an evaluation."
    )

    def __init__(self, section: str) -> None:
        self.section = section

    def targets(self, facts: RunFacts) -> list[str]:
        """Columns that are learned."""
        given = facts.section(self.section).get("target")
        return [given] if isinstance(given, str) else list(given or ())

    def learning(self, facts: RunFacts) -> Iterator[str]:
        """Covariates, who is drawn more often, mixup."""
        own = facts.section(self.section)
        if own.get("crop"):
            yield crop_words(own["crop"])
        if own.get("covariates"):
            yield f"Beside the image the network saw {listed(own['covariates'])}, scaled by the training cases."
        yield from oversampling(own)
        if own.get("mixup"):
            yield f"Cases were mixed in pairs (mixup, Beta parameter {own['mixup']:g})."

    def applying(self, facts: RunFacts) -> Iterator[str]:
        """What stands beside the answer."""
        promise = facts.section(self.section).get("promise", 0.9)
        if (facts.folder / "calibration.json").is_file() or facts.held_out:
            yield (
                f"{self.promised()} that hold the truth of a new patient with a chance of {share(promise)} were set by the "
                "held-out cases."
            )

    @abstractmethod
    def promised(self) -> str:
        """Conformal sets or intervals."""

    def chosen(self, facts: RunFacts) -> Iterator[str]:
        """The calibration."""
        yield f"the calibration of {self.promised().lower()}"


class Classes(WholeCases):
    """A class for every case."""

    score = ("val_auc", "mean AUC")

    def classes(self, facts: RunFacts) -> list[str]:
        """Names in their order."""
        found = (facts.dataset.get("meaning") or {}).get("classes") or facts.section(self.section).get("classes") or []
        return list(found)

    def goal(self, facts: RunFacts) -> str:
        """The classes."""
        of = f" by {listed(self.targets(facts))}" if self.targets(facts) else ""
        return f"classification of cases as {listed(self.classes(facts)) or 'classes'}{of}"

    def output(self, facts: RunFacts) -> str:
        """Probabilities."""
        return "a class, a probability of each class, and the classes that are possible at the promised chance"

    def reference(self, facts: RunFacts) -> str:
        """The classes, and how they came about."""
        own = facts.section(self.section)
        words = f"every case had one of the classes {listed(self.classes(facts))}"
        if isinstance(own.get("classes"), Mapping):
            words += f", by the rules {listed(f'{name}: {rule}' for name, rule in own['classes'].items())}"
        if self.targets(facts):
            words += f", from the column {listed(self.targets(facts))}"
        if len(self.targets(facts)) > 1 and not own.get("multi_label"):
            words += f", of which {named(RATERS, own.get('raters', 'median'))} was taken"
        return words

    def loss(self, facts: RunFacts) -> str:
        """With its constants."""
        own = facts.section(self.section)
        words = f"focal loss (gamma {own.get('gamma', 2):g})" if own.get("loss") == "focal" else "cross-entropy"
        words += " of the steps between ordered classes" if own.get("ordinal") else ""
        words += f", labels smoothed by {own['label_smoothing']:g}" if own.get("label_smoothing") else ""
        balanced = own.get("class_weights") == "balanced"
        return words + (", classes weighted by the inverse of their counts" if balanced else "")

    def learning(self, facts: RunFacts) -> Iterator[str]:
        """And balance of the classes."""
        own = facts.section(self.section)
        if own.get("multi_label"):
            yield "Every column was a finding of its own."
        if own.get("balance"):
            yield f"Rare classes were drawn more often, {share(own['balance'])} of the way to equally many draws of each."
        yield from super().learning(facts)

    def promised(self) -> str:
        """Sets."""
        return "Sets of classes"

    def chosen(self, facts: RunFacts) -> Iterator[str]:
        """And the temperature."""
        yield "the temperature of the probabilities"
        yield from super().chosen(facts)

    def measuring(self, facts: RunFacts) -> Iterator[str]:
        """AUC, accuracy and their like."""
        yield (
            "Answers were measured by the area under the ROC curve (intervals by DeLong), accuracy, sensitivity, specificity, "
            "the Brier "
            f"score and the calibration error; the other intervals are 95 % intervals over {drawn_units(facts)}. "
            f"{limit_sentence()}"
        )
        if ends := facts.section(self.section).get("thresholds"):
            yield f"Where a case is called positive from a probability on, that was {listed(f'{p:g}' for p in ends)}."

    def result(self, where: str, summary: Mapping[str, Any]) -> Iterator[str]:
        """AUC and accuracy."""
        if "findings" in summary:
            present = listed(f"{name} in {n} of {summary['known'][name]}" for name, n in summary["counts"].items())
            yield f"On {where}, the mean AUC over the findings was {number_text(summary['auc']['all'])} (present: {present})."
        elif "auc" in summary:
            yield (
                f"On {where}, the AUC was {number_text(summary['auc']['all'])} and the accuracy "
                f"{number_text(summary['accuracy']['all'])} "
                f"({listed(f'{n} {name}' for name, n in summary['counts'].items())})."
            )

    def table(self, sets: list[tuple[str, Mapping[str, Any]]]) -> list[list[str]]:
        """A row per set, metric and class."""
        return named_rows(sets, class_rows, "confusion")

    def failures(self, summary: Mapping[str, Any], tables: list[Path], where: str) -> str:
        """Wrong answers."""
        if "confusion" not in summary:
            return ""
        if "findings" in summary:
            missed = {name: wrong_answers(one["counts"]) for name, one in summary["confusion"].items()}
            return f"of the {where} cases {listed(f'{n} were given a wrong answer on {name}' for name, n in missed.items())}"
        counts = summary["confusion"]["counts"]
        wrong = wrong_answers(counts)
        return f"{wrong} of {summary['cases']} {where} cases were given a wrong class"


def wrong_answers(counts: Sequence[Sequence[int]]) -> int:
    """Cases beside the diagonal of a confusion matrix."""
    return sum(n for row, line in enumerate(counts) for column, n in enumerate(line) if row != column)


class Numbers(WholeCases):
    """Numbers for every case."""

    def names(self, facts: RunFacts) -> list[str]:
        """Of the targets."""
        told = next((list(s["targets"]) for _, s, _ in facts.figures if "targets" in s), [])
        return self.targets(facts) or told

    def goal(self, facts: RunFacts) -> str:
        """The numbers."""
        return f"prediction of {listed(self.names(facts)) or 'a number'}"

    def output(self, facts: RunFacts) -> str:
        """Values and intervals."""
        return "a number with an interval for each target"

    def reference(self, facts: RunFacts) -> str:
        """The numbers, and which were possible."""
        own = facts.section(self.section)
        ends = [f"at least {own['least']:g}"] if own.get("least") is not None else []
        ends += [f"at most {own['most']:g}"] if own.get("most") is not None else []
        within = f" ({listed(ends)})" if ends else ""
        return f"every case had a value of {listed(self.names(facts)) or 'the target'}{within}"

    def loss(self, facts: RunFacts) -> str:
        """With its constant."""
        own = facts.section(self.section)
        kind = own.get("loss", "huber")
        return named(NUMBER_LOSSES, kind) + (f" (delta {own.get('delta', 1):g} SD)" if kind == "huber" else "")

    def promised(self) -> str:
        """Intervals."""
        return "Intervals"

    def measuring(self, facts: RunFacts) -> Iterator[str]:
        """Errors."""
        yield (
            "Errors were measured by their mean absolute value, root mean square and bias, and by R²; intervals are 95 % "
            f"intervals over {drawn_units(facts)}. {limit_sentence()}"
        )
        if ends := facts.section(self.section).get("bands"):
            yield f"Errors are told in bands of the true value with the ends {listed(f'{end:g}' for end in ends)}."

    def result(self, where: str, summary: Mapping[str, Any]) -> Iterator[str]:
        """Error of every target beside that of always saying the mean."""
        for name, f in (summary.get("targets") or {}).items():
            yield (
                f"On {where}, the mean absolute error of {name} was {number_text(f['mae'], 2)}; always saying the mean of these "
                "cases has "
                f"{f['mae_of_mean']:.2f}."
            )

    def table(self, sets: list[tuple[str, Mapping[str, Any]]]) -> list[list[str]]:
        """A row per set and target."""
        return named_rows(sets, target_rows, "targets")

    def failures(self, summary: Mapping[str, Any], tables: list[Path], where: str) -> str:
        """The bands with the largest error."""
        told = []
        for name, f in (summary.get("targets") or {}).items():
            if f.get("bands"):
                worst = max(f["bands"], key=lambda band: band["mae"]["value"])
                told.append(f"{name} from {worst['from']:g} to {worst['to']:g} ({worst['mae']['value']:.2f})")
        return (
            f"on {counted(summary['cases'], f'{where} case')} the mean absolute error was largest for {listed(told)}"
            if told
            else ""
        )


def named_rows(sets: list[tuple[str, Mapping[str, Any]]], rows_of: Any, key: str) -> list[list[str]]:
    """The rows of every set that has figures, with the name of the set before them."""
    rows: list[list[str]] = []
    for name, summary in sets:
        head, *found = rows_of(summary if key in summary else None)
        rows = rows or [["Cases", *head]]
        rows += [[name, *row] for row in found]
    return rows


CLASSES, NUMBERS = Classes("classification"), Numbers("regression")
