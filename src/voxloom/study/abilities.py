"""What a run can be asked to do: one table of verbs, which every command and method asks before any work.

Knows which verbs need a run that was trained on label maps, and which recipe keys a training on points uses. Does no work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxloom.errors import BadInput

if TYPE_CHECKING:
    from voxloom.study.recipe import Recipe

#: Verb -> what a run that was trained on points cannot do. A verb with ``--`` is an option of a command.
NEEDS_LABEL_MAPS = {
    "predict label maps": "predict label maps; ask it for points: voxloom predict, or predict_points",
    "predict --tta": "average over mirror images (--tta), since sides would change places",
    "predict --uncertainty": "write maps of uncertainty; its points carry a confidence each",
    "show": "be drawn with contours of labels; its report.html shows its points",
    "review": "be reviewed by Dice",
    "compare": "be compared by Dice; compare its points: voxloom points A/test/predictions B/test/predictions --truth POINTS",
    "stress": "be stressed by Dice",
    "calibrate": "predict a Dice; the confidences of its points are calibrated in training",
    "pseudo": "give pseudo-labels",
    "rank": "rank scans by the disagreement of label maps",
    "ensemble": "be part of an ensemble of label maps; put two sets of points together: voxloom combine",
    "export --to monai": "be exported as a MONAI bundle",
    "init.run": "give first weights to a network for label maps",
    "train --find-lr": "try learning rates; set training.learning_rate",
}
#: Verbs that take any run.
TAKES_ANY = ("predict", "evaluate", "report", "train --resume", "export --to zip")

#: Recipe keys that a training on points does not use, and why; set away from their default they are refused.
UNUSED_BY_LANDMARKS = {
    "data.labels": "it is about label maps",
    "data.ignore": "it is about label maps",
    "labels.merge": "it is about label maps; `landmarks.maps` says what shares a map",
    "init.weights": "its networks begin with random weights",
    "init.run": "its networks begin with random weights",
    "init.fold": "its networks begin with random weights",
    "init.part": "its networks begin with random weights",
    "slices.plane": "`landmarks.network` says how slices are seen",
    "slices.neighbors": "`landmarks.network` says how slices are seen",
    "slices.edges": "`landmarks.network` says how slices are seen",
    "slices.per_volume": "`training.steps` says how many windows are drawn",
    "slices.spread": "`landmarks.network` says how slices are seen",
    "slices.background": "`training.foreground` says how many windows show a mark",
    "prepare.joint_labels": "a joint is found by label maps",
    "prepare.joint_mm": "a joint is found by label maps",
    "training.discriminative": "all its layers learn at one rate",
    "training.phases": "it has one phase",
    "training.loss": "`landmarks.loss` says which loss",
    "training.batch_dice": "`landmarks.weighting` says how its loss is taken",
    "training.monitor": "its weights are chosen by recall",
    "augment.batch_chance": "every batch is changed",
    "augment.slice_skip": "slices are not skipped",
    "augment.slice_skip_chance": "slices are not skipped",
    "augment.slice_interpolation": "slices are not interpolated",
    "augment.slice_interpolation_chance": "slices are not interpolated",
    "inference.mirror": "left and right would change places",
    "inference.largest_component": "it is about label maps; `landmarks.order` chooses among candidates",
    "inference.postprocess": "it is about label maps; `landmarks.order` chooses among candidates",
    "inference.instances": "it is about label maps",
}


def ask(verb: str, run: Path, landmarks: bool) -> None:
    """Raise BadInput where a run cannot do what is asked of it.

    Parameters
    ----------
    verb : a key of ``NEEDS_LABEL_MAPS``, or one of ``TAKES_ANY``.
    landmarks : whether the run was trained on points.
    """
    if verb not in NEEDS_LABEL_MAPS:
        assert verb in TAKES_ANY, f"the table of abilities lacks {verb!r}"
        return
    if landmarks:
        raise BadInput(f"the run was trained on points and cannot {NEEDS_LABEL_MAPS[verb]}", run)


def ask_folders(verb: str, paths: Iterable[str | Path]) -> None:
    """Ask every run that a path is, or lies in (a fold, a test, a table of figures); other paths are passed over."""
    from voxloom.study.run import Run

    for path in map(Path, paths):
        whole = path.absolute()
        near = [place for place in (whole, *whole.parents[:2]) if (place / "recipe.yaml").is_file()]
        if near and (near[0] == whole or path.name == "metrics.csv" or path.name.startswith(("fold_", "test"))):
            Run(near[0]).ask(verb)


def refuse_unused(recipe: Recipe) -> None:
    """Refuse a recipe for points that sets a key which a training on points would ignore (BadInput naming the key)."""
    from voxloom.study.recipe import section_models

    models = section_models()
    for key, why in UNUSED_BY_LANDMARKS.items():
        section, name = key.split(".")
        given = getattr(recipe, section)
        field = models[section].model_fields[name]
        default = field.get_default(call_default_factory=True)
        value = given.get(name, default) if isinstance(given, Mapping) else getattr(given, name)
        if _plain(value) != _plain(default):
            raise BadInput(
                f"`{key}` is not used by a training on points: {why}", f"recipe {recipe.name}", "Leave it out"
            )


def _plain(value: Any) -> Any:
    """A value as YAML has it, so that a written default is a default."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    if isinstance(value, Path):
        return str(value)
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value
