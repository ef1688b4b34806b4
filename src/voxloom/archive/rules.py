"""The rules of a selection: one YAML file that says which series become which cases.

Knows the keys, their defaults, and which names there are (with the nearest one for a misspelt name). Does not know how
a rule is carried out.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxloom import notes
from voxloom.archive.names import renamed, with_present_names
from voxloom.complaints import complaint, key_of
from voxloom.errors import BadInput
from voxloom.yamltext import read_text, read_yaml

#: Column to value, set, {min, max}, {matches}, {not}, {known} or {listed_in}.
Where = dict[str, Any]
_STRICT = ConfigDict(extra="forbid", frozen=True)


class Rule(BaseModel):
    """One step of the selection: series that do not meet ``where`` go.

    Parameters
    ----------
    name : as the report shows it.
    where : conditions that must all hold.
    """

    model_config = _STRICT

    name: str = Field(min_length=1)
    where: Where = Field(min_length=1)


class ChannelRules(BaseModel):
    """Which series of a study becomes a channel.

    Parameters
    ----------
    where : conditions beyond those of ``keep``.
    prefer : what decides between several series, the most important first: a condition (series that meet it come
        first), a column (small values first) or ``-column`` (large values first). Then the series number decides.
    echo : which echo of a series with several: "first", "last" or a time in ms.
    b_value : which b-value of a series with several: "highest", "lowest" or s/mm2.
    """

    model_config = _STRICT

    where: Where = {}
    prefer: tuple[str | Where, ...] = ()
    echo: Literal["first", "last"] | float | None = None
    b_value: Literal["highest", "lowest"] | float | None = None


class SelectRules(BaseModel):
    """Everything that decides a selection.

    Parameters
    ----------
    name, description, reference : for people.
    keep : rules in their order; the report counts what each left.
    channels : name to rules; a study without one of them is left out. Each channel takes one series.
    align_to : channel on whose grid the others are brought; None takes the first.
    case : what becomes one case: a "study", a "patient" (the best study of all) or every "series" (one channel only).
    unify_patients : ids with one name and one birth date count as one patient.
    burned_in : "refuse" leaves out series whose pixels carry text or may do so; "allow" takes them.
    dates : "shift" moves all dates of a patient by one secret number of days; "remove" leaves them out.
    resample_tilt : straighten a tilted or unevenly spaced stack rather than leave it out.
    """

    model_config = _STRICT

    name: str = "selection"
    description: str = ""
    reference: str = ""
    keep: tuple[Rule, ...] = ()
    channels: dict[str, ChannelRules] = Field(min_length=1)
    align_to: str | None = None
    case: Literal["study", "patient", "series"] = "study"
    unify_patients: bool = True
    burned_in: Literal["refuse", "allow"] = "refuse"
    dates: Literal["shift", "remove"] = "shift"
    resample_tilt: bool = False

    @property
    def reference_channel(self) -> str:
        """The channel whose grid counts."""
        return self.align_to or next(iter(self.channels))


def load_rules(source: str | Path) -> SelectRules:
    """Rules from a YAML file, a MONAI Deploy selection in JSON, or the name of a shipped one.

    Raises BadInput for a missing file, YAML that cannot be read, an unknown key (with the nearest right one), a value
    of the wrong kind, and channels that do not fit ``case`` or ``align_to``.
    """
    path = Path(source)
    if not path.is_file():
        text = shipped_rules_text(str(source))
    else:
        text = read_text(path)
    try:
        values = json.loads(text) if path.suffix == ".json" else read_yaml(text, source)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"cannot be read ({' '.join(str(error).split())[:150]})", source, "Correct it") from None
    if not isinstance(values, dict):
        raise BadInput("holds no rules", source, "Write keys such as keep: and channels:")
    if "selections" in values:
        from voxloom.archive.monai_rules import from_monai

        values = from_monai(values, source)
    try:
        rules = SelectRules.model_validate(values)
    except ValidationError as error:
        raise _explained(error, source) from None
    if odd := [name for name in rules.channels if not re.fullmatch(r"[\w+-]+", name)]:
        raise BadInput(f"the channel {odd[0]!r} cannot be part of a file name", source, "Use letters, digits, _ + -")
    if rules.align_to is not None and rules.align_to not in rules.channels:
        raise BadInput(f"align_to names {rules.align_to}, no channel", source, _near(rules.align_to, rules.channels))
    if rules.case == "series" and len(rules.channels) > 1:
        raise BadInput("case: series takes one channel", source, "Leave one channel, or write case: study")
    return rules


def in_present_names(rules: SelectRules, source: str | Path) -> SelectRules:
    """The rules with the present names of their columns; a note on ``source`` says which old names they used."""
    used: set[str] = set()
    keep = tuple(rule.model_copy(update={"where": with_present_names(rule.where, used, source)}) for rule in rules.keep)
    channels = {
        name: channel.model_copy(
            update={
                "where": with_present_names(channel.where, used, source),
                "prefer": tuple(_preferred(entry, used, source) for entry in channel.prefer),
            }
        )
        for name, channel in rules.channels.items()
    }
    if used:
        notes.tell(source, renamed(sorted(used), "series"))
    return rules.model_copy(update={"keep": keep, "channels": channels})


def _preferred(entry: str | Where, used: set[str], source: str | Path) -> str | Where:
    if not isinstance(entry, str):
        return with_present_names(entry, used, source)
    sign = "-" if entry.startswith("-") else ""
    return sign + next(iter(with_present_names({entry.removeprefix("-"): None}, used, source)))


def shipped_rules() -> list[str]:
    """Names of the rules that come with Voxloom."""
    folder = resources.files("voxloom.archive") / "studies"
    return sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))


def shipped_rules_text(name: str) -> str:
    """YAML text of rules that come with Voxloom, to start one's own from (BadInput for an unknown name)."""
    if name not in shipped_rules():
        raise BadInput("does not exist", name, f"Give a rules file, or one of: {', '.join(shipped_rules())}")
    return (resources.files("voxloom.archive") / "studies" / f"{name}.yaml").read_text(encoding="utf-8")


def _explained(error: ValidationError, source: str | Path) -> BadInput:
    place, text = complaint(error)
    if error.errors()[0]["type"] == "extra_forbidden":
        known = {*SelectRules.model_fields, *Rule.model_fields, *ChannelRules.model_fields}
        return BadInput(f"{key_of(place)} is not a key", source, _near(place[-1], known))
    return BadInput(f"{key_of(place)}: {text}" if place else text, source, "Correct the value")


def _near(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"Did you mean {close[0]}?" if close else f"There are: {', '.join(sorted(known))}"
