"""What a user should know of the data before a training: said on the screen and kept in ``data.json``.

Knows notes of the data set, patients that nobody named, masks among the inputs and a division that the data set declares. Decides
nothing.
"""

from __future__ import annotations

from voxloom.dataset import Dataset
from voxloom.dataset.inspect import Fingerprint
from voxloom.dataset.inspect.check_images import masks_as_channels
from voxloom.dataset.patients import suspected_patients, suspicion
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
    told = [*masks, doubt, division_note(cases, recipe), *cases.notes]
    return [note for note in told if note]
