"""Keys and values of a YAML file that people write: reading it, and naming what is wrong in one line.

Knows YAML, pydantic's errors and which word was probably meant. Does not know recipes or sweeps.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from voxloom.complaints import complaint, key_of
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


def check_together(values: Mapping[str, Any], model: type[BaseModel], section: str, where: str | Path) -> None:
    """Check what a section's own rules say of the given keys; required ones that are left out are planned later."""
    try:
        model.model_validate(dict(values))
    except ValidationError as error:
        left = [one for one in error.errors() if not (one["type"] == "missing" and len(one["loc"]) == 1)]
        if left:
            raise as_bad_input(error, section, where) from error


def as_bad_input(error: ValidationError, prefix: str, where: str | Path) -> BadInput:
    """The first of pydantic's complaints in one line; ``prefix`` is the key that was checked."""
    place, text = complaint(error)
    key = key_of(place, prefix)
    return BadInput(f"`{key}`: {text}" if key else text, where)
