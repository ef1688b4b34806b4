"""The true label map of a case."""

from __future__ import annotations

from voxloom.dataset import Case
from voxloom.errors import BadInput
from voxloom.volume import Volume


def truth_of(case: Case) -> Volume:
    """The label of a case; a case without one is refused."""
    truth = case.read_label()
    if truth is None:
        raise BadInput(f"case {case.id} has no label to compare with", None, "Evaluate only labelled cases")
    return truth
