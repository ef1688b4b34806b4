"""``voxloom train``: train a model and evaluate it on the held-out cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from voxloom.cli.machines import spread
from voxloom.runfiles import SUMMARY

if TYPE_CHECKING:
    from voxloom.recipe.recipe import Recipe
    from voxloom.run.run import Run


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
    device: Annotated[Optional[str], typer.Option(help="auto, cpu, cuda:N.")] = None,
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
    from voxloom.cli import output
    from voxloom.cli.training_progress import screen_listener
    from voxloom.dataset import Dataset
    from voxloom.errors import BadInput
    from voxloom.ranks import first
    from voxloom.recipe.recipe import Recipe
    from voxloom.run.lifecycle import free_folder
    from voxloom.verbs.follow import refuse_alone
    from voxloom.verbs.train import train

    if resume and out is None:
        raise BadInput("--resume needs the run", None, "Name its folder: --resume -o RUN")
    if resume and tracker:
        raise BadInput("a run goes on with the trackers that it was started with", out, "Leave --tracker out")
    told = {"training.trackers": tracker} if tracker else {}
    chosen = Recipe.load(recipe).changed({**parse_assignments(assign or []), **told})
    if find_lr:
        same: list[object] = ["-r", recipe, *(word for text in assign or () for word in ("--set", text))]
        same += [word for path in add or () for word in ("--add", path)]
        for option, value in (("--budget", budget), ("--folds", folds), ("--seed", seed), ("--device", device)):
            same += [] if value is None else [option, value]
        suggest_rate(dataset, with_options(chosen, budget, folds, seed, device, add or ()), out, json_output, same)
        return
    refuse_alone(out)
    out = out or free_folder(Path("runs"), Dataset(dataset).name)
    try:
        run = train(
            dataset,
            chosen,
            out=out,
            budget=budget,
            folds=parse_folds(folds),
            add=add or (),
            external=external or (),
            seed=seed,
            device=device,
            resume=resume,
            listener=screen_listener(),
        )
    except KeyboardInterrupt:
        again = output.command_line(["voxloom", "train", dataset, "--resume", "-o", out])
        output.note(f"Interrupted and saved. Continue with: {again}")
        raise
    if first():
        say(run, json_output)


def with_options(
    recipe: Recipe, budget: str | None, folds: str | None, seed: int | None, device: str | None, add: Sequence[Path]
) -> Recipe:
    """The recipe with what options of the command line say in its place."""
    given = {
        "budget": budget,
        ("folds.count" if (folds or "").isdigit() else "folds.file"): parse_folds(folds),
        "seed": seed,
        "device": device,
        "data.add": [str(path) for path in add] or None,
    }
    return recipe.changed({key: value for key, value in given.items() if value is not None})


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
    dataset: Path, recipe: Recipe, out: Path | None, json_output: bool, same: Sequence[object] = ("-r", "auto")
) -> None:
    """Run the range test and print its suggestion, with a command that trains what was tried: its options are ``same``."""
    from voxloom.cli import output
    from voxloom.cli.training_progress import screen_listener
    from voxloom.verbs.find_lr import find_learning_rate

    test = find_learning_rate(dataset, recipe, out=out, listener=screen_listener())
    output.note(f"Suggested learning rate: {test.suggestion:.2g}, where the loss falls most steeply")
    output.note(f"By fastai's rule, the middle of the longest fall (valley): {test.valley:.2g}")
    output.done(
        [test.plot, test.table],
        ["voxloom", "train", dataset, *same, "--set", f"training.learning_rate={test.suggestion:.2g}"],
        {"suggestion": test.suggestion, "valley": test.valley, "rates": list(test.rates), "losses": list(test.losses)}
        if json_output
        else None,
    )


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
