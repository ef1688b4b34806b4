"""``plan.md``: every choice, its value and its reason in words. Knows no task."""

from __future__ import annotations

from collections.abc import Sequence

from voxloom.recipe.recipe import Recipe


def plan_page(opening: str, rows: Sequence[tuple[str, str, str]], closing: str = "") -> str:
    """The text of ``plan.md``.

    Parameters
    ----------
    opening : what is trained, in one sentence.
    rows : (choice, value, reason).
    closing : what follows the sentence that all is written out.
    """
    lines = [f"| {name} | {value} | {why} |" for name, value, why in rows]
    last = f"Everything is written out in `recipe.yaml`.{closing}"
    return "\n".join(["# Plan", "", opening, "", "| choice | value | why |", "|---|---|---|", *lines, "", last, ""])


def under_budget(recipe: Recipe) -> str:
    """The name of the recipe and its time, for an opening."""
    return f"recipe `{recipe.name}`" + (f"; budget {recipe.budget}." if recipe.budget else "; no time budget.")
