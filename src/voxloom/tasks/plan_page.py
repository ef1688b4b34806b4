"""``plan.md``: every choice, its value and its reason in words. Knows no task."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from voxloom.recipe.recipe import Recipe

Row = tuple[str, str, str]
Values = Mapping[str, Any]

#: Why a value is what it is, where the recipe sets it.
SET = "set by the recipe"


def _sizes(values: Sequence[Any], unit: str = "") -> str:
    return " x ".join("own" if v is None else f"{v:.3g}" for v in values) + unit


def _spacing(r: Values) -> str | None:
    mm = r["prepare"].get("spacing")
    return None if mm is None else _sizes(mm)


def _cells(r: Values) -> str | None:
    strides = r["network"].get("strides") or [[1]]
    return _sizes(strides[0], " voxels") if max(strides[0]) > 1 else None


def _steps(r: Values) -> str:
    t = r["training"]
    return f"{t['epochs']:g} passes over the training cases" if t.get("epochs") else str(t["steps"])


def _width(r: Values) -> str | None:
    features = r["network"].get("features")
    return f"{features[0]} channels at the first level" if features else None


def _weights(r: Values) -> str:
    ema = r["training"].get("ema")
    return f"moving average {ema:g}" if ema else "as they are, no moving average"


#: Choice of a plan -> the keys that it is about, and its value in a complete recipe (None: there is no such thing in it).
CHOICES: Mapping[str, tuple[tuple[str, ...], Callable[[Values], str | None]]] = {
    "dimensions": (("network.dims",), lambda r: f"{r['network']['dims']}D" if r["network"].get("dims") else None),
    "orientation": (("prepare.orientation",), lambda r: str(r["prepare"].get("orientation"))),
    "spacing": (("prepare.spacing", "prepare.resize_to"), _spacing),
    "patch": (("training.patch",), lambda r: _sizes(r["training"]["patch"])),
    "input": (("training.patch",), lambda r: _sizes(r["training"]["patch"])),
    "precision": (("training.precision",), lambda r: str(r["training"]["precision"])),
    "memory layout": (
        ("training.channels_last",),
        lambda r: "channels last" if r["training"]["channels_last"] else "channels first",
    ),
    "compile": (("training.compile",), lambda r: str(r["training"]["compile"] or "no")),
    "width": (("network.features",), _width),
    "cells": (("network.strides",), _cells),
    "batch": (("training.batch",), lambda r: str(r["training"]["batch"])),
    "steps": (("training.steps", "training.epochs"), _steps),
    "optimizer": (
        ("training.optimizer", "training.learning_rate"),
        lambda r: f"{r['training']['optimizer']}, rate {r['training']['learning_rate']:g}",
    ),
    "schedule": (("training.schedule",), lambda r: str(r["training"]["schedule"])),
    "weights": (("training.ema",), _weights),
}


def plan_rows(asked: Recipe, full: Recipe, reasons: Sequence[Row]) -> tuple[Row, ...]:
    """Every choice of the plan as it stands in the complete recipe, then every further key that the recipe itself sets.

    Parameters
    ----------
    asked : the recipe before anything was filled in.
    full : after it; its values are what is trained.
    reasons : (choice, value, why) of the planner; a choice that :data:`CHOICES` knows takes its value from ``full``.
    """
    given, values = given_keys(asked), full.model_dump(mode="json")
    rows, told = [], set()
    for name, value, why in reasons:
        keys, shown = CHOICES.get(name, ((), None))
        own = [key for key in keys if key in given]
        told.update(own)
        if own or (shown is not None and name != "spacing"):
            found = shown(values) if shown is not None else value
            if found is None and not own:
                continue  # the plan's network has it, the recipe's has not
            value = found if found is not None else "none"
        rows.append((name, value, f"{SET}: {', '.join(own)}" + _corrected(name, full) if own else why))
    rows += [(key, text_of(value), SET) for key, value in given.items() if key not in told]
    return tuple(rows)


def _corrected(name: str, full: Recipe) -> str:
    return "; corrected while training, so that the budget is kept" if name == "steps" and full.budget else ""


def given_keys(recipe: Recipe) -> dict[str, Any]:
    """Dotted key -> value of all that a recipe sets itself, beside what it is called."""
    return dict(_given(recipe))


def _given(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    values = recipe.model_dump(mode="json")
    for name in type(recipe).model_fields:
        if name in ("name", "description", "reference", "pace", "under_budget"):
            continue
        part = getattr(recipe, name)
        if isinstance(part, BaseModel):
            plain = type(part)().model_dump(mode="json")
            yield from ((f"{name}.{key}", v) for key, v in values[name].items() if v != plain[key])
        elif isinstance(part, dict):
            yield from ((f"{name}.{key}", v) for key, v in values[name].items())
        elif values[name] != type(recipe).model_fields[name].default:
            yield name, values[name]


def text_of(value: Any) -> str:
    """A value as in YAML, in one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def plan_page(opening: str, rows: Sequence[Row], closing: str = "") -> str:
    """The text of ``plan.md``.

    Parameters
    ----------
    opening : what is trained, in one sentence.
    rows : (choice, value, reason).
    closing : what follows the sentence that all is written out.
    """
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    last = f"Everything is written out in `recipe.yaml`.{closing} What happened, e.g. the steps that were taken, is in `methods.md`."
    return "\n".join(["# Plan", "", opening, "", "| choice | value | why |", "|---|---|---|", *lines, "", last, ""])


def under_budget(recipe: Recipe) -> str:
    """The name of the recipe and its time, for an opening."""
    return f"recipe `{recipe.name}`" + (f"; budget {recipe.budget}." if recipe.budget else "; no time budget.")
