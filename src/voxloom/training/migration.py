"""``model.json`` of earlier formats, brought to the present one. Nothing on disk changes.

A change of the format that an older Voxloom would misread raises ``FORMAT``, adds a step to ``STEPS`` and keeps a run of the format
before among the test fixtures (``tests/fixtures/make_runs.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput

#: Of ``model.json``. Files without a number are of format 0.
FORMAT = 1


def _from_0(about: Mapping[str, Any]) -> dict[str, Any]:
    """Before the number: keys that came later have the meaning that their absence had."""
    later = {"slices": {}, "channel_dropout": 0.0, "task": "landmarks" if "landmarks" in about else "segmentation"}
    return {**later, **about}


#: Format -> the step to the next one.
STEPS: Mapping[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {0: _from_0}


def upgraded(about: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """A description in the present format.

    Raises
    ------
    BadInput : a later Voxloom wrote it, whose settings mean what is not known here.
    """
    found = about.get("format", 0)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= FORMAT:
        what = f"was written in format {found} by a later Voxloom; this one knows formats up to {FORMAT}"
        raise BadInput(what, where, "Update Voxloom")
    for number in range(found, FORMAT):
        about = {**STEPS[number](about), "format": number + 1}
    return dict(about)
