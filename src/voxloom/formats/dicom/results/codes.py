"""Which code stands for a label's name: SNOMED CT from the table ``codes.csv``, and from a user's own.

Knows names (sides, spellings, numbers of instances) and how a wrong code is noticed: SNOMED CT's check digit (Verhoeff 1969), and the
terms that come with pydicom. Does not know DICOM objects.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.formats.dicom.results.terms import Code, Color, Meaning

#: Categories by the word that tables use (PS3.16 CID 7150).
CATEGORIES = {
    "anatomy": Code("91723000", "SCT", "Anatomical Structure"),
    "abnormality": Code("49755003", "SCT", "Morphologically Abnormal Structure"),
    "tissue": Code("85756007", "SCT", "Tissue"),
    "substance": Code("91720002", "SCT", "Body Substance"),
    "object": Code("260787004", "SCT", "Physical object"),
    "concept": Code("309825002", "SCT", "Spatial and Relational Concept"),
}
_MODIFIERS = {
    "left": Code("7771000", "SCT", "Left"),
    "right": Code("24028007", "SCT", "Right"),
    "anterior": Code("255549009", "SCT", "Anterior"),
    "posterior": Code("255551008", "SCT", "Posterior"),
}
_SHORT = {"l": "left", "r": "right"}
#: What stands for a label without a code: nothing is claimed but that it is tissue.
GENERIC = Meaning(CATEGORIES["tissue"], CATEGORIES["tissue"], generic=True)
#: Columns of a table of codes; only ``label``, ``type`` and ``meaning`` are needed.
COLUMNS = (
    "value", "label", "also", "category", "type", "meaning", "scheme", "side", "region", "region_meaning", "color",
)  # fmt: skip
_NUMBER = re.compile(r"\d+")
_COLOR = re.compile(r"#?([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")


@dataclass(frozen=True)
class Table:
    """Meanings by a label's plain name, and names by value where the table says values.

    Parameters
    ----------
    rows : names of each row, the label first, of a table that somebody wrote for labels of his own.
    """

    meanings: Mapping[str, Meaning]
    names: Mapping[int, str]
    rows: tuple[tuple[str, ...], ...] = ()

    def over(self, other: Table) -> Table:
        """Both, where this one goes first; the rows are its own."""
        return Table({**other.meanings, **self.meanings}, {**other.names, **self.names}, self.rows)

    def unused(self, labels: Iterable[str]) -> list[str]:
        """The labels of rows that speak of none of ``labels``."""
        asked = {key for label in labels for key in _spellings(label)}
        return [row[0] for row in self.rows if asked.isdisjoint(" ".join(_words(name)) for name in row)]

    def meaning(self, name: str) -> Meaning:
        """What a label is; ``GENERIC`` where nobody says.

        ``kidney_left``, ``Left Kidney`` and ``kidney l`` are the left one; ``lesion 3`` is a lesion.
        """
        for words in _shorter(name):
            if found := self._known(words):
                return found
        return GENERIC

    def _known(self, words: list[str]) -> Meaning | None:
        if found := self.meanings.get(" ".join(words)):
            return found
        parts, rest = _sides(words)
        whole = self.meanings.get(rest)
        if not parts or whole is None:
            return None
        modifiers = (*whole.modifiers, *(_MODIFIERS[w] for w in parts))
        return Meaning(whole.category, whole.type, modifiers, whole.region, whole.color)


@cache
def shipped() -> Table:
    """The table that comes with Voxloom."""
    text = (resources.files("voxloom.formats.dicom.results") / "codes.csv").read_text(encoding="utf-8")
    return replace(_table(text, "codes.csv"), rows=())  # it speaks of more labels than any run has


def read_codes(path: str | Path) -> Table:
    """A user's table of codes, CSV in UTF-8 with a header row (see ``COLUMNS``).

    Raises
    ------
    BadInput : it cannot be read, lacks a column, has an unknown one, or a code is wrong.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be read as a table of codes ({error})", path, "Save it as CSV in UTF-8") from error
    return _table(text, path)


def _table(text: str, where: str | Path) -> Table:
    rows = csv.DictReader(io.StringIO(text))
    columns = [str(c).strip().lower() for c in rows.fieldnames or ()]
    if unknown := [c for c in columns if c not in COLUMNS]:
        raise BadInput(f"has a column {unknown[0]!r}", where, f"Known: {', '.join(COLUMNS)}")
    if "label" not in columns:
        raise BadInput("has no column `label`", where, f"Known: {', '.join(COLUMNS)}")
    rows.fieldnames = columns
    meanings: dict[str, Meaning] = {}
    names: dict[int, str] = {}
    listed: list[tuple[str, ...]] = []
    for number, row in enumerate(rows, start=2):
        cells = {key: (value or "").strip() for key, value in row.items() if key is not None}
        if None in row:
            raise BadInput(f"line {number} has more cells than the header", where, 'Put names with a comma in "..."')
        if not any(cells.values()):
            continue
        listed.append(_take(cells, f"{where}, line {number}", meanings, names))
    return Table(meanings, names, tuple(listed))


