"""Where a case of a run gets its image and its label from, as a run's ``data.json`` and ``cases.json`` keep it.

Knows the JSON form of sources, and what records of earlier versions say instead. Does not know runs or reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from voxloom.dataset.case import Case
from voxloom.dataset.focus import Focus
from voxloom.dataset.names import split_ending
from voxloom.dataset.sources import (
    DicomSeries,
    FileChannel,
    FocusedImage,
    ImageSource,
    MaskStack,
    NpzItem,
    RecodedLabel,
)

_KINDS: dict[str, Callable[..., ImageSource]] = {
    kind.__name__: kind for kind in (DicomSeries, FileChannel, MaskStack, NpzItem)
}


def sources_of(case: Case) -> dict[str, Any]:
    """The sources of a case as JSON values; ``recorded_case`` reads them."""
    return {
        "images": {name: _written(source) for name, source in case.images.items()},
        "label": None if case.label is None else _written(case.label),
        "missing": list(case.missing),
    }


def recorded_case(record: Mapping[str, Any]) -> Case:
    """The case of a record that ``describe_case`` wrote; its image and label can be read while the files are there.

    Records of earlier versions list files only: the last one is then taken for the label, files in one folder for its series.
    """
    known = record.get("sources")
    if known is None:
        return _case_of_files(record)
    images = {name: _source(source) for name, source in known["images"].items()}
    label = None if known["label"] is None else _source(known["label"])
    return Case(record["id"], record["patient"], images=images, label=label, missing=tuple(known["missing"]))


def _written(source: ImageSource) -> Any:
    if isinstance(source, str):
        return source
    if isinstance(source, RecodedLabel):
        table = [list(pair) for pair in source.table]
        return {"kind": RecodedLabel.__name__, "source": _written(source.source), "table": table}
    if isinstance(source, FocusedImage):
        parts = {"source": _written(source.source), "masks": [_written(mask) for mask in source.masks]}
        return {"kind": FocusedImage.__name__, **parts, "point": source.point, "focus": asdict(source.focus)}
    return {"kind": type(source).__name__, **asdict(source)}


def _source(written: Any) -> ImageSource:
    if isinstance(written, str):
        return written
    if written["kind"] == RecodedLabel.__name__:
        return RecodedLabel(_source(written["source"]), tuple((old, new) for old, new in written["table"]))
    if written["kind"] == FocusedImage.__name__:
        kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in written["focus"].items()}
        focus = Focus(**kept)
        point = None if written["point"] is None else tuple(written["point"])
        return FocusedImage(_source(written["source"]), focus, tuple(map(_source, written["masks"])), point)
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in written.items() if k != "kind"}
    return _KINDS[written["kind"]](**values)


def _case_of_files(record: Mapping[str, Any]) -> Case:
    files = list(record["files"])
    count = record.get("images", len(files) - 1)
    images, labels = files[:count], files[count:]
    source = str(Path(images[0]).parent) if count > 1 and not split_ending(images[0])[1] else next(iter(images), None)
    label: ImageSource | None = MaskStack(tuple(labels)) if len(labels) > 1 else next(iter(labels), None)
    return Case(record["id"], record["patient"], images={} if source is None else {"image": source}, label=label)
