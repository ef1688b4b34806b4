"""Checks of whole cases: readable, unique, labeled, in one split only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxloom.dataset.faults import Fault, alike
from voxloom.dataset.inspect.fingerprint import Fingerprint
from voxloom.dataset.inspect.likeness import groups_of, same_scans
from voxloom.dataset.inspect.problem import Problem, about, counted
from voxloom.dataset.patients import suspected_patients, suspicion
from voxloom.dataset.tables import name_some

if TYPE_CHECKING:
    from voxloom.dataset.dataset import Dataset
    from voxloom.dataset.inspect.facts import CaseFacts

_FEW_CASES = 10


def broken_cases(found: Fingerprint) -> Iterator[Problem]:
    """Unreadable files, labels off their image, undeclared or non-integer label values: one error, of all cases that have it."""
    problems = {case.id: case.problem for case in found.cases if case.problem}
    fixes = {case.id: case.fix or "Correct or remove the case" for case in found.cases}
    for kind in alike(Fault(case, _reason(problem), fixes[case]) for case, problem in problems.items()):
        case, *more = kind.cases
        if more:
            yield Problem("error", None, kind.what, kind.fix, kind.cases)
        else:
            yield Problem("error", case, problems[case], kind.fix, kind.cases)


def _reason(problem: str) -> str:
    """A problem without the file that has it."""
    place, _, reason = problem.partition(": ")
    return reason if reason and Path(place).suffix else problem


def ids_alike(found: Fingerprint) -> Iterator[Problem]:
    """Ids that differ by case only: on file systems of Windows and macOS the files of one replace those of the other."""
    spelt: dict[str, list[str]] = defaultdict(list)
    for case in found.cases:
        spelt[case.id.casefold()].append(case.id)
    if torn := [name for names in spelt.values() if len(names) > 1 for name in names]:
        what = f"ids differ by upper and lower case only: {name_some(torn)}"
        yield Problem("warning", None, what, "Rename them: Windows and macOS keep one file for both", tuple(torn))


def duplicates(dataset: Dataset, found: Fingerprint) -> Iterator[Problem]:
    """Images of the same scan, however they were saved."""
    told = [case for case in found.readable if not case.is_constant]
    known = found.likenesses
    wholes = [(frozenset({case.sha256}), case.sketch) for case in told]
    groups = same_scans(wholes, [known[case.id].channels for case in told])
    same: dict[int, list[str]] = defaultdict(list)
    for case, group in zip(told, groups, strict=True):
        if group >= 0:
            same[group].append(case.id)
    for ids in same.values():
        patients = {dataset[name].patient for name in ids}
        splits = {dataset[name].split for name in ids}
        facts = {f.id: f for f in found.cases if f.id in ids}
        what = _copies([facts[name] for name in ids])
        if len({tuple(sorted(facts[name].label_values.items())) for name in ids}) > 1:
            what += ", with different labels"
        if len({str(facts[name].target) for name in ids}) > 1:
            what += ", with different targets"
        leaks = len(patients) > 1 or len(splits) > 1
        if len(splits - {None}) > 1:
            what += f", in {' and '.join(sorted(str(s) for s in splits))}"
        what += f": {name_some(ids)}"
        fix = "Remove all but one" if leaks else "Remove all but one, unless the repeat is meant"
        yield Problem("error" if leaks else "warning", None, what, fix, tuple(ids))


def shared_labels(dataset: Dataset) -> Iterator[Problem]:
    """One label map that stands for several cases with images of their own."""
    cases_of: dict[str, list[str]] = defaultdict(list)
    for case in dataset:
        if isinstance(case.label, str):
            cases_of[str(Path(case.label).resolve())].append(case.id)
    for path, ids in cases_of.items():
        if len(ids) > 1:
            what = f"one label map, {Path(path).name}, is that of {counted(len(ids))}: {name_some(ids)}"
            yield Problem("error", None, what, "Give every case its own label map", tuple(ids))


def equal_channels(found: Fingerprint) -> Iterator[Problem]:
    """Cases of which two channels hold one image."""
    ids = tuple(case.id for case in found.readable if len(set(case.parts)) < len(case.parts))
    if ids:
        what = f"two channels hold the same image in {counted(len(ids))}: {name_some(ids)}"
        yield Problem("warning", None, what, "Give every channel its own file, or leave one out", ids)


def _copies(cases: Sequence[CaseFacts]) -> str:
    """What cases that are alike have in common."""
    if len({case.sha256 for case in cases}) == 1:
        return "exact copies of one image"
    if -1 in groups_of([frozenset({case.sha256}) for case in cases], [case.sketch for case in cases]):
        return "a channel with the same image"
    return "copies of one image, saved differently"


def split_patients(dataset: Dataset) -> Iterator[Problem]:
    """Patients with cases in more than one split."""
    splits: dict[str, set[str]] = defaultdict(set)
    for case in dataset:
        if case.split is not None:
            splits[case.patient].add(case.split)
    torn = sorted(patient for patient, found in splits.items() if len(found) > 1)
    if torn:
        where = sorted({s for patient in torn for s in splits[patient]})
        yield Problem(
            "error",
            None,
            f"{counted(len(torn), 'patient')} in more than one split ({', '.join(where)}): {name_some(torn)}",
            "Move all cases of a patient into one split, or the test result will be too good",
        )


def unlabeled_cases(dataset: Dataset) -> Iterator[Problem]:
    """Training cases without a label map where the others have one."""
    if dataset.task != "segmentation":
        return
    missing = [case.id for case in dataset if case.label is None and case.split != "test"]
    if missing:
        yield about(
            "warning", missing, f"{counted(len(missing))} without a label map: {{cases}}", "They are not trained on"
        )


def few_cases(dataset: Dataset) -> Iterator[Problem]:
    """Too few cases to believe a result, and patients that nobody named."""
    count = len(dataset.training)
    if count < _FEW_CASES:
        yield Problem(
            "note",
            None,
            f"only {counted(count)} to train on",
            "Use as many folds as cases can bear and report the spread",
        )
    suspicious = suspicion({} if dataset.names_patients else suspected_patients(dataset))
    fix = "If a patient has several cases, add a table with the columns case and patient"
    if suspicious:
        yield Problem("warning", None, suspicious, f"Every case counts as a patient of its own. {fix}")
    elif len(dataset) > 1 and not dataset.names_patients:
        what = "no patient numbers are given, so every case counts as a patient of its own"
        yield Problem("note", None, what, fix)
