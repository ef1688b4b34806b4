"""Short YAML files that people write: recipes, rules, sweeps, answers.

Knows how such a file is read without harm: in UTF-8, of bounded length, without aliases, never as Python objects. Knows no keys.
"""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from voxloom.errors import BadInput

#: Bytes of the longest file that is taken for one written by a person.
_LONGEST = 1 << 20
_ALIAS = object()


def read_text(path: Path) -> str:
    """The text of a short file. Raises BadInput when it is too long, empty or not UTF-8."""
    if path.stat().st_size > _LONGEST:
        raise BadInput(f"too long for a YAML file ({path.stat().st_size:,} bytes)", path, "Name the right file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise BadInput(f"not a text in UTF-8 ({error})", path, "Save it as UTF-8") from error
    if not text.strip():
        raise BadInput("the file is empty", path, "Was it copied as a whole?")
    return text


def read_yaml(text: str, where: str | Path) -> Any:
    """The value of a YAML text. An alias is refused: a few of them can stand for more values than memory holds.

    Raises
    ------
    BadInput : broken YAML, an alias, or deeper nesting than Python can follow; ``where`` is named.
    """
    try:
        found = _value_of(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"not valid YAML: {error}", where, "Check the indentation") from error
    if found is _ALIAS:
        raise BadInput("an alias (`*name`) is not allowed here", where, "Write the value out")
    return deepcopy(found)


@lru_cache(maxsize=16)
def _value_of(text: str) -> Any:
    """The value of a text, ``_ALIAS`` where it has one; a run's recipe is read ten times while it is trained."""
    if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
        return _ALIAS
    return yaml.safe_load(text)
