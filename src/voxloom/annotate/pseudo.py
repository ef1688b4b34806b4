"""``pseudo``: labels that the folds of a run predict for unlabelled scans, as a data set to train on.

Knows the rule by which a case is kept, and that no held-out, test or external case may ever be among them. Every label is marked as
pseudo (column ``pseudo`` of ``participants.csv``), so that it never validates and never counts as a truth.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from voxloom.dataset import Case, Dataset, FileChannel, ImageSource, Labels
from voxloom.dataset.case import in_series
from voxloom.dataset.join import with_channels
from voxloom.dataset.layouts import is_dataset
from voxloom.dataset.leaks import Identity, find_leaks
from voxloom.dataset.tables import find_table, join
from voxloom.dataset.write import nnunet_channels, write_images, write_participants
from voxloom.errors import BadInput
from voxloom.files import new_folder, write_json, write_text
from voxloom.formats import write_volume
from voxloom.notes import tell
from voxloom.progress import Progress
from voxloom.run.find_scans import find_scans
from voxloom.run.guard import never_trained
from voxloom.run.run import Run
from voxloom.tasks.abilities import need
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.trust.agreement import Confidence, confidence_of

#: The list of kept and refused cases in the data set.
LIST = "pseudo.csv"


@dataclass(frozen=True)
class Rule:
    """When a case is kept; both hold for the label of least confidence.

    Parameters
    ----------
    agreement : least mean Dice between every two folds.
    expected : least Dice that the mean probabilities lead to expect.
    """

    agreement: float = 0.8
    expected: float = 0.5

    def refuses(self, found: Confidence) -> str:
        """Why the rule refuses a case; "" when it keeps it."""
        if not found.expected:
            return "no label was found"
        for name, value in found.agreement.items():
            if value < self.agreement:
                return f"the folds disagree on {name}: Dice {value:.3f} between them, {self.agreement:g} is asked for"
        for name, value in found.expected.items():
            if value < self.expected:
                return f"little confidence in {name}: expected Dice {value:.3f}, {self.expected:g} is asked for"
        return ""


@dataclass(frozen=True)
class Verdict:
    """What became of one unlabelled case; ``reason`` is "" for a kept one, figures are None where it was not predicted."""

    case: Case
    reason: str
    agreement: float | None = None
    expected: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the case is in the data set."""
        return not self.reason


def pseudo_label(
    folder: Path,
    inputs: Sequence[str | Path],
    out: Path,
    rule: Rule | None = None,
    *,
    series: Sequence[str] = (),
    device: str = "auto",
    progress: Progress | None = None,
) -> list[Verdict]:
    """Write an nnU-Net raw data set of pseudo-labels, with ``pseudo.csv`` that says what became of every case.

    Parameters
    ----------
    folder : of a run with two folds or more.
    inputs : an unlabelled data set, or scans as ``voxloom predict`` takes them; ``participants.csv`` beside them names patients.
    out : of the data set; made, nothing is overwritten.
    rule : when a case is kept.
    series : of each DICOM folder, read the series that any of these names; without it a data set's is that of the training.

    Raises
    ------
    BadInput : the run has one fold, there is no unlabelled case, no case is kept, or ``out`` exists.
    """
    run = Run(folder)
    need(run, "pseudo")
    if len(run.folds) < 2:
        raise BadInput("one network has nobody to agree with", folder, "Train with --folds 2 or more")
    if out.exists():
        raise BadInput("exists already", out, "Give a new folder; nothing is overwritten")
    predictor = Predictor.of(run, device=device)
    cases = unlabelled_cases(inputs, predictor.channels, predictor.may_lack, series or run.recipe.data.series)
    reasons = leak_reasons(run, cases)
    verdicts = []
    with new_folder(out) as target:
        for done, case in enumerate(cases, start=1):
            verdicts.append(_label(case, reasons.get(case.id, ""), predictor, rule or Rule(), target))
            if progress is not None:
                progress(done, len(cases))
        kept = [verdict for verdict in verdicts if verdict.kept]
        if not kept:
            surest = max(verdicts, key=lambda verdict: -1.0 if verdict.agreement is None else verdict.agreement)
            raise BadInput(
                f"none of {len(cases)} cases is kept; the surest, {surest.case.id}: {surest.reason}",
                folder,
                "Train longer, or ask for less with --agreement and --expected",
            )
        write_text(target / LIST, verdict_table(verdicts))
        write_json(target / "dataset.json", describe_dataset(run, predictor.labels, len(kept)))
        write_participants([marked(verdict, run) for verdict in kept], target)
    return verdicts


