"""What a ``dataset.json`` declares, as the Decathlon, nnU-Net 1 and nnU-Net 2 write it: labels and modalities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxloom.dataset.labels import Label, Labels
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput

#: Keys of ``dataset.json`` that mean something to Voxloom, or describe the set to people.
_KNOWN_KEYS = {
    "labels", "modality", "channel_names", "file_ending", "regions_class_order", "numTraining", "numTest", "training", "test",
    "validation", "dataset", "name", "dataset_name", "description", "reference", "references", "licence", "license", "release",
    "relase", "tensorImageSize", "tensorImagesize", "converted_by", "conversion_date", "citation", "author", "authors", "url",
    "version", "overwrite_image_reader_writer", "task", "contact", "doi", "copyright",
}  # fmt: skip


def unread_keys(about: Mapping[str, Any]) -> list[str]:
    """A note on keys that mean nothing to Voxloom; among them one may have been meant to change something."""
    unknown = [str(key) for key in about if key not in _KNOWN_KEYS]
    return [f"dataset.json: not read: {name_some(unknown)}"] if unknown else []


def declared_labels(declared: Any, where: Path, order: Any = None) -> Labels | None:
    """Labels of {"0": "background", "1": name} or of nnU-Net 2's {name: value}; None when there is only background.

    Raises BadInput when they are something else, or contradict themselves.
    """
    if not declared:
        return None
    if not isinstance(declared, dict):
        raise BadInput(f"`labels` is {declared!r}", where, 'Write {"background": 0, "name": 1}')
    if not all(str(key).isdecimal() and isinstance(name, str) for key, name in declared.items()):
        try:
            return Labels.from_nnunet(declared, order)
        except BadInput as e:
            raise BadInput(e.what, where, e.fix) from e
    named = {int(key): name for key, name in declared.items()}
    foreground = tuple(Label(name, (v,)) for v, name in named.items() if v != 0 and name.lower() != "ignore")
    ignore = next((v for v, name in named.items() if name.lower() == "ignore"), None)
    return Labels(foreground, ignore=ignore) if foreground else None


def modality_names(modality: Any, where: Path) -> list[str]:
    """Channel names of ``modality``: {"0": "MRI"}, a word, or nothing (BadInput for anything else)."""
    if not isinstance(modality, (dict, str)):
        raise BadInput(f"`modality` is {modality!r}", where, 'Write {"0": "MRI"}')
    if isinstance(modality, str):
        return [modality]
    return [str(modality[key]) for key in sorted(modality, key=lambda k: (len(str(k)), str(k)))] or ["image"]
