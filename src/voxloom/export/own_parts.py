"""Parts of other packages that the files of a run name: opening such a run imports them, which runs their code."""

from __future__ import annotations

from pathlib import Path

from voxloom.files import read_json
from voxloom.own import places_in
from voxloom.yamltext import read_text, read_yaml


def named_parts(folder: Path) -> list[str]:
    """The ``package.module:OBJECT`` that recipe and ``model.json`` of a run name, without Voxloom's own; nothing is imported."""
    described = [read_json(path) for path in sorted(folder.glob("fold_*/model.json"))]
    recipes = [read_yaml(read_text(path), path) for path in sorted(folder.glob("*.yaml")) if path.name != "author.yaml"]
    return sorted({place for place in places_in([*described, *recipes]) if not place.startswith("voxloom.")})
