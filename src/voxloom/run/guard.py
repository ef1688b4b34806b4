"""The leakage guard: no scan and no patient on two sides, whatever the recipe put together.

Knows the sides of a study: folds, test split, external sets, pseudo-labels, a run's own cases. What identifies a case is in
``voxloom.dataset.leaks``; ``records`` are its descriptions of cases, as a run's ``data.json`` keeps them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from voxloom.dataset import Case, Dataset, Fold
from voxloom.dataset.leaks import Identity, Leak, describe_cases, find_leaks, same_images
from voxloom.errors import BadInput
from voxloom.recipe.recipe import DataSettings
from voxloom.run.run import Run

Records = Sequence[Mapping[str, Any]]


def role_of(record: Mapping[str, Any]) -> str:
    """What a case of a study is, in words, with its data set where there are several."""
    kind = "pseudo-labelled case" if record.get("pseudo") else "case"
    return f"{record['origin']}: {kind}" if record.get("origin") else kind


def guard_folds(records: Records, folds: Sequence[Fold], settings: DataSettings) -> None:
    """Refuse folds that train on a scan or a patient that they validate on (BadInput naming both cases)."""
    identities = {record["id"]: Identity.of_record(record, role_of(record)) for record in records}
    sharing: dict[tuple[str, str], list[str]] = defaultdict(list)
    images = same_images([identities[record["id"]] for record in records])
    for record, image in zip(records, images, strict=True):
        own, where = identities[record["id"]], record.get("origin", "")
        if image >= 0:
            sharing["image", str(image)].append(own.id)
        sharing["patient", f"{where}/{own.patient}" if settings.patients == "separate" else own.patient].append(own.id)
    shared = {key: ids for key, ids in sharing.items() if len(ids) > 1}
    for n, fold in enumerate(folds):
        train, val = set(fold.train), set(fold.val)
        for (kind, _), ids in shared.items():
            seen, held = [i for i in ids if i in train], [i for i in ids if i in val]
            if seen and held:
                leak = Leak(identities[seen[0]], identities[held[0]], "image" if kind == "image" else "patient")
                raise BadInput(f"fold {n} would train on what it validates: {leak.sentence}", None, leak.fix)


def guard_outside(records: Records, outside: Mapping[str, Dataset], settings: DataSettings) -> dict[str, Records]:
    """Refuse cases of a study that are also in a set kept apart (BadInput naming both cases).

    Parameters
    ----------
    outside : sets kept apart by name: "test split", or an external set's.

    Returns
    -------
    Records of those sets' cases.
    """
    ours = [Identity.of_record(record, role_of(record)) for record in records]
    described: dict[str, Records] = {}
    for name, dataset in outside.items():
        described[name] = describe_cases(dataset)
        theirs = (Identity.of_record(record, f"{name}: case") for record in described[name])
        leaks = across_sets(find_leaks(theirs, ours), settings)
        if leaks:
            raise BadInput(f"{leaks[0].sentence}{more(leaks)}", dataset.root, leaks[0].fix)
    return described


def across_sets(leaks: Sequence[Leak], settings: DataSettings) -> list[Leak]:
    """The leaks that count between data sets: names say nothing where every set numbers its own patients."""
    return [leak for leak in leaks if settings.patients == "shared" or leak.kind in ("file", "image")]


def more(leaks: Sequence[Leak]) -> str:
    """How many leaks are not shown."""
    return f" (and {len(leaks) - 1} more)" if len(leaks) > 1 else ""


def refuse_leak(run: Run, test: Sequence[Case]) -> list[str]:
    """Refuse to call cases a test that a run was made with: the same scan, or the same patient by name.

    Returns
    -------
    Warnings about cases that only have the id of one of the run's, in data sets that name no patients.

    Raises
    ------
    BadInput : naming both cases.
    """
    if pseudo := [case.id for case in test if case.is_pseudo]:
        raise BadInput(
            f"case {pseudo[0]} has a pseudo-label, which is not a truth", run.folder, "Evaluate on labelled cases"
        )
    known = [Identity.of_record(record, "the run's case") for record in run.data["cases"]]
    leaks = across_sets(find_leaks((Identity.of(case, "test case") for case in test), known), run.recipe.data)
    certain = [leak for leak in leaks if not leak.by_id_alone]
    if certain:
        fix = "Evaluate on unseen cases; figures on the held-out ones: voxloom evaluate RUN"
        raise BadInput(f"{certain[0].sentence}{more(certain)}", run.folder, fix)
    if not leaks:
        return []
    return [
        f"{len(leaks)} test cases have the id of a case of the run ({leaks[0].one.id}): if they are the same people, the "
        "figures are too good. A column patient in participants.csv of both data sets tells them apart"
    ]


def never_trained(run: Run) -> Iterator[Identity]:
    """The cases of a run that no training may ever see: held out in some fold, of the test split, or external."""
    about = run.data
    for record in about["cases"]:
        if record["fold"] is not None:
            yield Identity.of_record(record, f"fold {record['fold']}: held-out case")
    for name, records in about.get("outside", {}).items():
        yield from (Identity.of_record(record, f"{name}: case") for record in records)
