"""The loop: which case to annotate next, what is trained on, and what annotating has brought so far.

Knows the store and what runs told; the order comes from ``voxloom.annotate.rank``, trainings from ``voxloom train``.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from voxloom.dataset import Case, Labels
from voxloom.errors import BadInput
from voxloom.files import write_text
from voxloom.points import write_points
from voxloom.serve.dice import dice_of
from voxloom.serve.run_info import RunInfo
from voxloom.serve.store import Store, Version
from voxloom.serve.store.versions import Kind

#: Tag of a drawing that its author stands for; it goes before later drafts.
FINAL = "final"


@dataclass(frozen=True)
class Next:
    """The case to annotate next, and why; no case where none is left."""

    case: str | None
    reason: str


def drawing_labels(store: Store, runs: Mapping[str, RunInfo], run: str | None = None) -> Labels | None:
    """What values of drawings mean: the data set's labels, else those of the named run, else of the first run that has any."""
    if store.labels is not None:
        return store.labels
    if (found := runs.get(run or "")) is not None:
        return found.declared
    return next((info.declared for info in runs.values() if info.declared is not None), None)


def next_case(store: Store, run: str | None, strategy: str, author: str | None) -> Next:
    """The case to annotate next.

    Parameters
    ----------
    run : whose ranking is followed.
    strategy : "rank" follows it, "first" takes the cases in their order.
    author : leaves out what this person has annotated; None leaves out what anybody has.

    Raises
    ------
    BadInput : another strategy, or the run has not ranked the cases.
    """
    left = [name for name in store.ids() if not truth_known(store, name) and store.latest(name, author=author) is None]
    if not left:
        return Next(None, "every case is annotated")
    if strategy == "first":
        return Next(left[0], f"the first of {len(left)} cases without an annotation")
    if strategy != "rank":
        raise BadInput(f"there is no strategy {strategy!r}", "strategy", "Take rank or first")
    rows = store.rank(run or "")
    if not rows:
        raise BadInput("the run has not ranked the cases", "run", "Ask for it: POST /api/rank")
    for row in rows:
        if row["case"] in left:
            return Next(str(row["case"]), str(row["reason"]))
    return Next(left[0], "it came after the ranking: rank again to see where it belongs")


def truth_known(store: Store, name: str) -> bool:
    """Whether the served data set has the truth of a case already."""
    case = store.case(name)
    return case.label is not None or case.points is not None


def unlabelled(store: Store) -> list[str]:
    """Cases that nobody has annotated and whose truth is not known."""
    return [name for name in store.ids() if not truth_known(store, name) and store.latest(name) is None]


def chosen_version(store: Store, name: str, kind: Kind) -> Version | None:
    """The drawing that is learned from: the last that is final, else the last; None where there is none of its kind."""
    return store.latest(name, tag=FINAL, kind=kind) or store.latest(name, kind=kind)


def write_training_table(store: Store, path: Path, kind: Kind) -> int:
    """Write the table of all cases with a truth or a drawing; a drawing goes before the truth. How many drawings there are.

    Test cases with a truth stay apart, drawn or not; those without one (nnU-Net's imagesTs) are learned from where people drew.

    Parameters
    ----------
    path : of the table; cells are paths relative to it.
    kind : "label" or "points".

    Raises
    ------
    BadInput : there are fewer than two cases to learn from.
    """
    rows, drawn = [], 0
    for name in store.ids():
        case = store.case(name)
        version = chosen_version(store, name, kind)
        answer = (
            store.drawings(name).file(version) if version is not None else true_file(store, case, kind, path.parent)
        )
        if answer is None or (case.split == "test" and truth_known(store, name)):
            continue
        drawn += version is not None
        images = {
            f"image_{channel}": store.image(name, n)
            for n, channel in zip(case.channel_numbers, case.images, strict=True)
        }
        told = {key: os.path.relpath(file, path.parent) for key, file in {**images, kind: answer}.items()}
        rows.append({"case": name, "patient": case.patient, "group": case.group or "", **told})
    if len(rows) < 2:
        raise BadInput(f"{len(rows)} case(s) can be learned from", "cases", "Annotate at least two")
    columns = ["case", "patient", "group", *(f"image_{channel}" for channel in store.channels), kind]
    if not any(row["group"] for row in rows):
        columns.remove("group")
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
    return drawn


def true_file(store: Store, case: Case, kind: Kind, folder: Path) -> Path | None:
    """The truth of a case as a file; points are written as markups beside the table."""
    if kind == "label":
        return None if case.label is None else store.truth(case.id)
    if case.points is None:
        return None
    return write_points(case.read_points(), folder / f"{case.id}.mrk.json", case.id)


def progress_of(store: Store, runs: Iterable[RunInfo], trained: Mapping[str, int]) -> dict[str, Any]:
    """What annotating has brought.

    Parameters
    ----------
    trained : number of annotated cases of every run that was trained here.

    Returns
    -------
    ``annotated`` and ``total`` cases; ``curve``: per run trained here, in order, how many annotated cases it learned from and the
    Dice of its held-out cases; ``corrections``: per drawing that was made from a prediction, in order of time, the Dice of that
    prediction with it; ``seconds``: what every drawing took, and ``median_seconds`` from a prediction and from nothing.
    """
    infos = {info.name: info for info in runs}
    names = [name for name in store.ids() if not truth_known(store, name)]
    drawn = {name: store.versions(name) for name in store.ids()}
    versions = sorted(((v, name) for name, own in drawn.items() for v in own), key=lambda pair: pair[0].time)
    curve = [
        {"run": name, "cases": cases, "dice": infos[name].scores.get("dice")}
        for name, cases in trained.items()
        if name in infos
    ]
    seconds: list[dict[str, Any]] = [
        {
            "case": name,
            "version": v.version,
            "seconds": v.seconds,
            "from": "prediction" if "run" in v.parent else "nothing",
        }
        for v, name in versions
        if v.seconds is not None and "version" not in v.parent
    ]
    kinds = {kind: [row["seconds"] for row in seconds if row["from"] == kind] for kind in ("prediction", "nothing")}
    return {
        "annotated": sum(bool(drawn[name]) for name in names),
        "total": len(names),
        "curve": curve,
        "corrections": [found for v, name in versions if (found := correction(store, infos, name, v)) is not None],
        "seconds": seconds,
        "median_seconds": {kind: median(found) if found else None for kind, found in kinds.items()},
    }


def correction(store: Store, infos: Mapping[str, RunInfo], name: str, version: Version) -> dict[str, Any] | None:
    """How much of a prediction was right, by the drawing that was made from it; None where the two cannot be compared."""
    run = str(version.parent.get("run", ""))
    found = store.predictions(name).get(run)
    if version.kind != "label" or found is None or found.weights != version.parent.get("weights"):
        return None
    labels = infos[run].declared if run in infos else None
    if labels is None:
        return None
    try:
        dice = dice_of(store.prediction(name, run), store.drawings(name).file(version), labels)["mean"]
    except BadInput:
        return None
    return {"case": name, "version": version.version, "run": run, "time": version.time, "dice": dice}


def kind_of_runs(infos: Sequence[RunInfo]) -> Kind:
    """What is drawn for runs: "points" where all of them predict points, else "label"."""
    return "points" if infos and all(info.landmarks for info in infos) else "label"
