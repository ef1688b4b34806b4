"""What pydantic says about a wrong value, in one plain line.

Knows pydantic's kinds of errors. Does not know which file is read; every reader of YAML, recipes and rules asks here, so that
no text of the library reaches the user as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

#: Kinds of errors in plain words; ``{...}`` are filled from the error's own figures.
_WORDS = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "dict_type": "must have keys of its own",
    "model_type": "must have keys of its own",
    "dataclass_type": "must have keys of its own",
    "model_attributes_type": "must have keys of its own",
    "path_type": "must be a path",
    "missing": "is missing",
    "extra_forbidden": "is not a known key",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be below {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "too_short": "must have at least {min_length} entries, not {actual_length}",
    "too_long": "must have at most {max_length} entries, not {actual_length}",
    "union_tag_invalid": "must be one of {expected_tags}",
}
#: Values that are longer are not shown again: the line must stay readable.
_LONGEST = 60
#: What pydantic puts into a place for the branch of a choice that it tried; a key of a file has no brackets.
_BRANCH = re.compile(r"[\[\](]|^(int|float|str|bool|path|lax-or-strict|is-instance|constrained-\w+|json-or-python)$")


def complaint(error: ValidationError) -> tuple[tuple[str, ...], str]:
    """The first wrong value: its place (keys and numbers, outermost first) and what is wrong with it.

    Where a value may be of several kinds, what each kind asks for is joined by "or".
    """
    errors: list[Any] = list(error.errors(include_url=False))
    errors = [one for one in errors if one["type"] != "missing"] or errors  # what is there and wrong comes first
    place = _place(errors[0]["loc"])
    within = [one for one in errors if _place(one["loc"])[: len(place)] == place != _place(one["loc"])]
    if within and isinstance(errors[0].get("input"), (dict, list, tuple)):
        place = _place(within[0]["loc"])  # one of the entries is wrong, not the list that holds it
    same = [one for one in errors if _place(one["loc"]) == place]
    own = [one for one in same if one["type"] == "value_error"]  # of the right kind, but not a good value
    asked = list(dict.fromkeys(_words(one) for one in own or same))
    shared = "must be " if asked[0].startswith("must be ") else "must "
    text = asked[0] + "".join(f" or {words.removeprefix(shared).removeprefix('must ')}" for words in asked[1:])
    return place, text + _given(same[0])


def key_of(place: Sequence[str], prefix: str = "") -> str:
    """A place as a dotted key."""
    return ".".join(part for part in (prefix, *place) if part)


def _place(loc: Sequence[Any]) -> tuple[str, ...]:
    """The keys of a place, without pydantic's names for branches of a choice."""
    return tuple(str(part) for part in loc if isinstance(part, int) or not _BRANCH.search(str(part)))


def _words(error: dict[str, Any]) -> str:
    """One error in plain words."""
    kind, figures = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(figures["error"])
    if kind in _WORDS:
        return _WORDS[kind].format(**figures)
    said = str(error["msg"]).removeprefix("Value error, ")
    return f"{said[0].lower()}{said[1:]}"


def _given(error: dict[str, Any]) -> str:
    """What was given, where it is short and the message does not speak of a whole section."""
    given = error.get("input")
    shown = repr(given)
    if error["type"] in ("missing", "extra_forbidden", "too_short", "too_long") or isinstance(given, dict):
        return ""
    return f" (got {shown})" if len(shown) <= _LONGEST else ""
