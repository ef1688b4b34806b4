"""What a run that was trained on points can be asked: one line and nothing written where it cannot; and no recipe key is ignored."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.study.test_landmarks import trained  # noqa: F401  a fixture
from voxloom.augment import AugmentSettings
from voxloom.cli.app import COMMANDS
from voxloom.cli.app import run as voxloom
from voxloom.errors import BadInput
from voxloom.landmarks import LandmarkSettings
from voxloom.recipe.recipe import Recipe, section_models
from voxloom.tasks.abilities import TAKES_ANY, VERBS, need
from voxloom.tasks.landmarks.limits import UNUSED
from voxloom.tasks.task import TASKS, task_named
from voxloom.training.settings import InferenceSettings, TrainingSettings
from voxloom.verbs.run import Run
from voxloom.verbs.train import train

#: A right command line for every command and option that cannot do with points what it does; SCAN, DATA and OUT are filled in.
REFUSED = {
    "show": ["batch", "RUN", "-o", "OUT.png"],
    "show kernels": ["kernels", "RUN", "-o", "OUT.png"],
    "show gallery": ["gallery", "RUN", "-o", "OUT.png"],
    "review": ["RUN", "-o", "OUT"],
    "compare": ["RUN", "RUN", "-o", "OUT"],
    "compare tables": ["RUN/fold_0/metrics.csv", "RUN", "-o", "OUT"],
    "fairness": ["RUN"],
    "mixed": ["RUN"],
    "sample-size": ["RUN", "--width", "0.5"],
    "stress": ["RUN", "DATA", "-o", "OUT"],
    "calibrate": ["RUN"],
    "pseudo": ["RUN", "SCAN", "-o", "OUT"],
    "rank": ["RUN", "SCAN", "-o", "OUT.csv"],
    "ensemble": ["RUN", "RUN/fold_0", "-o", "OUT"],
    "export": ["RUN", "--to", "monai", "-o", "OUT"],
    "predict": ["RUN", "SCAN", "-o", "OUT", "--tta"],
    "predict uncertainty": ["RUN", "SCAN", "-o", "OUT", "--uncertainty", "tta"],
}


@pytest.mark.parametrize("form", REFUSED)
def test_a_command_says_that_the_run_was_trained_on_points(
    form: str,
    trained: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = {"SCAN": str(trained / "scans" / "images" / "s0.nii.gz"), "DATA": str(trained / "scans")}
    before = sorted(trained.rglob("*"))
    arguments = [
        words.get(part, part.replace("RUN", str(trained / "run")).replace("OUT", str(tmp_path / "out")))
        for part in REFUSED[form]
    ]
    assert voxloom([form.split()[0], *arguments]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(said) == 1, said
    assert "the run was trained on points and cannot" in said[0]
    assert not list(tmp_path.iterdir())
    assert sorted(trained.rglob("*")) == before


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_on_runs_is_in_the_table(name: str) -> None:
    options = set(inspect.signature(import_module(f"voxloom.cli.{name.replace('-', '_')}").command).parameters)
    if options & {"run", "runs", "members"}:
        known = [*VERBS, *TAKES_ANY]
        assert any(verb == name or verb.startswith(f"{name} ") for verb in known), f"what does {name} need?"
        assert name in TAKES_ANY or name in {form.split()[0] for form in REFUSED}


def test_what_is_not_in_the_table_cannot_be_asked(trained: Path) -> None:  # noqa: F811
    with pytest.raises(AssertionError, match="lacks 'fly'"):
        need(Run(trained / "run"), "fly")


@pytest.mark.parametrize("name", TASKS)
def test_tasks_speak_of_verbs_and_keys_that_there_are(name: str) -> None:
    task, models = task_named(name), section_models()
    assert set(task.cannot) <= set(VERBS)
    for key in task.unused:
        section, _, field = key.partition(".")
        assert field in models[section].model_fields, key


def test_methods_of_a_run_answer_for_its_points(trained: Path, tmp_path: Path) -> None:  # noqa: F811
    opened = Run(trained / "run")
    assert opened.evaluate().summary()["cases"] == 2
    assert "L1" in opened.report(tmp_path / "page.html").read_text()
    assert opened.predict(trained / "scans" / "images" / "s0.nii.gz")[0].name in ("L1", "L2", "L3")
    with pytest.raises(BadInput, match="cannot be drawn"):
        opened.show_batch()


def test_a_run_on_points_can_be_shared(trained: Path, tmp_path: Path) -> None:  # noqa: F811
    import zipfile

    made = Run(trained / "run").export(tmp_path / "points.zip", "zip")
    with zipfile.ZipFile(made) as packed:
        packed.extractall(tmp_path)
    scan = trained / "elsewhere" / "images" / "s80.nii.gz"
    assert Run(tmp_path / "points").predict_points(scan) == Run(trained / "run").predict_points(scan)
    told = "".join(
        path.read_text() for path in (tmp_path / "points").rglob("*") if path.suffix in (".json", ".csv", ".yaml")
    )
    assert str(trained) not in told
    assert "s80" not in told


def test_rates_are_tried_on_points_too(trained: Path, tmp_path: Path) -> None:  # noqa: F811
    recipe = ["-r", str(trained / "tiny.yaml"), "--find-lr", "-o", str(tmp_path / "out")]
    assert voxloom(["train", str(trained / "scans"), *recipe]) == 0
    rows = (tmp_path / "out" / "find_lr.csv").read_text().splitlines()
    assert len(rows) > 10


def other_value(section: str, name: str) -> Any:
    """A value that is not the default of a key, and right for it."""
    known: dict[str, Any] = {
        "labels": {"LV": 1}, "ignore": 9, "merge": ["a", "b"], "weights": "imagenet", "run": "somewhere", "fold": 1,
        "part": "all", "plane": "axial", "neighbors": 1, "edges": "replicate", "per_volume": 3, "spread": 4, "background": False,
        "joint_labels": [3, 4], "joint_mm": 50.0, "discriminative": 0.5, "phases": [{"share": 1.0, "rate": 0.5}],
        "loss": "dice", "batch_dice": False, "monitor": "train_loss", "mirror": [0], "largest_component": ["a"],
        "postprocess": ["fill_holes"], "instances": "auto", "distances": True, "metrics": ["nsd"], "hd95": "pooled",
        "empty": "left_out", "match": "center", "confidence": "max",
    }  # fmt: skip
    return known.get(name, 0.25)


@pytest.mark.parametrize("key", UNUSED)
def test_a_key_that_would_be_ignored_is_refused(key: str, trained: Path, tmp_path: Path) -> None:  # noqa: F811
    tiny = Recipe.load(trained / "tiny.yaml")
    changes = {key: other_value(*key.split("."))}
    try:
        changed = tiny.changed(changes)
    except BadInput as error:  # pragma: no cover
        pytest.fail(f"{key}: {error}")
    with pytest.raises(BadInput, match=f"`{key}` is not used by a training on points"):
        train(trained / "scans", changed, out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_written_defaults_are_no_fault(trained: Path, tmp_path: Path) -> None:  # noqa: F811
    """The recipe that a run writes out in full can be trained again."""
    again = Recipe.load(trained / "run" / "recipe.yaml").changed({"training.steps": 2})
    assert train(trained / "scans", again, out=tmp_path / "run").folds


@pytest.fixture
def read_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """The recipe keys of the planned sections that some code reads meanwhile."""
    found: set[str] = set()
    sections: dict[str, type] = {
        "training": TrainingSettings, "augment": AugmentSettings, "inference": InferenceSettings, "landmarks": LandmarkSettings,
    }  # fmt: skip
    for section, model in sections.items():
        monkeypatch.setattr(model, "__getattribute__", recorder(section, model, found))
    return found


def recorder(section: str, model: Any, found: set[str]) -> Any:
    fields = set(model.model_fields)

    def read(self: Any, name: str) -> Any:
        if name in fields:
            found.add(f"{section}.{name}")
        return object.__getattribute__(self, name)

    return read


def test_every_other_key_is_read_by_a_training_on_points(trained: Path, tmp_path: Path, read_keys: set[str]) -> None:  # noqa: F811
    """Walk all keys: each is read while a tiny run trains with everything switched on, or it is in the list of refused ones."""
    chances = {f"augment.{name}": 1.0 for name in AugmentSettings.model_fields if name.endswith("_chance")}
    chances = {key: value for key, value in chances.items() if key not in UNUSED}
    changes = {"training.steps": 2, "augment.mirror": [1], "augment.channel_dropout": 0.5, "training.epochs": None}
    recipe = Recipe.load(trained / "tiny.yaml").changed({**chances, **changes})
    train(trained / "scans", recipe, out=tmp_path / "run")
    models = section_models()
    walked = {
        f"{s}.{name}" for s in ("training", "augment", "inference", "landmarks") for name in models[s].model_fields
    }
    ignored = walked - read_keys
    #: read only where another key asks for them, as the recipe's documentation says
    on_demand = {"training.momentum", "augment.elastic_points", "augment.elastic_draw", "augment.elastic_spacing"}
    assert ignored - on_demand <= set(UNUSED), sorted(ignored - on_demand - set(UNUSED))
