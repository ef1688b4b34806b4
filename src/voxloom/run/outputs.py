"""What a prediction may be written over: earlier predictions, never a scan, a label map or another file of the user's.

Knows the note ``predictions.json`` in a folder of predictions, which lists the files that ``voxloom predict`` writes there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.files import read_json, write_json

NOTE = "predictions.json"


def claim_outputs(out: Path, names: Sequence[str], sources: Iterable[Path]) -> None:
    """Refuse to write over what is no prediction, and note what will be written.

    Parameters
    ----------
    out : folder of the predictions.
    names : of the files that will be written there.
    sources : the files that are predicted.

    Raises
    ------
    BadInput : a file would be written over its own source, or over one that ``voxloom predict`` did not write.
    """
    read = {source.resolve() for source in sources}
    own = _noted(out / NOTE)
    for name in names:
        path = out / name
        if path.resolve() in read:
            raise BadInput("the prediction would be written over its own scan", path, "Choose another folder with -o")
        if path.exists() and name not in own:
            fix = "Choose another folder with -o, or move the file away"
            raise BadInput("there is such a file, and it is no earlier prediction", path, fix)
    if not own.issuperset(names):
        write_json(out / NOTE, {"files": sorted(own.union(names))})


def _noted(note: Path) -> set[str]:
    try:
        return set(map(str, read_json(note)["files"])) if note.is_file() else set()
    except (BadInput, KeyError, TypeError):
        return set()
