"""Every task x every verb, by the command line: it works, or refuses in one line before any work.

A verb or a task that is added must be added here: the table is compared with the program's own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.study.sweep.fakes import Here
from tests.tasks.scans import write_scans
from voxloom.cli.app import run as voxloom
from voxloom.formats import read_volume, write_dicom_series, write_volume
from voxloom.tasks.abilities import TAKES_ANY, VERBS
from voxloom.tasks.task import TASKS as SHIPPED
from voxloom.tasks.task import task_named
from voxloom.verbs.dicom_results import FORMATS
from voxloom.verbs.evaluate import evaluate_run
from voxloom.verbs.run import Run

pytestmark = pytest.mark.usefixtures("one_thread")

#: Task -> its name in a recipe.
TASKS = {**{name: name for name in SHIPPED}, "counting": "tests.tasks.counting:TASK"}
SMALL = {
    "device": "cpu", "folds.count": 2, "training.steps": 12, "training.validations": 2, "training.batch": 2,
    "training.precision": "fp32", "training.learning_rate": 0.01,
}  # fmt: skip
OF_TASK = {
    "landmarks": {
        "landmarks.network": "multinet", "landmarks.channels": 4, "landmarks.max_channels": 4, "landmarks.levels": 2,
        "landmarks.radius": 6.0, "training.patch": [17, 17, 3], "prepare.spacing": [2.0, 2.0, None],
    },
    "segmentation": {
        "network.features": [4, 4, 8], "network.strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        "network.kernels": [[3, 3, 3]] * 3,
        "training.patch": [16, 16, 12], "prepare.spacing": [2, 2, 2],
        "evaluate.metrics": ["froc", "voxel_ece"], "evaluate.empty": "left_out",
    },
}  # fmt: skip
WHOLE = {"network.features": [4, 8, 8]}
#: Verb -> a right command line, and the file (or folder that is not empty) that it writes.
LINES: dict[str, tuple[list[str], str]] = {
    "predict": (["predict", "RUN", "SCAN", "-o", "OUT"], ""),
    "predict --tta": (["predict", "RUN", "SCAN", "-o", "OUT", "--tta"], ""),
    "predict --uncertainty": (["predict", "RUN", "SCAN", "-o", "OUT", "--uncertainty", "tta"], ""),
    "explain": (["explain", "RUN", "SCAN", "-o", "OUT"], "explain.json"),
    "predict --maps": (["predict", "RUN", "SCAN", "-o", "OUT", "--maps"], ""),
    "predict --cutouts": (["predict", "RUN", "SCAN", "-o", "OUT", "--cutouts", "10"], ""),
    **{
        f"predict --format {name}": (["predict", "RUN", "SERIES", "-o", "OUT", "--format", name], f"series.{name}.dcm")
        for name in FORMATS
    },
    "evaluate": (["evaluate", "RUN", "DATA", "-o", "OUT"], "metrics.csv"),
    "evaluate --metrics": (["evaluate", "RUN", "--metrics", "nsd,froc,voxel_ece", "-o", "OUT"], "candidates.csv"),
    "train --resume": (["train", "TRAIN", "--resume", "-o", "OUT"], "report.html"),
    "train --find-lr": (["train", "TRAIN", "--find-lr", "-r", "RUN/recipe.yaml", "-o", "OUT"], "find_lr.csv"),
    "sweep": (["sweep", "SWEEP", "-o", "OUT"], "table.csv"),
    "export --to zip": (["export", "RUN", "--to", "zip", "-o", "OUT.zip"], ""),
    "export --to onnx": (["export", "RUN", "--to", "onnx", "-o", "OUT"], "fold_0.onnx"),
    "export --to torchscript": (["export", "RUN", "--to", "torchscript", "-o", "OUT"], "fold_0.pt"),
    "export --to nnunet": (["export", "RUN", "--to", "nnunet", "-o", "OUT"], "plans.json"),
    "export --to monai": (["export", "RUN", "--to", "monai", "-o", "OUT"], "configs/inference.json"),
    "show batch": (["show", "batch", "RUN", "-o", "OUT.png"], ""),
    "show results": (["show", "results", "RUN", "-o", "OUT.png"], ""),
    "show slices": (["show", "slices", "RUN", "-o", "OUT.png"], ""),
    "show gallery": (["show", "gallery", "RUN", "-o", "OUT.png"], ""),
    "show kernels": (["show", "kernels", "RUN", "-o", "OUT.png"], ""),
    "show activations": (["show", "activations", "RUN", "-o", "OUT.png"], ""),
    "review": (["review", "RUN", "-o", "OUT"], ""),
    "compare": (["compare", "RUN", "OTHER", "-o", "OUT"], "compare.html"),
    "fairness": (["fairness", "RUN", "--table", "GROUPS", "--on", "held-out", "-o", "OUT.json"], ""),
    "shift": (["shift", "RUN", "DATA", "-o", "OUT"], "shift.html"),
    "mixed": (["mixed", "RUN", "--table", "GROUPS", "--on", "held-out", "-o", "OUT.json"], ""),
    "sample-size": (["sample-size", "RUN", "--width", "0.5"], ""),
    "stress": (["stress", "RUN", "DATA", "--only", "noise", "-o", "OUT"], "stress.csv"),
    "calibrate": (["calibrate", "COPY"], ""),
    "pseudo": (["pseudo", "RUN", "SCAN", "--agreement", "0", "--expected", "0", "-o", "OUT"], ""),
    "rank": (["rank", "RUN", "SCAN", "SCAN2", "-o", "OUT.csv"], ""),
    "ensemble": (["ensemble", "RUN/fold_0", "OTHER/fold_0", "-o", "OUT"], ""),
    "init.run": (["train", "TRAIN", "-r", "SAME", "--set", "init.run=RUN", "-o", "OUT"], "report.html"),
}


@pytest.fixture(scope="module", params=TASKS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """The task, and what stands for the words of its lines: data, scans, two finished runs and one that was killed."""
    task, root = request.param, tmp_path_factory.mktemp(request.param)
    for name in ("train", "data"):
        (root / name).mkdir()
    train, data = write_scans(root / "train", task, range(12)), write_scans(root / "data", task, range(40, 44))
    settings = {**SMALL, **OF_TASK.get(task, WHOLE), "task": TASKS[task]}
    told = [part for key, value in settings.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    for seed, name in enumerate(("run", "other")):
        assert voxloom(["train", str(train), "-o", str(root / name), "--set", f"seed={seed}", *told]) == 0
    with pytest.MonkeyPatch.context() as patch:
        stop_at_the_first_validation(patch)
        assert voxloom(["train", str(train), "-o", str(root / "killed"), "--set", "seed=0", *told]) == 130
    shutil.copytree(root / "run", root / "copy")
    (root / "sweep.yaml").write_text(
        f"recipe: {root / 'run' / 'recipe.yaml'}\ndata: {train}\nsearch: grid\nover: {{seed: [0]}}\n"
    )
    places = {"TRAIN": train, "DATA": data, "SCAN": root / "data" / "s40.nii.gz", "SCAN2": root / "data" / "s41.nii.gz"}
    write_dicom_series(read_volume(places["SCAN"]), root / "series")
    places |= {"SERIES": root / "series"}
    places |= {"RUN": root / "run", "OTHER": root / "other", "COPY": root / "copy", "KILLED": root / "killed"}
    rows = [f"s{n},{'ab'[n % 2]},p{n // 2}" for n in range(12)]
    (root / "groups.csv").write_text("\n".join(["case,site,patient", *rows, ""]))
    places |= {"GROUPS": root / "groups.csv"}
    places |= {"SWEEP": root / "sweep.yaml", "SAME": root / "run" / "recipe.yaml"}
    return task, {word: str(place) for word, place in places.items()}


def stop_at_the_first_validation(patch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of a training."""
    from voxloom.training.callbacks import Validate

    validate = Validate._validate

    def stop(self: Validate, *given: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        validate(self, *given)  # type: ignore[arg-type]

    patch.setattr(Validate, "_validate", stop)


def filled(words: list[str], places: dict[str, str], out: Path) -> list[str]:
    """A line with its places; ``RUN/fold_0`` and ``OUT.png`` keep what follows the word."""
    found = []
    for word in words:
        key, value = word.split("=") if "=" in word else ("", word)
        head = next((h for h in (*places, "OUT") if value == h or value.startswith((f"{h}/", f"{h}."))), None)
        if head is not None:
            value = ({**places, "OUT": str(out)})[head] + value[len(head) :]
        found.append(f"{key}={value}" if key else value)
    return found


def test_the_table_has_every_verb() -> None:
    # what ends only when it is told to, and what needs a hub, has tests of its own (tests/serve, tests/study/test_import.py)
    elsewhere = {"report", "serve", "export --to hub"}
    assert {*LINES, *elsewhere} == {*VERBS, *TAKES_ANY}
    for name in TASKS.values():
        assert set(task_named(name).cannot) <= set(LINES)


@pytest.mark.drawn
def test_the_report_can_be_written_again(made: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    page = Run(places_of(made)["RUN"]).report(tmp_path / "page.html")
    assert page.read_text().startswith("<!")


@pytest.mark.parametrize("made", ["segmentation"], indirect=True)
@pytest.mark.drawn
def test_a_recipe_measures_probabilities_of_held_out_cases(made: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    """A training on label maps asks for them; the report says by which rules, and a test set is measured by the same."""
    run = Path(places_of(made)["RUN"])
    assert {"candidates.csv", "reliability.csv"} <= {path.name for path in (run / "fold_0").iterdir()}
    page = (run / "report.html").read_text()
    assert "Held-out cases: lesions" in page
    assert "Held-out cases: calibration of probabilities" in page
    assert "truth empty: left out" in page
    found = evaluate_run(run, places_of(made)["DATA"], tmp_path)
    assert set(found.summary()["froc"]) == set(found.evaluation.labels)
    assert all(
        0 <= value <= 1 for label in found.evaluation.labels for value in found.evaluation.values("voxel_ece", label)
    )


def places_of(made: tuple[str, dict[str, str]]) -> dict[str, str]:
    return made[1]


#: Verbs whose pictures are their own; a training's are drawn by ``test_the_report_can_be_written_again``.
PICTURES = ("show", "explain", "review", "compare", "fairness", "shift", "stress", "evaluate", "mixed", "calibrate")


@pytest.mark.parametrize(
    "verb",
    [pytest.param(v, marks=pytest.mark.drawn if v.startswith(PICTURES) else (), id=v) for v in LINES],
)
def test_it_works_or_refuses_before_any_work(
    verb: str, made: tuple[str, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    task, places = made
    if task != "counting":  # the task of another package is trained in a process of its own; each loads torch anew
        monkeypatch.setattr("voxloom.cli.sweep.start_workers", lambda *_: Here())
    words, written = LINES[verb]
    out = tmp_path / "out"
    if verb == "train --resume":
        shutil.copytree(places["KILLED"], out)
    before = sorted(Path(places["RUN"]).parent.rglob("*"))
    capsys.readouterr()
    refused = verb in task_named(TASKS[task]).cannot
    code = voxloom(filled(words, places, out))
    said = [line for line in capsys.readouterr().err.splitlines() if line]
    assert code == (2 if refused else 0), said
    if refused:
        assert len(said) == 1, said
        assert "and cannot" in said[0]
        assert not list(tmp_path.iterdir())
        assert sorted(Path(places["RUN"]).parent.rglob("*")) == before
    elif verb not in ("calibrate", "sample-size"):  # one writes into the run, the other on the screen alone
        found = list(tmp_path.iterdir())
        assert found, "nothing was written"
        assert not written or (out / written).is_file(), sorted(p.name for p in out.iterdir())
    if verb == "train --resume":
        assert_same_weights(Path(places["RUN"]), out, has_features=task != "landmarks")


def assert_same_weights(one: Path, other: Path, *, has_features: bool) -> None:
    """A killed training ends in the weights of one that was not, and keeps the same features of its cases."""
    hashes = [
        {name: fold["weights_sha256"] for name, fold in json.loads((run / "summary.json").read_text())["folds"].items()}
        for run in (one, other)
    ]
    assert len(hashes[0]) == 2
    assert hashes[0] == hashes[1]
    kept = [sorted(run.glob("fold_*/features.npz")) for run in (one, other)]
    first, second = ([path.read_bytes() for path in files] for files in kept)
    assert first == second
    assert [path.parent.name for path in kept[0]] == (["fold_0"] if has_features else [])


def test_predict_and_shift_find_a_scan_equally_far_from_the_training(
    made: tuple[str, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tasks that look at windows or whole scans have features; shift looks at a scan alone what predict sees on its way."""
    task, places = made
    capsys.readouterr()
    assert voxloom(["predict", places["RUN"], places["SCAN"], "-o", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out).get("features")
    assert voxloom(["shift", places["RUN"], places["DATA"], "-o", str(tmp_path / "shift")]) == 0
    shift = json.loads((tmp_path / "shift" / "shift.json").read_text())
    if task == "landmarks":
        assert found is None
        assert shift["embedding"] is None
        return
    assert found["s40"]["held_out"] == shift["embedding"]["held_out"] == 6
    assert found["s40"]["distance"] == pytest.approx(shift["embedding"]["distances"]["s40"], rel=1e-4)
    assert found["s40"]["rarer"] == shift["embedding"]["rarer"]["s40"]


#: Verbs that read scans, beside those that every task has.
READING = ("predict", "explain", "evaluate")
READING_OF = {"segmentation": (*READING, "rank", "pseudo", "stress")}


def test_a_scan_unlike_the_training_is_told_by_every_verb(
    made: tuple[str, dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, places = made
    odd = tmp_path / "odd"
    shutil.copytree(Path(places["DATA"]).parent, odd)
    for path in odd.glob("s*.nii.gz"):
        scan = read_volume(path)
        write_volume(scan.with_data(scan.data + 20), path)
    unlike = {**places, "DATA": str(odd), "SCAN": str(odd / "s40.nii.gz"), "SCAN2": str(odd / "s41.nii.gz")}
    for verb in READING_OF.get(task, READING):
        for known, told in ((places, 0), (unlike, 1)):
            capsys.readouterr()
            assert voxloom(filled(LINES[verb][0], known, tmp_path / verb / str(told))) == 0
            said = [line for line in capsys.readouterr().err.splitlines() if "unlike the training scans" in line]
            assert len(said) == told, (verb, said)
            assert all("values from" in line for line in said)
