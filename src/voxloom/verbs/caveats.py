"""What a comparison of runs must say beside its figures: what chose the weights, how often each was trained, and for how long.

Knows ``recipe.yaml``, ``summary.json``, ``log.csv`` and ``data.json`` of runs. Draws no conclusion from scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.run.run import Run
from voxloom.runfiles import logged_folds

#: Numbers of steps that differ by less than this share are equal: a budget of time never gives the same number twice.
_SAME_STEPS = 0.1


@dataclass(frozen=True)
class Training:
    """How a run came about.

    Parameters
    ----------
    chose : what its held-out cases decided: "the weights", "the post-processing"; () where they decided nothing.
    seed : of the run.
    budget : as the recipe has it, None without.
    steps : of all folds together, None where it is not known.
    cases : ids of the cases that it was made with; None where they are not known.
    """

    chose: tuple[str, ...]
    seed: int
    budget: str | None
    steps: int | None
    cases: frozenset[str] | None

    @classmethod
    def of(cls, folder: Path) -> Training | None:
        """The training of a run; None for a folder of figures, of which nothing is known."""
        if not (folder / "recipe.yaml").is_file():
            return None
        run = Run(folder)
        recipe, summary = run.recipe, run.summary
        folds = [fold for fold in summary.get("folds", {}).values() if isinstance(fold, Mapping)]
        steps = [int(fold["steps"]) for fold in folds if "steps" in fold]
        known = run.data["cases"] if (folder / "data.json").is_file() else None
        return cls(
            chose=chosen_by_held_out(run, recipe.training, summary),
            seed=recipe.seed,
            budget=None if recipe.budget is None else str(recipe.budget),
            steps=sum(steps) if steps else None,
            cases=None if known is None else frozenset(case["id"] for case in known),
        )


def chosen_by_held_out(run: Run, training: Mapping[str, Any], summary: Mapping[str, Any]) -> tuple[str, ...]:
    """What the held-out cases of a run decided, by which figures on them are too good."""
    logs = [fold.log.read_text(encoding="utf-8").splitlines() for fold in logged_folds(run.folder)]
    validated = any(len(lines) > 2 for lines in logs)  # with one row there was nothing to choose between
    watched = str(training.get("monitor", "val_dice")).startswith("val_")
    steps = [step for step in summary.get("postprocess", ()) if step.get("used") and step.get("gain") is not None]
    tried = run.recipe.inference.get("largest_component", "auto") == "auto" and summary.get("largest_component")
    return (*(["the weights"] if validated and watched else []), *(["the post-processing"] if tried or steps else []))


def caveats(names: Sequence[str], paths: Sequence[Path], cases: str) -> tuple[str, ...]:
    """What a sentence about two runs must add, one phrase each.

    Parameters
    ----------
    names, paths : of the two, in the same order.
    cases : "held-out" or "test": whose figures are compared.
    """
    known = {name: Training.of(path) for name, path in zip(names, paths, strict=True)}
    runs = {name: training for name, training in known.items() if training is not None}
    told = [_choice(runs)] if cases == "held-out" else []
    if runs:
        told.append(f"{_each(runs, len(names))} one training with one seed")
    if len(runs) == len(names):
        told += [_budgets(runs), _training_cases(runs)]
    else:
        others = [name for name in names if name not in runs]
        told.append(f"nothing is known of the training of {' and '.join(others)}")
    return tuple(phrase for phrase in told if phrase)


def _each(runs: Mapping[str, Training], count: int) -> str:
    return "each run is" if len(runs) == count else f"{next(iter(runs))} is"


def _choice(runs: Mapping[str, Training]) -> str:
    """Whose held-out cases decided what."""
    by_name = {name: " and ".join(training.chose) for name, training in runs.items() if training.chose}
    if not by_name:
        return ""
    if len(set(by_name.values())) == 1 and len(by_name) > 1:
        return f"these cases also chose {next(iter(by_name.values()))} of both"
    return "these cases also chose " + " and ".join(f"{what} of {name}" for name, what in by_name.items())


def _budgets(runs: Mapping[str, Training]) -> str:
    """Budgets of time that differ, or else numbers of steps."""
    budgets = {name: training.budget for name, training in runs.items()}
    if len(set(budgets.values())) > 1:
        return f"the budgets differ ({_listed(budgets, 'no budget')})"
    steps = {name: training.steps for name, training in runs.items() if training.steps is not None}
    if len(steps) < 2 or min(steps.values()) >= (1 - _SAME_STEPS) * max(steps.values()):
        return ""
    return f"the numbers of training steps differ ({_listed(steps, '')})"


def _training_cases(runs: Mapping[str, Training]) -> str:
    sets = {name: training.cases for name, training in runs.items() if training.cases is not None}
    if len(set(sets.values())) < 2:
        return ""
    counts = {name: len(cases) for name, cases in sets.items()}
    return f"they were made with other cases ({_listed(counts, '')})"


def _listed(values: Mapping[str, object], nothing: str) -> str:
    return ", ".join(f"{name} {nothing if value is None else value}" for name, value in values.items())


def with_caveats(sentence: str, phrases: Sequence[str]) -> str:
    """A sentence of conclusion that says what it rests on."""
    if not phrases:
        return sentence
    return f"{sentence.removesuffix('.')}; {'; '.join(phrases)}."
