"""What cards say of a run that answers with points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.subject import Subject
from voxloom.report.cards.whole_cases import oversampling
from voxloom.report.cards.words import counted, listed, named
from voxloom.report.points_table import point_rows

LOSSES = {
    "fuzzy_dice": "fuzzy Dice loss",
    "sigmoid_ce": "class-balanced cross-entropy of sigmoids",
    "softmax_ce": "class-balanced cross-entropy of a softmax",
    "heatmap": "the divergence from heat maps",
}
WEIGHTINGS = {
    "counts": "maps weighted by the count of their marks (the rarest 1)",
    "equal": "maps of equal weight",
    "whole": "one Dice over all maps at once",
}
TARGETS = {"disc": "a disc in the slice of radius", "ball": "a ball of radius", "gaussian": "a Gaussian of SD"}
MAPS = {"one": "one map for all landmarks", "level": "a map per level", "landmark": "a map per level and side"}
NETWORKS = {"singlenet": "SingleNet", "multinet": "MultiNet"}
POSITIONS = {"centroid": "the centroid of its piece", "peak": "the sub-voxel peak of the map in its piece"}
ORDERS = {
    "off": "Every level was looked at alone.",
    "drop": "Points that break the order from head to feet were left out.",
    "joint": "Among the candidates of all levels those were chosen at once that keep the order from head to feet.",
}
#: Keys of three-slice networks that the recipe may set, in words.
OF_NETWORK = {
    "channels": "{} channels at its finest level",
    "max_channels": "at most {} channels",
    "levels": "{} levels",
    "activation": "activation {}",
    "dropout": "dropout {}",
}
SWITCHES = {
    "supervision": ("supervised at every level", "supervised at its finest level alone"),
    "he": ("weights drawn as by He et al.", "weights drawn as by Glorot and Bengio"),
    "batch_norm": ("batch normalization", "no normalization"),
}


class Marks(Subject):
    """See :class:`voxloom.report.cards.subject.Subject`."""

    example = ("window", "windows")
    score = ("val_recall", "mean recall")
    missing = "A landmark without a predicted point counts as missed; no case was dropped."

    def names(self, facts: RunFacts) -> list[str]:
        """The levels, from head to feet."""
        layout = facts.dataset.get("landmarks") or {}
        return list(layout.get("names") or facts.section("landmarks").get("names") or [])

    def goal(self, facts: RunFacts) -> str:
        """The landmarks."""
        return f"localization of {listed(self.names(facts)) or 'landmarks'}"

    def output(self, facts: RunFacts) -> str:
        """Points."""
        return "points in RAS mm with a confidence each"

    def reference(self, facts: RunFacts) -> str:
        """Which landmarks were marked."""
        sides = [side for side in (facts.dataset.get("landmarks") or {}).get("sides", []) if side]
        of = f" ({listed(sides)})" if sides else ""
        return f"{listed(self.names(facts)) or 'landmarks'}{of} were marked by points"

    def loss(self, facts: RunFacts) -> str:
        """With its weighting."""
        own = facts.section("landmarks")
        words = named(LOSSES, own.get("loss", "fuzzy_dice"))
        if own.get("loss", "fuzzy_dice") == "fuzzy_dice":
            words += f" ({named(WEIGHTINGS, own.get('weighting', 'counts'))})"
        if own.get("output"):
            competing = "maps compete in a softmax" if own["output"] == "softmax" else "every map is a sigmoid"
            words += f"; {competing}"
        return words

    def network(self, facts: RunFacts) -> Iterator[str]:
        """SingleNet or MultiNet, and what was set of it."""
        own = facts.section("landmarks")
        if own.get("network", "multinet") in NETWORKS:
            set_ = [words.format(own[key]) for key, words in OF_NETWORK.items() if own.get(key) is not None]
            set_ += [yes if own[key] else no for key, (yes, no) in SWITCHES.items() if own.get(key) is not None]
            told = f", with {listed(set_)}" if set_ else ""
            count = f"; it had {facts.parameters:,} trained parameters" if facts.parameters else ""
            yield (
                f"The model was {NETWORKS[own.get('network', 'multinet')]}, which reads three slices and answers for the middle "
                f"one{told}{count}."
            )

    def learning(self, facts: RunFacts) -> Iterator[str]:
        """What is painted around marks, and who is drawn more often."""
        own = facts.section("landmarks")
        maps = own.get("maps") or (facts.dataset.get("landmarks") or {}).get("maps")
        into = f" into {named(MAPS, maps)}" if maps else ""
        yield f"Around every mark {named(TARGETS, own.get('target', 'disc'))} {own.get('radius', 7):g} mm was painted{into}."
        if own.get("names"):
            yield f"The recipe named the levels from head to feet: {listed(own['names'])}."
        yield from oversampling(own)

    def applying(self, facts: RunFacts) -> Iterator[str]:
        """From maps to points."""
        own = facts.section("landmarks")
        yield (
            f"Connected pieces of a map above {own.get('threshold', 0.5):g} were candidates; a candidate lies at "
            f"{named(POSITIONS, own.get('position', 'centroid'))}. {ORDERS[own.get('order', 'off')]}"
        )
        if own.get("abstain"):
            yield f"Points of less calibrated confidence than {own['abstain']:g} were left out; their landmarks count as missed."

    def chosen(self, facts: RunFacts) -> Iterator[str]:
        """The calibration."""
        yield "the calibration of the confidences"

    def measuring(self, facts: RunFacts) -> Iterator[str]:
        """Recall and distances."""
        within = facts.section("landmarks").get("within", 5)
        yield (
            f"A point counted as right within {within:g} mm of the true one. Recall is over all true landmarks, missed ones included; "
            "distances are over predicted points, in the slice and in three dimensions. No intervals are given."
        )

    def result(self, where: str, summary: Mapping[str, Any]) -> Iterator[str]:
        """Recall, distances and errors."""
        total = summary.get("all")
        if total:
            yield (
                f"On {where}, {100 * total['recall']:.1f} % of {total['points']} landmarks were found within "
                f"{summary['within_mm']:g} mm in the "
                f"slice; the mean distance was {total['in_plane_mean']:.2f} mm in the slice and {total['distance_mean']:.2f} mm "
                "in three "
                f"dimensions."
            )

    def table(self, sets: list[tuple[str, Mapping[str, Any]]]) -> list[list[str]]:
        """A row per set and level."""
        rows: list[list[str]] = []
        for name, summary in sets:
            head, *levels = point_rows(dict(summary) if "levels" in summary else None)
            rows = rows or [["Cases", *head]]
            rows += [[name, *level] for level in levels]
        return rows

    def failures(self, summary: Mapping[str, Any], tables: list[Path], where: str) -> str:
        """Landmarks that were missed, at a wrong level or invented."""
        total = summary.get("all")
        if not total:
            return ""
        return (
            f"of {counted(total['points'], 'landmark')} of {where} cases {total['missed']} were missed and {total['shifted']} "
            "put at a wrong "
            f"level, and {total['invented']} points were invented"
        )


MARKS = Marks()
