"""Who was scanned in which case: what intervals and tests take as independent.

Knows pairs of case and patient, and words for them. Does not know data sets.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Said where nobody named patients.
ASSUMED = "every case is taken as a patient of its own"


def are_assumed(patients: Mapping[str, str]) -> bool:
    """Whether no case has a patient beside itself: nobody named patients, or they are named like their only cases."""
    return all(case == patient for case, patient in patients.items())


def patients_note(patients: Mapping[str, str]) -> str:
    """What was taken as a patient, in words: ``12 cases of 4 patients``, or the assumption.

    Parameters
    ----------
    patients : case -> patient.
    """
    count = len(set(patients.values()))
    told = f"{len(patients)} case{'s' * (len(patients) != 1)} of {count} patient{'s' * (count != 1)}"
    return ASSUMED if patients and are_assumed(patients) else told
