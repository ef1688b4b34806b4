"""What a service tells of a run: read from the files of its folder, without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.evaluation.scores import CLASS_SCORES, MASK_SCORES, NUMBER_SCORES, POINT_SCORES
from voxloom.files import read_json
from voxloom.report.style import color_of
from voxloom.run.identity import one_of, weights_id
from voxloom.run.run import Run

#: Scores that a list of runs shows.
_SHOWN = {**MASK_SCORES, **POINT_SCORES, **CLASS_SCORES, **NUMBER_SCORES}


@dataclass(frozen=True)
class RunLabel:
    """A label of a run: name, the value that its predictions hold, and the color (``#rrggbb``) that every picture gives it."""

    name: str
    value: int
    color: str


@dataclass(frozen=True)
class RunInfo:
    """A run, or an ensemble, as a service knows it.

    Parameters
    ----------
    folder : of the run; never told to a client.
    task : e.g. "segmentation".
    labels : of predicted label maps; none for other tasks.
    declared : the same with all their values; None for other tasks.
    landmarks : names of predicted points.
    classes : that are told apart, or names of predicted numbers.
    channels, kinds : names and kinds ("CT", "zscore", ...) of the channels of a scan.
    scores : of the held-out cases: name -> figure.
    weights : ``run.identity.weights_id``, as results in DICOM name it too; what an annotation names as its origin.
    known : SHA-256 of every file that the run was trained or validated on.
    may_lack : whether it learned to do without a channel (``augment.channel_dropout``).
    """

    name: str
    folder: Path
    task: str
    labels: tuple[RunLabel, ...]
    declared: Labels | None
    landmarks: tuple[str, ...]
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    kinds: tuple[str, ...]
    scores: Mapping[str, float]
    weights: str
    known: frozenset[str]
    may_lack: bool

    @property
    def report(self) -> Path | None:
        """The run's ``report.html``, where it has one."""
        path = self.folder / "report.html"
        return path if path.is_file() else None

    @property
    def figures(self) -> Mapping[str, float]:
        """Another name of ``scores``."""
        return self.scores


def run_info(name: str, folder: Path) -> RunInfo:
    """What is known of a run or of an ensemble.

    Raises
    ------
    BadInput : the folder is neither, has no trained weights, or a file of it is damaged.
    """
    if (folder / "ensemble.json").is_file():
        return _ensemble_info(name, folder)
    run = Run(folder)
    about = run.data.get("dataset", {})
    given = about.get("labels") or {}
    labels = Labels.from_nnunet(given, about.get("regions_order")) if given else None
    channels = tuple(map(str, about.get("channels", ())))
    return RunInfo(
        name=name,
        folder=folder,
        task=run.task,
        labels=labels_told(labels),
        declared=labels,
        landmarks=tuple(about.get("landmarks", {}).get("names", ())),
        classes=tuple(map(str, about.get("meaning", {}).get("classes") or about.get("meaning", {}).get("names") or ())),
        channels=channels,
        kinds=tuple(map(str, about.get("channel_kinds", ()))) or channels,
        scores=dict(_scores(run.summary.get("validation") or {})),
        weights=weights_id(run),
        known=frozenset(digest for case in run.data.get("cases", ()) for digest in case["files"].values()),
        may_lack=float(run.recipe.augment.get("channel_dropout", 0)) > 0,
    )


def labels_told(labels: Labels | None) -> tuple[RunLabel, ...]:
    """Names, written values and colors; the colors are those of every report."""
    if labels is None:
        return ()
    pairs = zip(labels.names, labels.written_values, strict=True)
    return tuple(RunLabel(name, value, color_of(n)) for n, (name, value) in enumerate(pairs))


def _ensemble_info(name: str, folder: Path) -> RunInfo:
    """An ensemble answers as its first member does."""
    about = read_json(folder / "ensemble.json")
    try:
        members = [(folder / member["run"]).resolve() for member in about["members"]]
        first = run_info(name, members[0])
    except (KeyError, TypeError, IndexError) as error:
        raise BadInput("is not a description of an ensemble", folder / "ensemble.json", "Build it anew") from error
    others = [run_info(name, member) for member in members[1:]]
    weights = one_of([info.weights for info in (first, *others)])
    figures = (about.get("validation") or {}).get("ensemble") or {}
    known = frozenset().union(*(info.known for info in (first, *others)))
    return RunInfo(
        name, folder, first.task, first.labels, first.declared, first.landmarks, first.classes, first.channels,
        first.kinds, dict(_scores(figures)), weights, known, all(info.may_lack for info in (first, *others)),
    )  # fmt: skip


def _scores(figures: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Main figures of a summary, whatever its task: those with a known name, over all labels, classes or landmarks."""
    for name, found in figures.items():
        if name == "targets" and isinstance(found, dict):
            for target, own in found.items():
                yield from ((f"{metric} {target}", value) for metric, value in _scores(own))
        elif name == "all" and isinstance(found, dict):
            yield from _scores(found)
        elif name in _SHOWN and (value := _number(found)) is not None:
            yield name, value


def _number(found: Any) -> float | None:
    """The one figure of an entry: a number, its ``value`` or ``mean``, or that of its only or mean label."""
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        return float(found)
    if not isinstance(found, dict):
        return None
    for key in ("value", "mean"):
        if key in found:
            return _number(found[key])
    return _number(next(iter(found.values()))) if len(found) == 1 else None
