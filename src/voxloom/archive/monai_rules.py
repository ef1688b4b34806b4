"""Series selection rules of MONAI Deploy (JSON), brought into our own form.

Knows regular expressions, ranges, comparisons, lists with ``!`` and the planes by name. Each selection becomes a channel.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput

#: Keywords that conditions may be on: columns of the series table.
KEYWORDS = (
    "StudyDescription", "SeriesDescription", "Modality", "ImageType", "ImageOrientationPatient", "SliceThickness",
    "BodyPartExamined", "Manufacturer", "PatientPosition", "EchoTime", "RepetitionTime", "MagneticFieldStrength",
    "SeriesNumber", "Rows", "Columns", "ConvolutionKernel", "SpacingBetweenSlices", "ContrastBolusAgent", "ProtocolName",
)  # fmt: skip
#: Those for which the column that is measured or told is asked.
DERIVED = {
    "ImageOrientationPatient": "derived_plane", "MagneticFieldStrength": "derived_field_strength",
    "SpacingBetweenSlices": "derived_spacing",
}  # fmt: skip


def from_monai(values: dict[str, Any], where: str | Path) -> dict[str, Any]:
    """Rules with one channel per selection, whose name becomes a part of file names ("CT Series" is CT_Series).

    Raises BadInput for a tag or condition that has no counterpart here, and for two selections of one name.
    """
    channels: dict[str, Any] = {}
    for number, selection in enumerate(values.get("selections") or []):
        name = re.sub(r"[^\w+-]+", "_", str(selection.get("name") or f"selection {number + 1}"), flags=re.ASCII).strip(
            "_"
        )
        if not name or name in channels:
            raise BadInput(
                f"selection {number + 1} needs a name of its own", where, "Give every selection another name"
            )
        channels[name] = {
            "where": dict(_condition(k, v, where) for k, v in (selection.get("conditions") or {}).items())
        }
    return {"name": Path(where).stem, "channels": channels}


def _condition(keyword: str, value: Any, where: str | Path) -> tuple[str, Any]:
    if keyword not in KEYWORDS:
        raise BadInput(f"the condition on {keyword} has no column here", where, f"There are: {', '.join(KEYWORDS)}")
    column = DERIVED.get(keyword, keyword)
    if column == "derived_plane":
        return column, str(value).lower()
    if isinstance(value, str):
        return column, {"matches": value}
    if isinstance(value, (int, float)):
        return column, value
    if isinstance(value, list) and len(value) == 2 and value[1] in (">", ">=", "<", "<="):
        away = {">": math.inf, "<": -math.inf}.get(value[1])  # without "=", the number itself does not meet it
        bound = value[0] if away is None else math.nextafter(float(value[0]), away)
        return column, {"min" if ">" in value[1] else "max": bound}
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value):
        return column, {"min": value[0], "max": value[1]}
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return column, {"contains": [v for v in value if v[:1] != "!"], "lacks": [v[1:] for v in value if v[:1] == "!"]}
    raise BadInput(
        f"the condition on {keyword} cannot be understood: {value!r}", where, "Write it as a rule of our own"
    )