def _take(cells: Mapping[str, str], where: str, meanings: dict[str, Meaning], names: dict[int, str]) -> tuple[str, ...]:
    """One row: a label's name by value, its meaning by all its names, which are returned."""
    label = cells["label"]
    if not label:
        raise BadInput("has no label", where, "Name the label, or remove the line")
    if value := cells.get("value", ""):
        if not value.isdecimal() or int(value) == 0:
            raise BadInput(f"value {value!r} is not a label value", where, "Give a whole number from 1")
        if names.setdefault(int(value), label) != label:
            raise BadInput(f"value {value} has two labels", where, "Keep one of them")
    own = (label, *cells.get("also", "").split(";"))
    if not cells.get("type"):
        return own
    meaning = _meaning(cells, where)
    for name in own:
        if (words := _words(name)) and meanings.setdefault(" ".join(words), meaning) != meaning:
            raise BadInput(f"label {name.strip()!r} has two codes", where, "Keep one of them")
    return own


def _meaning(cells: Mapping[str, str], where: str) -> Meaning:
    scheme = cells.get("scheme") or "SCT"
    word = (cells.get("category") or "anatomy").lower()
    if word not in CATEGORIES:
        raise BadInput(f"category {word!r} is not known", where, f"Known: {', '.join(CATEGORIES)}")
    kind = checked(Code(cells["type"], scheme, cells.get("meaning", "")), where)
    sides = [s for s in re.split(r"[\s;]+", cells.get("side", "").lower()) if s]
    if wrong := [s for s in sides if s not in _MODIFIERS]:
        raise BadInput(f"side {wrong[0]!r} is not known", where, f"Known: {', '.join(_MODIFIERS)}")
    region = cells.get("region", "")
    return Meaning(
        CATEGORIES[word],
        kind,
        tuple(_MODIFIERS[s] for s in sides),
        checked(Code(region, scheme, cells.get("region_meaning", "")), where) if region else None,
        _color(cells.get("color", ""), where),
    )


def _color(text: str, where: str) -> Color | None:
    if not text:
        return None
    match = _COLOR.fullmatch(text)
    if match is None:
        raise BadInput(f"color {text!r} is not like #dd8265", where, "Give red, green and blue as hexadecimal digits")
    red, green, blue = (int(part, 16) for part in match.groups())
    return red, green, blue


def checked(code: Code, where: str) -> Code:
    """The code, where it may be one (BadInput otherwise).

    A SNOMED CT code has 6 to 18 digits of which the last checks the others; one that pydicom knows for another term than the meaning
    given, which has a code of its own, is a mix-up.
    """
    if not code.meaning:
        raise BadInput(f"code {code.value} has no meaning", where, "Write what it stands for into the column meaning")
    for text, most, what in ((code.value, 16, "code"), (code.scheme, 16, "scheme"), (code.meaning, 64, "meaning")):
        if len(text) > most or "\\" in text:
            raise BadInput(f"{what} {text!r} is too long, or holds a backslash", where, f"{most} characters at most")
    if code.scheme != "SCT":
        return code
    if not re.fullmatch(r"[1-9]\d{5,15}", code.value) or _verhoeff(code.value) != 0:
        what = f"{code.value!r} is not a SNOMED CT code (its check digit does not fit)"
        raise BadInput(what, where, "Copy it again from browser.ihtsdotools.org")
    terms, own = _terms_of_code().get(code.value), _codes_of_term().get(code.meaning.lower())
    if terms and own and code.value not in own:
        what = f"{code.value} is {terms[0]!r}, and {code.meaning!r} is {' or '.join(sorted(own))}"
        raise BadInput(what, where, "Correct one of them")
    return code


def unknown_labels(names: Iterable[str], table: Table) -> list[str]:
    """The labels for which no code is known."""
    return [name for name in names if table.meaning(name).generic]


def _shorter(name: str) -> tuple[list[str], list[str]]:
    """The words of a name, and those that are not numbers."""
    words = _words(name)
    return words, [w for w in words if not _NUMBER.fullmatch(w)]


def _sides(words: Sequence[str]) -> tuple[list[str], str]:
    """The sides among the words of a name, and the rest of it."""
    named = [_SHORT.get(w, w) if n in (0, len(words) - 1) and len(words) > 1 else w for n, w in enumerate(words)]
    return [w for w in named if w in _MODIFIERS], " ".join(w for w in named if w not in _MODIFIERS)


def _spellings(name: str) -> set[str]:
    """All under which a label is looked up in a table."""
    return {key for words in _shorter(name) for key in (" ".join(words), _sides(words)[1])}


def _words(name: str) -> list[str]:
    """The words of a name in lower case: letters and digits, whatever parts them."""
    parted = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return re.findall(r"[^\W_]+", parted.lower())


@cache
def _terms_of_code() -> dict[str, list[str]]:
    from pydicom.sr._concepts_dict import concepts

    found: dict[str, list[str]] = {}
    named: Any = concepts["SCT"]
    for entries in named.values():
        for value, (term, *_) in entries.items():
            found.setdefault(value, []).append(term)
    return found


@cache
def _codes_of_term() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for value, terms in _terms_of_code().items():
        for term in terms:
            found.setdefault(term.lower(), set()).add(value)
    return found


#: Multiplication in the dihedral group D5, and the permutation of each place.
_D5 = [[(b + a) % 5 if b < 5 else 5 + (b - 5 + a) % 5 for b in range(10)] for a in range(5)] + [
    [5 + (a - b) % 5 if b < 5 else (a - b) % 5 for b in range(10)] for a in range(5)
]
_PLACES = [[*range(10)], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]]
for _ in range(6):
    _PLACES.append([_PLACES[1][n] for n in _PLACES[-1]])


def _verhoeff(digits: str) -> int:
    """0 where the last digit fits the others."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _D5[check][_PLACES[place % 8][int(digit)]]
    return check
