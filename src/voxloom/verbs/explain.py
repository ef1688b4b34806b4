"""``explain``: where in a scan the networks of a run find the reason of an answer, as maps on the scan's grid and as pictures.

Knows the order of things: which scans and answers, what may be written, one map after the other. What can be explained is the task's;
the methods are in ``voxloom.attribution``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.attribution import Explainable, MethodSettings, attribute, randomized
from voxloom.attribution.explainable import file_name_of
from voxloom.attribution.layers import layer_of
from voxloom.attribution.maps import Explained, pasted
from voxloom.errors import BadInput
from voxloom.evaluation.likeness import rank_correlation, structural_similarity
from voxloom.files import file_stem, plain, write_json
from voxloom.formats import write_volume
from voxloom.report.map_slices import map_slices
from voxloom.report.style import write_picture
from voxloom.run.find_scans import find_scans
from voxloom.run.listener import SILENT, Listener
from voxloom.run.outputs import Origin, claim_outputs
from voxloom.run.run import Run
from voxloom.run.scan_check import TrainedOn
from voxloom.run.scans import Scan, read_channels, read_scan
from voxloom.runfiles import RunFold
from voxloom.tasks.abilities import need
from voxloom.tasks.task import task_of
from voxloom.verbs.predict import around_of
from voxloom.volume import Volume

#: Networks of random weights that a map is compared with.
DRAWS = 3
#: Rank correlation with maps of random weights above which a map hardly depends on what was learned.
ALIKE = 0.7
FACTS = "explain.json"
GRAD_CAM = MethodSettings()


@dataclass(frozen=True)
class ExplainOptions:
    """How scans are explained.

    Parameters
    ----------
    method : see :class:`voxloom.attribution.MethodSettings`.
    answers : classes, targets, labels or landmarks; none takes the predicted class, or all of another task.
    sanity : compare every map with those of the same networks with random weights, drawn from ``seed``.
    attributes : of the cases, for covariates.
    around, series, resample_tilt, device : as of a prediction.
    """

    method: MethodSettings = GRAD_CAM
    answers: tuple[str, ...] = ()
    sanity: bool = False
    seed: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)
    around: Path | None = None
    series: tuple[str, ...] = ()
    resample_tilt: bool = False
    device: str = "auto"


@dataclass(frozen=True)
class Explanations:
    """What was written: files, and a row per scan and answer."""

    files: list[Path]
    rows: list[dict[str, Any]]
    says: str


def explain(
    folder: Path,
    inputs: Sequence[Path],
    out: Path,
    options: ExplainOptions = ExplainOptions(),
    listener: Listener = SILENT,
) -> Explanations:
    """Write maps ``NAME_METHOD_ANSWER.nii.gz``, a picture of each, and ``explain.json``.

    Parameters
    ----------
    folder : of a run.
    inputs : files, DICOM folders, or folders of files.

    Raises
    ------
    BadInput : before any work, where the run, the scans, an answer, a method or a layer cannot be used.
    """
    run = Run(folder)
    explained = opened(run, run.folds, options)
    scans = find_scans(inputs, len(explained.channels), explained.may_lack, series=options.series, tell=listener.stage)
    around = around_of(options.around, scans)
    files: list[Path] = []
    rows: list[dict[str, Any]] = []
    with listener.progress("Explaining") as progress:
        for number, scan in enumerate(scans):
            for written, row in _explain_scan(explained, scan, around.get(scan.name), out, options, listener):
                files += written
                rows.append(row)
            if progress is not None:
                progress(number + 1, len(scans))
    says = explained.scored(options.method.method).says
    about = {"run": str(folder), "method": options.method.model_dump(), "score": says, "maps": rows}
    write_json(out / FACTS, plain(about))
    return Explanations([*files, out / FACTS], rows, says)


def opened(run: Run, folds: Sequence[RunFold], options: ExplainOptions) -> Explainable:
    """The networks of some folds; what cannot be explained, or not so, is refused."""
    need(run, "explain")
    explained = replace(task_of(run).explainable(run, folds, options.device), trained_on=TrainedOn.of(run.data))
    explained.refuse_method(options.method.method)
    for answer in options.answers:
        explained.number_of(answer)
    layer_of(explained.members[0].network, options.method.layer)
    return explained


def explain_one(
    run: Run,
    source: str | Path | Volume,
    options: ExplainOptions,
) -> Volume:
    """The map of one answer for one scan, (1, I, J, K) on its grid (BadInput where several answers could be meant)."""
    explained = opened(run, run.folds, options)
    whole = source if isinstance(source, Volume) else read_channels(source, options.resample_tilt, options.series)
    volume = whole if options.around is None else explained.focus(whole, options.around)
    explained.refuse(volume)
    answers = explained.asked(options.answers, volume, options.attributes)
    if len(answers) > 1:
        raise BadInput("several answers can be explained", run.folder, f"Name one: {', '.join(answers)}")
    return pasted(attribute(explained, volume, answers[0], options.method, options.attributes).map, whole)


@dataclass(frozen=True)
class _Shown:
    """A scan as it was read, and the part of it that the networks are shown."""

    name: str
    whole: Volume
    part: Volume


def _explain_scan(
    explained: Explainable, scan: Scan, around: Path | None, out: Path, options: ExplainOptions, listener: Listener
) -> list[tuple[list[Path], dict[str, Any]]]:
    """Files and facts per answer of one scan."""
    whole = read_scan(scan, options.resample_tilt)
    shown = _Shown(scan.name, whole, whole if around is None else explained.focus(whole, around))
    explained.refuse(shown.part)
    answers = explained.asked(options.answers, shown.part, options.attributes)
    method = file_name_of(options.method.method)
    stems = {answer: file_stem(scan.name, method, answer) for answer in answers}
    origin = Origin(scan.source[0], scan.files, scan.series)
    names = {f"{stem}{ending}": origin for stem in stems.values() for ending in (".nii.gz", ".png")}
    with claim_outputs(out, names, listener.stage):
        return [
            _explain_answer(explained, shown, answer, out / stem, options, listener) for answer, stem in stems.items()
        ]


def _explain_answer(
    explained: Explainable, shown: _Shown, answer: str, stem: Path, options: ExplainOptions, listener: Listener
) -> tuple[list[Path], dict[str, Any]]:
    """Map and picture of one answer as ``STEM.nii.gz`` and ``STEM.png``, and its facts."""
    found = attribute(explained, shown.part, answer, options.method, options.attributes)
    row: dict[str, Any] = {"scan": shown.name, "answer": answer, "constant": found.constant}
    if told := told_of(found):
        listener.stage(f"{shown.name}, {answer}: {told}")
        row["note"] = told
    if options.sanity:
        row |= sanity_of(explained, shown.part, found, options)
    written = write_volume(pasted(found.map, shown.whole), stem.with_name(f"{stem.name}.nii.gz"))
    title = f"{shown.name}: {options.method.method} of {answer}"
    return [written, draw(shown.part, found.map, title, stem.with_name(f"{stem.name}.png"))], row


def told_of(found: Explained) -> str | None:
    """What must be known of a map that says nothing."""
    if not found.seen:
        return "is not predicted in this scan, so there is nothing to explain; the map is 0 everywhere"
    if found.constant:
        return "the map is constant: no place of the scan speaks for this answer more than another"
    return None


def draw(image: Volume, found: Volume, title: str, path: Path) -> Path:
    """A picture of a map over three planes."""
    return write_picture(map_slices(image, found, title), path, dpi=130)


def sanity_of(explained: Explainable, volume: Volume, found: Explained, options: ExplainOptions) -> dict[str, Any]:
    """How alike the map is to those of networks with random weights, means of ``DRAWS`` (Adebayo et al. 2018).

    Entries ``rank_correlation`` and ``ssim``; None where a random map is constant, which is as unlike as can be.
    """
    own = found.map.data[0]
    ranks, structures = [], []
    for n in range(DRAWS):
        networks = randomized(explained, options.seed + n)
        other = attribute(networks, volume, found.answer, options.method, options.attributes).map.data[0]
        ranks.append(rank_correlation(own, other))
        structures.append(structural_similarity(own, other))
    return {"rank_correlation": _mean(ranks), "ssim": _mean(structures), "draws": DRAWS, "seed": options.seed}


def _mean(values: Sequence[float]) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else None
