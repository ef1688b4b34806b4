"""Parts of other packages that the files of a run name: opening such a run imports them, which runs their code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voxloom.files import read_json
from voxloom.yamltext import read_text, read_yaml

_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def named_parts(folder: Path) -> list[str]:
    """The ``package.module:OBJECT`` that recipe and ``model.json`` of a run name, without Voxloom's own; nothing is imported."""
    described = [read_json(path) for path in sorted(folder.glob("fold_*/model.json"))]
    recipes = [read_yaml(read_text(path), path) for path in sorted(folder.glob("*.yaml")) if path.name != "author.yaml"]
    found = {text for value in (*described, *recipes) for text in _texts(value) if _NAME.fullmatch(text)}
    return sorted(name for name in found if not name.startswith("voxloom."))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield str(key)
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
