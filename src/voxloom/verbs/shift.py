"""``shift``: is a data set like the cases that a run was trained on?

Knows the run's fingerprint and its networks' features. The comparison is in ``voxloom.evaluation.shift``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.dataset import Dataset, Labels
from voxloom.dataset.inspect import Fingerprint, fingerprint
from voxloom.dataset.inspect.fingerprint import worth_processes
from voxloom.dataset.join import with_channels
from voxloom.errors import BadInput
from voxloom.evaluation.nearness import LEAST_HELD_OUT
from voxloom.evaluation.shift import EmbeddingShift, Shift, compare_sides
from voxloom.evaluation.statistics import p_text
from voxloom.progress import Progress
from voxloom.run.cases import other_set
from voxloom.run.run import Run
from voxloom.run.scan_check import TrainedOn
from voxloom.run.shift_facts import side_of
from voxloom.verbs.first_network import FirstNetwork, Look, Row


@dataclass(frozen=True)
class ShiftReport:
    """What differs.

    Parameters
    ----------
    name : of the data set.
    cases, patients : of the data set; ``training`` the same of the run.
    shifts : fact by fact, the most unlike first.
    embedding : distances in the features of the run's network; None where they were not measured, and ``why`` says why.
    told : case -> what the check at ``predict`` says of it.
    """

    name: str
    cases: int
    patients: int
    training: tuple[int, int]
    shifts: tuple[Shift, ...]
    embedding: EmbeddingShift | None
    why: str
    told: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        shifts = [shift.to_dict() for shift in self.shifts]
        embedding = None if self.embedding is None else self.embedding.to_dict()
        return {**vars(self), "shifts": shifts, "embedding": embedding, "conclusion": self.conclusion()}

    def conclusion(self) -> str:
        """What differs, in a sentence."""
        found = [s.name for s in self.shifts if s.p_holm < 0.05]
        outside = [s.name for s in self.shifts if s.outside > 0 and s.name not in found]
        told = [f"{', '.join(found[:6])} differ (Holm-corrected p < .05)" if found else "No difference was shown"]
        if outside:
            told.append(f"beyond all that was trained on in some patients: {', '.join(outside[:6])}")
        if self.embedding is not None:
            told.append(f"{_unlike(self.embedding)} by the network's features ({p_text(self.embedding.p)} for all)")
        return f"{'; '.join(told)}."


def _unlike(found: EmbeddingShift) -> str:
    """How many cases are unlike the training cases, or why that is not said."""
    if found.unlike is None:
        return f"fewer than {LEAST_HELD_OUT} patients were held out, so that no single case is said to be unlike"
    named = f" ({', '.join(found.unlike[:6])})" if found.unlike else ""
    return f"{len(found.unlike)} of {len(found.rarer)} cases are unlike the training cases{named}"


def shift_report(
    folder: Path,
    data: str | Path | Dataset,
    *,
    features: bool = True,
    device: str = "auto",
    workers: int | None = None,
    progress: Progress | None = None,
) -> ShiftReport:
    """Compare a data set with the training cases of a run.

    Parameters
    ----------
    folder : of the run.
    data : its test split where it has one, else all of it; labels are not needed.
    features : whether to look at it through the run's first network, which takes as long as predicting it.
    workers, progress : of ``fingerprint``.

    Raises
    ------
    BadInput : the run did not measure its cases, or no case of the data set can be read.
    """
    run = Run(folder)
    known = TrainedOn.of(run.data)
    if known is None:
        raise BadInput("the run keeps no fingerprint of its training cases", folder, "Train it again")
    chosen = _in_terms_of(known, other_set(run, data))
    network = FirstNetwork.of(run, device) if features else "not asked for"
    found, rows = _looked_at(chosen, network, workers, progress)
    if not found.readable:
        raise BadInput("no case of it can be read", chosen.root, "See what is wrong: voxloom inspect")
    who = run.patients
    theirs = {case.id: case.patient for case in chosen}
    labels = [name for name in run.data["dataset"]["labels"] or {} if name not in ("background", "ignore")]
    trained = [case for case in known.cases if case.split != "test"]
    ours, other = (side_of(c, p, known.channels, labels) for c, p in ((trained, who), (found.readable, theirs)))
    return ShiftReport(
        chosen.name,
        len(found.readable),
        len({theirs[case.id] for case in found.readable}),
        (len(trained), len(set(ours.patients))),
        tuple(compare_sides(ours, other)),
        None if isinstance(network, str) else network.compared(rows, theirs, who),
        network if isinstance(network, str) else "",
        remarks_of(known, found),
    )


def _in_terms_of(known: TrainedOn, whole: Dataset) -> Dataset:
    """The cases to compare, with their channels named and ordered like the run's."""
    declared = whole.declared_labels
    return Dataset.from_cases(
        whole.name,
        with_channels(whole.test if len(whole.test) else whole, known.channels),
        known.channels,
        declared if isinstance(declared, Labels) else None,
        root=whole.root,
        channel_kinds=known.kinds,
    )


def _looked_at(
    cases: Dataset, network: FirstNetwork | str, workers: int | None, progress: Progress | None
) -> tuple[Fingerprint, dict[str, Row]]:
    """Facts of all cases, and features of those that can be read; a small data set is read once for both."""
    if isinstance(network, str):
        return fingerprint(cases, workers=workers, progress=progress), {}
    if workers is None and not worth_processes(cases):
        look = Look(network.features)
        found = fingerprint(cases, progress=progress, look=look)
        look.raise_what_failed()
        return found, look.rows
    found = fingerprint(cases, workers=workers, progress=progress)
    readable = [cases[facts.id] for facts in found.readable]
    return found, {case.id: network.features.of_scan(case.read_image()) for case in readable}


def remarks_of(known: TrainedOn, found: Fingerprint) -> dict[str, str]:
    """Case -> what the check at ``predict`` says of it, or why it cannot be read; nothing of the others."""
    told: dict[str, str] = {}
    for facts in found.cases:
        sentence = known.compare_facts(facts) if facts.readable else facts.problem
        told |= {facts.id: sentence} if sentence else {}
    return told
