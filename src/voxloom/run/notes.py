"""What a user should know of the data before a training: said on the screen and kept in ``data.json``.

Knows notes of the data set, patients that nobody named, masks among the inputs and a division that the data set declares. Decides
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from voxloom.dataset import Dataset
from voxloom.dataset.inspect import Fingerprint, ras_order
from voxloom.dataset.inspect.check_images import masks_as_channels
from voxloom.dataset.inspect.facts import CaseFacts
from voxloom.dataset.patients import suspected_patients, suspicion
from voxloom.dataset.tables import name_some
from voxloom.prepare import PrepareSettings
from voxloom.recipe.recipe import Recipe
from voxloom.run.cases import division_note


def data_notes(cases: Dataset, recipe: Recipe, found: Fingerprint | None = None) -> list[str]:
    """The notes, most important first.

    Parameters
    ----------
    cases : that the run uses.
    found : their facts, where they were measured.
    """
    masks = [f"{problem.what}. {problem.fix}" for problem in masks_as_channels(found)] if found is not None else []
    doubt = suspicion({} if cases.names_patients else suspected_patients(cases))
    if doubt:
        doubt += (
            "; every case is taken as a patient of its own. A table with the columns case and patient tells them apart"
        )
    cut = "" if found is None else crop_note(found, recipe)
    told = [*masks, doubt, division_note(cases, recipe), cut, *cases.notes]
    return [note for note in told if note]


def crop_note(found: Fingerprint, recipe: Recipe) -> str:
    """How many cases are cut by ``prepare.crop_or_pad_to``; "" where none is."""
    size, p = recipe.prepare.get("crop_or_pad_to"), recipe.preparation
    if size is None:
        return ""
    cut = [case.id for case in found.readable if is_cut(case, p, size)]
    if not cut:
        return ""
    what = "what lies beyond the middle is neither learned nor predicted"
    return (
        f"{len(cut)} of {len(found.readable)} cases are larger than prepare.crop_or_pad_to ({name_some(cut)}): {what}"
    )


def is_cut(case: CaseFacts, prepare: PrepareSettings, size: Sequence[int]) -> bool:
    """Whether a case, on the prepared grid, is larger than ``size`` along any axis."""
    codes = "RAS" if prepare.orientation == "slices" else prepare.orientation
    ras = ras_order(case.orientation)
    order = [0, 1, 2] if codes is None else [ras["RLAPSI".index(code) // 2] for code in codes]
    wanted = prepare.spacing or (None, None, None)
    voxels = [
        case.shape[axis] * case.spacing[axis] / (mm or case.spacing[axis])
        for axis, mm in zip(order, wanted, strict=True)
    ]
    return any(round(n) > most for n, most in zip(voxels, size, strict=True))
