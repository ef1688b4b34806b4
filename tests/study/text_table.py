"""The table of the texts' settings (``text_settings.yaml``), and the page that is made of it.

``python -m tests.study.text_table`` prints what ``docs/recipes.md`` must have between its two marks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from voxloom.recipe.recipe import Recipe, section_models

TABLE = Path(__file__).with_name("text_settings.yaml")
EVERY = "every recipe"


@dataclass(frozen=True)
class Setting:
    """One line: what a text prints, and what the recipe holds.

    Parameters
    ----------
    key : dotted recipe key; "" for what no key holds. what : its name then.
    text : the text's value; None where it is silent. has_ours : whether the recipe differs, by ``ours``.
    where : place and words of the text. why : the reason for a difference.
    """

    key: str
    what: str
    text: Any
    ours: Any
    has_ours: bool
    where: str
    why: str

    @property
    def expected(self) -> Any:
        """What the recipe must hold."""
        return self.ours if self.has_ours else self.text


@cache
def entries() -> dict[str, Any]:
    """The file's entries by recipe."""
    loaded = yaml.safe_load(TABLE.read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def own_settings(name: str) -> list[Setting]:
    """The lines that are written for one recipe itself."""
    lines = [line for line in entries()[name]["settings"] if not line.get("drop")]
    return [
        Setting(
            line.get("key", ""), line.get("what", line.get("key", "")), line.get("text"), line.get("ours"), "ours" in line,
            line.get("where", ""), line.get("why", ""),
        )
        for line in lines
    ]  # fmt: skip


def settings_of(name: str) -> list[Setting]:
    """All lines that hold for a recipe, those of the recipe it extends included."""
    entry = entries()[name]
    given = {line.get("key") or line["what"] for line in entry["settings"]}
    base = settings_of(entry["extends"]) if "extends" in entry else []
    return [*(one for one in base if one.what not in given), *own_settings(name)]


def value_of(recipe: Recipe, key: str) -> Any:
    """The value of a dotted key, or its default, in plain lists and numbers."""
    section, field = key.split(".")
    held = recipe.model_dump(mode="json")[section]
    if field in held:
        return held[field]
    model = section_models()[section]
    if section == "network":
        from voxloom.networks import network_kinds

        model = network_kinds()[held.get("kind", "unet")]
    return model.model_fields[field].get_default(call_default_factory=True)


def shown(value: Any) -> str:
    """A value as the page has it."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(one)}" for key, one in value.items())
    if isinstance(value, list):
        return (
            " ".join(["[", ", ".join(map(shown, value)), "]"]).replace("[ ", "[").replace(" ]", "]")
            if value
            else "none"
        )
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not given" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def page() -> str:
    """The table of differences in ``docs/recipes.md``."""
    rows = ["| recipe | what | the text | ours | why |", "|---|---|---|---|---|"]
    for name in entries():
        for one in own_settings(name):
            if one.why:
                what = f"`{one.key}`" if one.key else one.what
                ours = shown(one.ours) if one.has_ours else ""
                rows.append(f"| {name} | {what} | {shown(one.text)} | {ours} | {one.why} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(page())
