"""What ``inspect`` calls an error of a whole data set stops a training too; what it calls a doubt is told.

Knows the fingerprint. The checks are those of ``voxloom.dataset.inspect``.
"""

from __future__ import annotations

from voxloom.dataset.inspect import Fingerprint
from voxloom.dataset.inspect.check_cases import broken_cases, ids_alike
from voxloom.dataset.inspect.check_headers import mixed_units, segment_names, values_apart
from voxloom.errors import BadInput
from voxloom.notes import tell


def refuse_broken(found: Fingerprint) -> None:
    """Refuse a training on label maps where a case cannot be used, before any planning (BadInput naming all cases of one kind)."""
    problem = next(broken_cases(found), None)
    if problem is not None:
        where = found.name if problem.case is None else f"{found.name}, case {problem.case}"
        raise BadInput(problem.what, where, problem.fix)


def refuse_unsound(found: Fingerprint) -> None:
    """Tell what the readers of the training cases were not sure of, and refuse sets whose files contradict each other.

    Raises
    ------
    BadInput : masks of 0 and 1 beside masks of 0 and 255, segments numbered differently, or cases with and without a voxel size.
    """
    for case in found.cases:
        for text in case.notes:
            tell(case.id, text)
    for problem in (*values_apart(found), *segment_names(found), *mixed_units(found), *ids_alike(found)):
        if problem.severity == "error":
            raise BadInput(problem.what, found.name, problem.fix)
        if problem.severity == "warning":
            tell(found.name, f"{problem.what}. {problem.fix}")
