"""A data set in a few lines of text, from what is known without opening an image."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from voxloom.dataset.columns import Meanings
from voxloom.dataset.labels import Labels
from voxloom.dataset.values import LabelScan

if TYPE_CHECKING:
    from voxloom.dataset.dataset import Dataset

_SHOWN = 12


def summary(dataset: Dataset) -> str:
    """Name, layout, cases, patients, channels, labels or targets, groups, splits, attributes and notes, a line each."""
    lines = [
        ("name", f"{dataset.name} ({dataset.layout}, {dataset.root})"),
        ("cases", _cases(dataset)),
        ("task", dataset.task),
        ("channels", ", ".join(f"{c} ({k})" for c, k in zip(dataset.channels, dataset.channel_kinds, strict=True))),
        ("labels", _labels(dataset.declared_labels)),
        ("targets", _counts([case.target for case in dataset])),
        ("groups", _counts([case.group for case in dataset])),
        ("splits", _counts([case.split for case in dataset])),
        ("attributes", ", ".join(sorted({name for case in dataset for name in case.attributes}))),
        ("columns", columns_told(dataset.columns)),
        *(("note", note) for note in dataset.notes),
    ]
    return "\n".join(f"{title + ':':<12}{text}" for title, text in lines if text)


def columns_told(columns: Meanings) -> str:
    """What every column of a table was taken for: ``t1: input channel t1; age: attribute``."""
    return "; ".join(f"{column}: {meaning}" for column, meaning in columns)


def _cases(dataset: Dataset) -> str:
    patients = (
        f"{len({case.patient for case in dataset})} patients"
        if dataset.names_patients
        else "patients not named, one per case"
    )
    labeled = sum(case.label is not None for case in dataset)
    return f"{len(dataset)}, {patients}, {labeled} with a label map"


def _labels(labels: Labels | LabelScan | None) -> str:
    if isinstance(labels, LabelScan):
        return "not declared; read from the label files when needed" if labels.sources else ""
    if labels is None:
        return ""
    shown = [f"{v} {name}" for name, v in labels.to_nnunet().items()]
    more = f", and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _counts(values: list[object]) -> str:
    known = Counter(v for v in values if v is not None)
    if known and all(isinstance(v, float) for v in known):
        return f"{min(known):g} to {max(known):g}"  # type: ignore[type-var]
    shown = [f"{v}: {n}" for v, n in sorted(known.items(), key=lambda item: str(item[0]))]
    return ", ".join(shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "")