def unlabelled_cases(
    inputs: Sequence[str | Path], channels: Sequence[str], may_lack: bool, series: Sequence[str] = ()
) -> list[Case]:
    """The cases without a label of a data set, or one case per scan; of each DICOM folder the series that is named.

    Raises BadInput when there is none, channels differ, or one is missing that the run does not learn to do without.
    """
    paths = [Path(path) for path in inputs]
    if len(paths) == 1 and is_dataset(paths[0]):
        cases = [
            case for case in with_channels(Dataset(paths[0], series=tuple(series)), channels) if case.label is None
        ]
        if not cases:
            raise BadInput("every case has a label", paths[0], "Give scans without labels")
        return cases
    cases = []
    for scan in find_scans(paths, len(channels), may_lack, series=series, tell=partial(tell, paths[0])):
        there = [name for n, name in enumerate(channels) if n not in scan.missing]
        files = [str(path) for path in scan.source]
        whole = len(files) == 1 < len(there)
        images: dict[str, ImageSource] = dict(zip(there, files, strict=False))
        if whole:
            images = {name: FileChannel(files[0], n) for n, name in enumerate(there)}
        case = Case(scan.name, scan.name, images=images, missing=scan.missing)
        cases.append(in_series(case, scan.series) if scan.series else case)
    table = find_table(paths[0], ("participants",)) if len(paths) == 1 and paths[0].is_dir() else None
    return cases if table is None else join(cases, table).cases


def leak_reasons(run: Run, cases: Sequence[Case]) -> dict[str, str]:
    """Why cases must not be pseudo-labelled: they, or their patients, are held out somewhere, or they are known already."""
    ours = [Identity.of(case, "unlabelled case") for case in cases]
    records = [record for record in run.data["cases"] if record["fold"] is None]
    trained = [Identity.of_record(record, "training case") for record in records]
    reasons = {leak.one.id: leak.sentence for leak in find_leaks(ours, trained) if leak.kind in ("file", "image", "id")}
    before: list[Identity] = []
    for one in ours:
        twice = [leak for leak in find_leaks([one], before) if leak.kind in ("file", "image")]
        reasons |= {leak.one.id: leak.sentence for leak in twice}
        before.append(one)
    return reasons | {leak.one.id: leak.sentence for leak in find_leaks(ours, never_trained(run))}


def _label(case: Case, reason: str, predictor: Predictor, rule: Rule, target: Path) -> Verdict:
    """Predict a case and, if the rule keeps it, write its images and its label."""
    if reason:
        return Verdict(case, reason)
    confidence = confidence_of(predictor, case.read_image())
    found = Verdict(
        case,
        rule.refuses(confidence),
        min(confidence.agreement.values()),
        min(confidence.expected.values(), default=0.0),
    )
    if found.kept:
        write_images(case, target / "imagesTr", ".nii.gz")
        write_volume(confidence.prediction, target / "labelsTr" / f"{case.id}.nii.gz")
    return found


def describe_dataset(run: Run, labels: Labels, count: int) -> dict[str, Any]:
    """``dataset.json`` with the label values of the run's own data set, so that both can be used together."""
    about = run.data["dataset"]
    order = {"regions_class_order": list(labels.written_values)} if labels.has_regions else {}
    return {
        "name": f"{about['name']}-pseudo",
        "description": f"Pseudo-labels of the run {run.folder.resolve().name}: predicted, not drawn by anybody",
        "channel_names": nnunet_channels(about["channels"], about["channel_kinds"]),
        "labels": labels.to_nnunet(),
        **order,
        "numTraining": count,
        "file_ending": ".nii.gz",
        "converted_by": "Voxloom",
    }


def marked(verdict: Verdict, run: Run) -> Case:
    """A kept case with the mark that keeps it out of every validation and test, and how confident the folds were."""
    figures = {"agreement": f"{verdict.agreement:.4f}", "expected_dice": f"{verdict.expected:.4f}"}
    attributes = {**verdict.case.attributes, "pseudo": run.folder.resolve().name, **figures}
    return replace(verdict.case, attributes=attributes)


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """``pseudo.csv``: a row per unlabelled case."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["case", "patient", "kept", "agreement", "expected_dice", "reason"])
    for v in verdicts:
        numbers = ["" if value is None else f"{value:.4f}" for value in (v.agreement, v.expected)]
        writer.writerow([v.case.id, v.case.patient, "yes" if v.kept else "no", *numbers, v.reason])
    return text.getvalue()
