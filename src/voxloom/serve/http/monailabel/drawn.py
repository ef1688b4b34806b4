"""What a client says of a label map that it drew: which value means which label.

3D Slicer sends ``label_info``, a list of names with the place of each in its list of segments (``idx``), but numbers the
voxels from 1 in the order of the list. The two differ where the list begins with a segment that is not sent. What cannot be
told apart is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from voxloom.errors import BadInput

_MEND = "In 3D Slicer remove or move down the segments that are not sent, such as background, and submit again"


def values_of(said: Any, indices: Mapping[str, int], present: Collection[int]) -> dict[int, str]:
    """Name of each value that a label map holds.

    Parameters
    ----------
    said : ``label_info`` of the client; nothing means that values are the indices of ``/info/``.
    indices : index of each known label, by name.
    present : values of the label map; 0 is the background.

    Raises
    ------
    BadInput : a name is not known or stands there twice, or a value may mean two labels, or none.
    """
    wanted = {int(value) for value in present} - {0}
    if not said:
        return _only({index: name for name, index in indices.items()}, wanted, "Say what they mean in label_info")
    names, places = _entries(said)
    if unknown := [name for name in names if name not in indices]:
        known = ", ".join(indices)
        raise BadInput(f"holds the label {unknown[0]!r}, which is not known", "label_info", f"Rename it: {known}")
    by_order = dict(enumerate(names, start=1))
    by_place = dict(zip(places, names, strict=True))
    fits = [table for table in (by_place, by_order) if wanted <= set(table)]
    told = {tuple(table[value] for value in sorted(wanted)) for table in fits}
    if len(told) > 1:
        raise BadInput("does not say which value means which label", "label_info", _MEND)
    return _only(fits[0] if fits else by_place, wanted, _MEND)


def _entries(said: Any) -> tuple[list[str], list[int]]:
    """Names and places of ``label_info``."""
    try:
        names = [str(entry["name"]) for entry in said]
        places = [int(entry.get("idx", n)) for n, entry in enumerate(said, start=1)]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BadInput("is not a list of {name, idx}", "label_info", "Send it as 3D Slicer does") from error
    if len(set(names)) < len(names) or len(set(places)) < len(places):
        raise BadInput("names a label twice", "label_info", "Name each once")
    return names, places


def _only(table: Mapping[int, str], wanted: set[int], fix: str) -> dict[int, str]:
    if lost := sorted(wanted - set(table)):
        raise BadInput(f"holds the values {', '.join(map(str, lost[:8]))}, which no label has", "label", fix)
    return {value: table[value] for value in sorted(wanted)}
