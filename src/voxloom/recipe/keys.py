"""Keys and values of a YAML file that people write: reading it, and naming what is wrong in one line.

Knows YAML, pydantic's errors and which word was probably meant. Does not know recipes or sweeps.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from voxloom.errors import BadInput


def nearest(word: str, known: Sequence[str], otherwise: str) -> str:
    """A hint at the known word that was probably meant, or ``otherwise``."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean `{close[0]}`?" if close else otherwise


def check_keys(values: Mapping[str, Any], known: Sequence[str], prefix: str, where: str | Path) -> None:
    """Refuse a key that is not known (BadInput with the nearest right one); ``prefix`` is its section and a dot."""
    for key in values:
        if key not in known:
            everything = [name.rsplit(".", 1)[-1] for name in known]
            hint = nearest(str(key), everything, f"Known keys: {', '.join(everything)}")
            raise BadInput(f"unknown key `{prefix}{key}`", where, hint)


def check_values(values: Mapping[str, Any], model: type[BaseModel], section: str, where: str | Path) -> None:
    """Check the given keys alone, since the planner fills in the others."""
    for key, value in values.items():
        field = model.model_fields[key]
        kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        try:
            TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            raise as_bad_input(error, f"{section}.{key}", where) from error


def as_bad_input(error: ValidationError, prefix: str, where: str | Path) -> BadInput:
    """The first of pydantic's complaints in one line; ``prefix`` is the key that was checked."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in (prefix, *first["loc"]) if part != "")
    return BadInput(f"`{key}`: {first['msg'][0].lower()}{first['msg'][1:]} (got {first['input']!r})", where)
