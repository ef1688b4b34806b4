"""What a run can be asked to do: every verb that not all tasks have asks here before any work.

Knows the verbs. What a task cannot do, and which recipe keys it does not use, is said by the task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe, section_models
from voxloom.run.run import Run
from voxloom.runfiles import TABLE, RunFold
from voxloom.tasks.task import Task, task_of

#: Verbs that a task may lack; one with ``--`` is an option of a command.
VERBS = (
    "predict --tta",
    "predict --uncertainty",
    "predict --maps",
    "predict --cutouts",
    "evaluate --metrics",
    "predict --format seg",
    "predict --format seg-labelmap",
    "predict --format seg-fractional",
    "predict --format rtstruct",
    "predict --format sr",
    "predict --format sc",
    "show batch",
    "show results",
    "show slices",
    "show gallery",
    "show kernels",
    "show activations",
    "review",
    "compare",
    "fairness",
    "sample-size",
    "mixed",
    "stress",
    "calibrate",
    "pseudo",
    "rank",
    "ensemble",
    "export --to monai",
    "export --to onnx",
    "export --to torchscript",
    "export --to nnunet",
    "init.run",
)
#: Verbs that take any run.
TAKES_ANY = (
    "predict",
    "explain",
    "evaluate",
    "report",
    "shift",
    "train --resume",
    "train --find-lr",
    "sweep",
    "export --to zip",
    "export --to hub",
    "serve",
)


def need(run: Run, verb: str) -> None:
    """Raise BadInput where a run cannot do what is asked of it."""
    assert verb in (*VERBS, *TAKES_ANY), f"the table of verbs lacks {verb!r}"
    task = task_of(run)
    if verb in task.cannot:
        raise BadInput(f"the run was trained on {task.trained_on} and cannot {task.cannot[verb]}", run.folder)


def ask_folders(verb: str, paths: Iterable[str | Path]) -> None:
    """Ask every run that a path is, or lies in; other paths are passed over."""
    for path in paths:
        if (run := run_near(Path(path))) is not None:
            need(Run(run), verb)


def run_near(path: Path) -> Path | None:
    """The run that a path is, or lies in (a fold, a test, a table of figures); None for other paths."""
    whole = path.absolute()
    near = [place for place in (whole, *whole.parents[:2]) if (place / "recipe.yaml").is_file()]
    inside = path.name == TABLE or path.name.startswith("test") or RunFold.at(path) is not None
    return near[0] if near and (near[0] == whole or inside) else None


def refuse_unused(recipe: Recipe, task: Task) -> None:
    """Refuse a recipe that sets a key which its task would ignore (BadInput naming the key)."""
    models = section_models()
    for key, why in task.unused.items():
        section, name = key.split(".")
        given = getattr(recipe, section)
        field = models[section].model_fields[name]
        default = field.get_default(call_default_factory=True)
        value = given.get(name, default) if isinstance(given, Mapping) else getattr(given, name)
        if _plain(value) != _plain(default):
            what = f"`{key}` is not used by a training on {task.trained_on}: {why}"
            raise BadInput(what, f"recipe {recipe.name}", "Leave it out")


def _plain(value: Any) -> Any:
    """A value as YAML has it, so that a written default is a default."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    if isinstance(value, Path):
        return str(value)
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
