"""What cards say of a run that answers with label maps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxloom.dataset.labels import Labels
from voxloom.evaluation import Evaluation
from voxloom.evaluation.measures import Measures
from voxloom.evaluation.statistics import interval_text
from voxloom.evaluation.units import common, distance_unit, unit_of
from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.subject import Subject, drawn_units, limit_sentence
from voxloom.report.cards.training import loss_words
from voxloom.report.cards.words import counted, listed, named, postprocessing_steps, shown

#: Losses with an overlap, which is taken per patch or over the batch.
OVERLAPS = ("dice_ce", "dice", "negative_dice", "jaccard", "tanimoto", "focal_tversky", "dice_focal", "tanimoto_ce")


#: What becomes of empty masks, by the rule.
MISSED = {
    "convention": "A missed structure counts as Dice 0 and an infinite distance; no case was left out.",
    "left_out": "A missed structure counts as Dice 0 and an infinite distance; cases without the structure were left out and counted.",
    "penalty": "A missed structure counts as Dice 0 and the diagonal of the image as its distance; no case was left out.",
}


class LabelMaps(Subject):
    """See :class:`voxloom.report.cards.subject.Subject`."""

    missing = "A missing prediction or structure is scored as Dice 0 and an infinite distance; no case was dropped."

    def goal(self, facts: RunFacts) -> str:
        """The structures."""
        return f"segmentation of {listed(facts.labels)}" if facts.labels else "segmentation"

    def output(self, facts: RunFacts) -> str:
        """Labels and values."""
        values = ", ".join(f"{k} = {v}" for k, v in facts.dataset.get("labels", {}).items())
        return f"label map on the grid of the scan{': ' if values else ''}{values}"

    def reference(self, facts: RunFacts) -> str:
        """Which structures were labelled."""
        labels = facts.labels
        return f"{listed(labels)} {'was' if len(labels) == 1 else 'were'} labelled"

    def loss(self, facts: RunFacts) -> str:
        """With the constants that it uses, and over what an overlap is taken."""
        t = facts.section("training")
        loss = t.get("loss", "dice_ce")
        kind = loss.get("kind") if isinstance(loss, Mapping) else loss
        whole = "over the whole batch" if t.get("batch_dice", True) else "patch by patch"
        return loss_words(loss) + (f", the overlap taken {whole}" if kind in OVERLAPS else "")

    def applying(self, facts: RunFacts) -> Iterator[str]:
        """Largest component, further post-processing, single structures."""
        i, wanted = facts.section("inference"), facts.section("inference").get("largest_component")
        largest = facts.summary.get("largest_component") or []
        if largest:
            why = ", since that raised the Dice of the held-out cases" if wanted == "auto" else ""
            yield f"Of {listed(largest)} only the largest connected component was kept{why}."
        elif tries_components(facts):
            yield "Keeping only the largest component of a label was tried on the held-out cases; it raised the Dice of none."
        elif wanted and wanted != "auto":
            yield f"Of {listed(wanted)} only the largest connected component is kept."
        steps = facts.summary.get("postprocess") or []
        if used := postprocessing_steps(steps):
            yield f"Then {listed(used)}."
        if idle := [one for one in steps if not one.get("used")]:
            yield f"Tried on the held-out cases and not kept: {listed(dict.fromkeys(tried(one) for one in idle))}."
        if not steps and i.get("postprocess"):
            yield f"The recipe asks for {listed(asked(step) for step in i['postprocess'])}."
        if i.get("instances"):
            of = "" if i["instances"] == "auto" else f" of {listed(i['instances'])}"
            yield (
                f"Single structures{of} were told apart by their connections, cut where these are narrow, and numbered from head "
                "to feet."
            )

    def chosen(self, facts: RunFacts) -> Iterator[str]:
        """Post-processing that they settled."""
        if tries_components(facts):
            yield "whether only the largest component of a label is kept"
        if any(one.get("when", "auto") != "always" for one in facts.summary.get("postprocess") or []):
            yield "which further post-processing is used"

    def measuring(self, facts: RunFacts) -> Iterator[str]:
        """Metrics and intervals."""
        sets = [summary for _, summary, _ in facts.figures if "dice" in summary]
        measures = Measures.model_validate(facts.section("evaluate"))
        if facts.section("evaluate"):
            yield f"{'. '.join(measures.notes())}."
        if not sets:
            return
        unit = common(unit_of(summary) for summary in sets)
        yield (
            "Overlap was measured by Dice, the distance of surfaces by the 95th percentile of the Hausdorff distance and the average "
            f"symmetric surface distance in {distance_unit(unit)}. Intervals are 95 % intervals of the mean "
            f"over {drawn_units(facts)}. {limit_sentence()} {MISSED[measures.empty]}"
        )

    def result(self, where: str, summary: Mapping[str, Any]) -> Iterator[str]:
        """Dice and distances per label, and single structures."""
        if "dice" not in summary:
            return
        parts = [f"{shown(f)} for {label}" for label, f in summary["dice"].items() if label not in ("mean", "total")]
        yield f"On {where}, mean Dice was {listed(parts)}{surface_words(summary)}."
        if single := summary.get("structures"):
            yield structure_words(single)

    def table(self, sets: list[tuple[str, Mapping[str, Any]]]) -> list[list[str]]:
        """A row per set and label."""
        rows = [["Cases", "Label", "n", "Dice, mean", "95 % CI", "median", "HD95, median", "one mask empty"]]
        for name, summary in sets:
            for label, dice in summary.get("dice", {}).items():
                kinds = summary.get("kinds", {}).get(label, {})
                lost = str(kinds.get("truth_empty", 0) + kinds.get("prediction_empty", 0)) if kinds else ""
                far = summary["hd95"].get(label)
                hd95 = "" if far is None else f"{_number(far['median'], 1)} {distance_unit(unit_of(summary))}"
                means = [_number(dice["mean"], 3), interval_text(dice["ci"], 3, " to "), _number(dice["median"], 3)]
                rows.append([name, label, str(dice["n"]), *means, hd95, lost])
        return rows

    def failures(self, summary: Mapping[str, Any], tables: list[Path], where: str) -> str:
        """Cases with a lost structure or Dice below 0.5."""
        rows = [row for table in tables if table.is_file() for row in Evaluation.read_csv(table).failures()]
        count = len({row.case for row in rows})
        return f"{count} of {summary['cases']} {where} cases lost a structure or had Dice below 0.5"


def tries_components(facts: RunFacts) -> bool:
    """Whether the held-out cases decide on the largest component: not where labels lie within one another."""
    about = facts.dataset
    labels = Labels.from_nnunet(about["labels"], about.get("regions_order")) if about.get("labels") else None
    asked_for = facts.section("inference").get("largest_component") == "auto"
    return asked_for and facts.held_out and labels is not None and not labels.has_regions


def tried(entry: Mapping[str, Any]) -> str:
    """A step that was not kept."""
    return f"{named({}, entry['step'])} ({entry['label']})"


def asked(step: Any) -> str:
    """A step of the recipe that has not been tried."""
    keys = step if isinstance(step, Mapping) else {"step": step}
    amount = f" {keys['amount']:g}" if keys.get("amount") is not None else ""
    of = f" of {listed(keys['labels'])}" if keys.get("labels") else ""
    when = {"always": ", whatever it gains", "unless_worse": ", unless it costs Dice"}.get(keys.get("when", ""), "")
    return f"{named({}, keys['step'])}{amount}{of}{when}"


def structure_words(figures: Mapping[str, Any]) -> str:
    """How many single structures were found, and how well."""
    return (
        f"Of {counted(figures['true'], 'single structure')} {figures['found']} were found and {figures['missed']} missed, "
        f"{figures['extra']} were predicted where there is none, and {figures['same_number']} had the right number from the "
        f"head; their mean Dice, 0 for a missed one, was {shown(figures['dice']['all'])}."
    )


def surface_words(summary: Mapping[str, Any]) -> str:
    """Median HD95 of every label."""
    mm = distance_unit(unit_of(summary))
    medians = [
        f"{_number(f['median'], 1)} {mm} for {label}" for label, f in summary.get("hd95", {}).items() if label != "mean"
    ]
    return f"; the median HD95 was {listed(medians)}" if medians else ""


def _number(value: Any, digits: int) -> str:
    number = float(value)
    return "infinite" if math.isinf(number) else f"{number:.{digits}f}"


LABEL_MAPS = LabelMaps()
