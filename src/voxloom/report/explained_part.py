"""Held-out cases with the maps of their answers, as a part of the report: the worst first, then some that were right.

Knows the folder ``explained`` of a run: ``index.json`` and a picture per map.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from voxloom.files import read_json
from voxloom.report.parts import Part

FOLDER, INDEX = "explained", "index.json"
_TOLD = (
    "Warm colors: what speaks for the answer, scaled per map. A map says where the network looked, not that it did so for a good "
    "reason; `voxloom explain --sanity` compares it with networks of random weights."
)


def explained_parts(run: Path) -> list[Part]:
    """The worst cases, and the right ones; nothing where no case was explained."""
    index = run / FOLDER / INDEX
    if not index.is_file():
        return []
    about = read_json(index)
    parts = []
    for right, title in ((False, "Top losses"), (True, "Right answers")):
        chosen = [entry for entry in about["cases"] if entry["right"] is right]
        if chosen:
            pictures = [_picture(run / FOLDER, entry) for entry in chosen]
            parts.append(Part(f"{title} with maps of {about['method']}", _TOLD, pictures=pictures, columns=2))
    return parts


def _picture(folder: Path, entry: dict[str, Any]) -> dict[str, str]:
    data = base64.b64encode((folder / entry["picture"]).read_bytes()).decode("ascii")
    note = f" ({entry['note']})" if "note" in entry else ""
    return {"caption": entry["caption"] + note, "data": f"data:image/png;base64,{data}"}
