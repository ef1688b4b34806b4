"""Which cases a run uses, and which of them train and validate in each fold, as the recipe's ``data`` and ``folds`` say.

Knows data sets that are joined, cases that are left out, and cases that always train (other sites, pseudo-labels). Does not
know leaks (``guard``), nor how anything is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxloom.dataset import (
    Dataset,
    Fold,
    declared_folds,
    group_folds,
    hold_out,
    join_datasets,
    leave_one_out,
    make_folds,
    read_splits,
    sorted_folds,
)
from voxloom.dataset.tables import name_some, read_table
from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe
from voxloom.run.run import Run


def settled(recipe: Recipe) -> Recipe:
    """The recipe with whole paths, and with the ids that a review list excludes now, so that the run can be repeated."""
    data = recipe.data
    changes = {key: [str(path.resolve()) for path in getattr(data, key)] for key in ("add", "external")}
    return recipe.changed(
        {"data.exclude": list(excluded_ids(recipe)), **{f"data.{key}": paths for key, paths in changes.items()}}
    )


def joined_cases(dataset: Dataset, recipe: Recipe) -> Dataset:
    """The training cases of ``whole_cases`` without those that ``folds.test`` sets apart."""
    whole = whole_cases(dataset, recipe)
    apart = set(drawn_test(whole, recipe))
    return whole.subset([case.id for case in whole if case.id not in apart]) if apart else whole


def drawn_test(whole: Dataset, recipe: Recipe) -> list[str]:
    """Ids of the cases that ``folds.test`` sets apart: drawn by patient and stratum from the recipe's seed, pseudo-labels never."""
    f = recipe.folds
    if not f.test:
        return []
    real = whole.subset([case.id for case in whole if not case.is_pseudo])
    return list(hold_out(real, f.test, seed=recipe.seed, stratify=f.test_stratify).val)


def whole_cases(dataset: Dataset, recipe: Recipe) -> Dataset:
    """The training cases of the data set and of those that ``data.add`` names, without the excluded ones.

    Raises BadInput for excluded cases that do not exist, for data sets that do not fit together, and for cases that lack a
    channel where the recipe does not say so.
    """
    whole = dataset.training
    if recipe.data.add:
        plain = whole.labels is None or recipe.data.labels is not None
        merged = None if plain or whole.labels is None else recipe.labels.apply(whole.labels)
        whole = join_datasets(whole, [Dataset(path).training for path in recipe.data.add], merged)
    whole = whole.with_series(recipe.data.series)
    left_out = excluded_ids(recipe)
    if unknown := sorted(set(left_out) - {case.id for case in whole}):
        raise BadInput(f"excluded cases that do not exist: {', '.join(unknown)}", dataset.root, "Check data.exclude")
    whole = whole.subset([case.id for case in whole if case.id not in left_out])
    refuse_missing(whole, recipe)
    return whole


def other_set(run: Run, data: str | Path | Dataset) -> Dataset:
    """Another data set that a run is tried on, read by the run's rules: of DICOM folders the series that it was trained on."""
    return (data if isinstance(data, Dataset) else Dataset(data)).with_series(run.recipe.data.series)


def refuse_missing(dataset: Dataset, recipe: Recipe) -> None:
    """Refuse cases that lack a channel, unless the recipe's network learns to do without (BadInput naming the case)."""
    lacking = next((case for case in dataset if case.missing), None)
    if lacking is not None and not recipe.augment.get("channel_dropout"):
        raise BadInput(
            f"case {lacking.id} has no image of channel {dataset.channels[lacking.missing[0]]}",
            dataset.root,
            "Add the file, leave the case out, or let the network learn to do without: --set augment.channel_dropout=0.2",
        )


def excluded_ids(recipe: Recipe) -> tuple[str, ...]:
    """Case ids that are left out: listed in the recipe, or marked ``exclude`` in the verdicts of a ``review.csv``."""
    listed = recipe.data.exclude
    if not isinstance(listed, Path):
        return listed
    if not listed.is_file():
        raise BadInput("no such review list", listed, "Make one: voxloom review RUN; or list ids: exclude: [A, B]")
    return tuple(case for case, verdict in read_verdicts(listed).items() if verdict == "exclude")


def read_verdicts(path: Path) -> dict[str, str]:
    """``exclude`` or ``keep`` by case, as a person left them in a ``review.csv``; the header alone gives none.

    Raises BadInput when a row has no case or another verdict.
    """
    if path.read_text(encoding="utf-8-sig", errors="replace").strip().count("\n") == 0:
        return {}
    rows = read_table(path)
    for number, row in enumerate(rows, start=2):
        if "case" not in row or str(row.get("verdict", "")).lower() not in ("exclude", "keep"):
            raise BadInput(f"row {number} has no case or no verdict", path, "Write exclude or keep under verdict")
    return {str(row["case"]): str(row["verdict"]).lower() for row in rows}


