"""``voxloom train``: train a model and evaluate it on the held-out cases."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from voxloom.cli.machines import spread
from voxloom.cli.options import RecipeDevice
from voxloom.runfiles import SUMMARY

if TYPE_CHECKING:
    from voxloom.recipe.recipe import Recipe
    from voxloom.run.run import Run
    from voxloom.verbs.overrides import Overrides


@spread
def command(
    dataset: Annotated[Path, typer.Argument(help="Data set: a folder or file in any layout that Voxloom reads.")],
    recipe: Annotated[
        str, typer.Option("-r", "--recipe", help="A YAML file, or the name of a shipped recipe.")
    ] = "auto",
    out: Annotated[
        Optional[Path], typer.Option("-o", "--out", help="Folder of the run. [default: runs/NAME-n]")
    ] = None,
    budget: Annotated[
        Optional[str],
        typer.Option(help="Training time of all folds together: 90s, 10m, 1h30m, 2d. Counts time before --resume."),
    ] = None,
    folds: Annotated[Optional[str], typer.Option(help="Number of folds, or an nnU-Net splits_final.json.")] = None,
    add: Annotated[
        Optional[list[Path]], typer.Option("--add", help="A further data set to train on; may be repeated.")
    ] = None,
    external: Annotated[
        Optional[list[Path]],
        typer.Option(
            "--external", help="A test set that is kept wholly apart and evaluated at the end; may be repeated."
        ),
    ] = None,
    seed: Annotated[Optional[int], typer.Option(help="Instead of the recipe's seed.")] = None,
    device: RecipeDevice = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in -o, or extend it with a longer --budget.")
    ] = False,
    find_lr: Annotated[
        bool, typer.Option("--find-lr", help="Try learning rates and suggest one, instead of training.")
    ] = False,
    assign: Annotated[
        Optional[list[str]],
        typer.Option("--set", metavar="KEY=VALUE", help="Change a recipe key, e.g. training.batch=4."),
    ] = None,
    tracker: Annotated[
        Optional[list[str]],
        typer.Option("--tracker", help="Also tell figures to jsonl, mlflow or wandb (offline); may be repeated."),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a model on DATASET and evaluate it on cases that it never saw."""
    from voxloom.cli.training_progress import screen_listener
    from voxloom.dataset import Dataset
    from voxloom.ranks import first
    from voxloom.run.lifecycle import free_folder
    from voxloom.verbs.follow import refuse_alone
    from voxloom.verbs.overrides import Overrides
    from voxloom.verbs.train import train_with

    if resume:
        refuse_resumption(out, tracker)
    chosen = recipe_of(recipe, assign or [], tracker or [])
    asked = Overrides(budget, parse_folds(folds), seed, device, add or (), external or ())
    if find_lr:
        suggest_rate(dataset, chosen, asked, out, json_output, ["-r", recipe, *repeated("--set", assign)])
        return
    refuse_alone(out)
    out = out or free_folder(Path("runs"), Dataset(dataset).name)
    with told_how_to_resume(dataset, out):
        run = train_with(dataset, chosen, asked, out=out, resume=resume, listener=screen_listener())
    if first():
        say(run, json_output)


def refuse_resumption(out: Path | None, trackers: list[str] | None) -> None:
    """Refuse ``--resume`` without its run, or with trackers that it was not started with (BadInput)."""
    from voxloom.errors import BadInput

    if out is None:
        raise BadInput("--resume needs the run", None, "Name its folder: --resume -o RUN")
    if trackers:
        raise BadInput("a run goes on with the trackers that it was started with", out, "Leave --tracker out")


def recipe_of(name: str, assignments: list[str], trackers: list[str]) -> Recipe:
    """The recipe with the keys that ``--set`` and ``--tracker`` change."""
    from voxloom.recipe.recipe import Recipe

    told = {"training.trackers": trackers} if trackers else {}
    return Recipe.load(name).changed({**parse_assignments(assignments), **told})


@contextlib.contextmanager
def told_how_to_resume(dataset: Path, out: Path) -> Iterator[None]:
    """Tell the command that goes on with the training, where Ctrl-C ends the block."""
    from voxloom.cli import output

    try:
        yield
    except KeyboardInterrupt:
        again = output.command_line(["voxloom", "train", dataset, "--resume", "-o", out])
        output.note(f"Interrupted and saved. Continue with: {again}")
        raise


def say(run: Run, json_output: bool) -> None:
    """Figures and files of a run that was trained, for the screen or as JSON."""
    from voxloom.cli import output
    from voxloom.tasks.task import task_of

    task, summary = task_of(run), run.summary
    output.table(task.rows(summary.get("validation")), title=f"{task.title} of held-out cases")
    for name, figures in summary.get("external", {}).items():
        output.table(task.rows(figures), title=f"{task.title} of the external cases of {name}")
    if summary.get("postprocess"):
        output.table(postprocessing_rows(summary), title="Post-processing")
    output.done(
        [run.folder / "report.html", run.folder / SUMMARY],
        ["voxloom", "predict", run.folder, "SCAN", "-o", "OUT"],
        {"run": str(run.folder), "summary": summary} if json_output else None,
    )


def suggest_rate(
    dataset: Path, recipe: Recipe, asked: Overrides, out: Path | None, json_output: bool, named: list[object]
) -> None:
    """Run the range test and print its suggestion, with a command that trains what was tried: ``named`` are its recipe's options."""
    from voxloom.cli import output
    from voxloom.cli.training_progress import screen_listener
    from voxloom.verbs.find_lr import find_learning_rate

    tried = replace(asked, external=())
    test = find_learning_rate(dataset, tried.applied(recipe), out=out, listener=screen_listener())
    output.note(f"Suggested learning rate: {test.suggestion:.2g}, where the loss falls most steeply")
    output.note(f"By fastai's rule, the middle of the longest fall (valley): {test.valley:.2g}")
    same = [*named, *options_of(tried), "--set", f"training.learning_rate={test.suggestion:.2g}"]
    output.done(
        [test.plot, test.table],
        ["voxloom", "train", dataset, *same],
        {"suggestion": test.suggestion, "valley": test.valley, "rates": list(test.rates), "losses": list(test.losses)}
        if json_output
        else None,
    )


def options_of(asked: Overrides) -> list[object]:
    """The options of ``voxloom train`` that ask for the same."""
    single = {"--budget": asked.budget, "--folds": asked.folds, "--seed": asked.seed, "--device": asked.device}
    given = [word for option, value in single.items() if value is not None for word in (option, value)]
    return [*repeated("--add", asked.add), *given]


def repeated(option: str, values: Sequence[object] | None) -> list[object]:
    """An option before each of its values."""
    return [word for value in values or () for word in (option, value)]


def parse_folds(text: str | None) -> int | Path | None:
    """A number of folds or the path of a splits file."""
    if text is None:
        return None
    return int(text) if text.isdigit() else Path(text)


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """``KEY=VALUE`` texts with YAML values."""
    import yaml

    from voxloom.errors import BadInput

    changes = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise BadInput(f"--set {text} has no value", None, "Write --set KEY=VALUE, e.g. --set training.batch=4")
        changes[key.strip()] = yaml.safe_load(value)
    return changes


def postprocessing_rows(summary: dict[str, Any]) -> list[list[str]]:
    """Rows of step, label, what it gained on the held-out cases, and whether it is used, with a header row."""
    return [["step", "label", "gain in Dice", "used"]] + [
        [e["step"], e["label"], "-" if e["gain"] is None else f"{e['gain']:+.4f}", "yes" if e["used"] else "no"]
        for e in summary["postprocess"]
    ]