def divided_ids(dataset: Dataset, over: str) -> list[str]:
    """Ids of the cases that folds divide; the others always train. Pseudo-labelled cases are never among them."""
    first = dataset.cases[0].origin if len(dataset) else None  # joined sets begin with the first
    wanted = {"all": (True, False), "first": (True,), "added": (False,)}[over]
    ids = [case.id for case in dataset if not case.is_pseudo and (case.origin == first) in wanted]
    if over == "added" and not ids:
        raise BadInput("`folds.over: added` has no added case to divide", dataset.root, "Name a data set: --add DIR")
    return ids


def choose_folds(dataset: Dataset, recipe: Recipe) -> list[Fold]:
    """The folds of a recipe; cases that are not divided train in every one.

    Raises BadInput when cases cannot be divided so, or a pseudo-labelled case would validate.
    """
    ids = divided_ids(dataset, recipe.folds.over)
    divided = dataset.subset(ids)
    always = [case.id for case in dataset if case.id not in divided]
    if recipe.folds.file is None:
        return (
            [Fold((*fold.train, *always), fold.val) for fold in divide(divided, recipe)]
            if ids
            else [Fold(tuple(always), ())]
        )
    folds = read_splits(recipe.folds.file, dataset)
    if pseudo := sorted({name for fold in folds for name in fold.val if dataset[name].is_pseudo}):
        raise BadInput(
            f"pseudo-labelled cases cannot validate: {name_some(pseudo)}", recipe.folds.file, "Move to train"
        )
    named = {name for fold in folds for name in (*fold.train, *fold.val)}
    return [Fold((*fold.train, *(name for name in always if name not in named)), fold.val) for fold in folds]


def divide(dataset: Dataset, recipe: Recipe) -> Sequence[Fold]:
    """The data set's own division, k shuffled, sorted or grouped folds, one per group, one hold-out, or all cases for training."""
    f = recipe.folds
    if (own := own_division(dataset, recipe)) is not None:
        return own
    if f.leave_out is not None:
        return leave_one_out(dataset, f.leave_out)
    if f.group_by is not None:
        return group_folds(dataset, f.count, f.group_by)
    if f.sort_by is not None:
        return sorted_folds(dataset, f.count, f.sort_by)
    if f.count > 1:
        return make_folds(dataset, f.count, seed=recipe.seed, stratify=f.stratify)
    patients = {case.patient for case in dataset}
    if f.hold_out == 0 or len(patients) < 3:
        return [Fold(tuple(case.id for case in dataset), ())]
    fewest = fewest_held_out(len(patients))
    share = max(f.hold_out, fewest / len(patients))
    return [hold_out(dataset, share, seed=recipe.seed, stratify=f.stratify, fewest=fewest)]


def fewest_held_out(patients: int) -> int:
    """Patients that a hold-out keeps at least: 4, but no more than a quarter of them, and always 1."""
    return max(1, min(4, patients // 4))


def own_division(dataset: Dataset, recipe: Recipe) -> list[Fold] | None:
    """The division that the data set declares (``split: val``, MONAI's ``fold``), where the recipe asks for no other.

    One fold is asked for by default: the validation split, or the first of the declared folds. With a count of folds, declared ones
    are taken if there are so many. BadInput when they put a patient on both sides.
    """
    f = recipe.folds
    drawn = f.stratify if f.count > 1 else None  # a hold-out is drawn only where none is declared
    ways = (f.leave_out, f.group_by, f.sort_by, f.file, drawn)
    if any(way is not None for way in ways) or (f.count == 1 and f.hold_out == 0):
        return None
    folds = declared_folds(dataset)
    if folds is None or (f.count > 1 and len(folds) != f.count):
        return None
    return folds[: f.count]


def division_note(dataset: Dataset, recipe: Recipe) -> str:
    """What became of the division that the data set declares; "" where it declares none."""
    divided = dataset.subset(divided_ids(dataset, recipe.folds.over))
    if not any(case.split == "val" or "fold" in case.attributes for case in divided):
        return ""
    own = own_division(divided, recipe)
    if own is not None:
        told = f"{len(own)} folds" if len(own) > 1 else f"{len(own[0].val)} cases validate"
        return f"the data set's own division is used: {told}"
    folds = declared_folds(divided)
    if folds is None:
        return ""
    told = f"{len(folds)} folds" if len(folds) > 1 else f"{len(folds[0].val)} validation cases"
    return f"the data set declares {told}, which the recipe's folds do not follow; leave --folds and the section folds out to use them"
