"""The machine misbehaves: disk full, folder read-only, files gone, workers killed, memory short, the clock wrong, SIGTERM."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tests.study.conftest import write_balls
from voxloom.cli.app import run
from voxloom.dataset import Dataset
from voxloom.dataset.inspect import fingerprint
from voxloom.errors import BadInput, VoxloomError
from voxloom.files import write_json, write_text
from voxloom.formats import read_header, read_label, read_volume, write_dicom_series, write_volume
from voxloom.prepare import Cache, PrepareSettings
from voxloom.prepare.store import write_arrays
from voxloom.volume import Volume

NOISE = np.random.default_rng(0).integers(0, 200, (1, 24, 24, 24)).astype(np.uint8)
SETTINGS = PrepareSettings(spacing=(1.5, 1.5, 2.0))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_balls(tmp_path / "balls é", 4)


@contextlib.contextmanager
def disk_full(after: int = 1500) -> Iterator[None]:
    """No file may grow beyond so many bytes (what the system says then is "file too large")."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (after, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".tif", ".png"])
def test_disk_full_while_a_volume_is_written(ending: str, tmp_path: Path) -> None:
    voxels = NOISE if ending not in (".tif", ".png") else NOISE.reshape(1, 24 * 24, 24, 1)
    volume = Volume(voxels, np.diag([-1.0, -1, 1, 1]))
    write_volume(volume, tmp_path / f"old{ending}")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with disk_full(), pytest.raises((OSError, VoxloomError)):
        write_volume(volume.with_data(voxels + 1), tmp_path / f"old{ending}")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_disk_full_while_other_files_are_written(tmp_path: Path) -> None:
    def series() -> None:
        write_dicom_series(Volume(NOISE, np.diag([-1.0, -1, 1, 1])), tmp_path / "series")

    writers = (
        lambda: write_text(tmp_path / "a.txt", "x" * 9000),
        lambda: write_json(tmp_path / "a.json", ["x"] * 9000),
        lambda: write_arrays(tmp_path / "a.voxcase", {"image": NOISE}, {}),
        series,
    )
    for write in writers:
        with disk_full(), pytest.raises(OSError, match="too large"):
            write()
    assert list(tmp_path.iterdir()) == []


def test_disk_full_while_weights_and_checkpoints_are_written(tmp_path: Path) -> None:
    import torch

    from voxloom.training.weights import load_weights, save_weights

    small, large = {"a": torch.zeros(2)}, {"a": torch.zeros(9000)}
    save_weights(tmp_path, small, {})
    with disk_full(), pytest.raises(OSError, match="too large"):
        save_weights(tmp_path, large, {})
    assert load_weights(tmp_path)[0]["a"].shape == (2,)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_commands_tell_what_the_system_refuses(
    number: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Injected where every temporary file is made, because a test may run as root, whom no folder refuses."""

    def refuse(*_: object, **named: object) -> None:
        raise OSError(number, os.strerror(number), str(named.get("dir")))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    page = tmp_path / "page.html"
    assert run(["inspect", str(data), "-o", str(page)]) == (1 if number == errno.ENOSPC else 2)
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("Error: ")
    assert str(tmp_path) in line
    assert ("Free some space" if number == errno.ENOSPC else "Choose another folder") in line
    assert not page.exists()


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd", ".png"])
def test_a_file_that_vanishes_while_it_is_read(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from voxloom.formats import checks, itk, nifti, picture

    path = tmp_path / f"a{ending}"
    voxels = NOISE[..., :1] if ending == ".png" else NOISE

    def check_and_lose(checked: Path) -> int:
        size = checks.check_file(checked)
        checked.unlink()
        return size

    for module in (itk, nifti, picture):
        monkeypatch.setattr(module, "check_file", check_and_lose)
    for reader in (read_volume, read_header, read_label):
        write_volume(Volume(voxels, np.diag([-1.0, -1, 1, 1])), path)
        with pytest.raises(BadInput, match=f"a{ending}: cannot be read"):
            reader(path)


def test_a_case_that_vanished_is_named_and_the_others_are_measured(data: Path, tmp_path: Path) -> None:
    dataset = Dataset(data)
    (data / "imagesTr" / "ball02_0000.nii.gz").unlink()
    found = fingerprint(dataset)
    assert [case.id for case in found.cases if case.problem] == ["ball02"]
    assert len(found.readable) == 3
    with pytest.raises(BadInput, match="ball02"):
        Cache(tmp_path / "cache").prepare(dataset, SETTINGS)


@dataclass(frozen=True)
class Broken:
    """A source of voxels whose reading ends the process, or finds no memory."""

    path: str
    ends: str

    def read(self) -> Volume:
        if self.ends == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise MemoryError


def with_broken(data: Path, name: str, ends: str) -> Dataset:
    whole = Dataset(data)
    cases = [
        replace(case, images={"MR": Broken(str(case.images["MR"]), ends)}) if case.id == name else case  # type: ignore[dict-item]
        for case in whole
    ]
    return Dataset.from_cases(whole.name, cases, whole.channels, whole.labels, root=data)


@pytest.mark.parametrize(("ends", "workers", "told"), [("memory", 1, "needs more memory"), ("killed", 2, "SIGKILL")])
def test_one_case_without_memory_or_worker(ends: str, workers: int, told: str, data: Path, tmp_path: Path) -> None:
    dataset = with_broken(data, "ball01", ends)
    with pytest.raises(VoxloomError, match=f"ball01: preparing failed: .*{told}"):
        Cache(tmp_path / "cache").prepare(dataset, SETTINGS, workers=workers)
    assert len(list((tmp_path / "cache").glob("*.voxcase"))) == 3, "the others are prepared"


def test_one_scan_without_memory_is_told_and_the_others_are_predicted(tmp_path: Path) -> None:
    from voxloom.run.scans import Scan
    from voxloom.tasks.task import task_named
    from voxloom.verbs.scan_work import ScanWork, predict_scans

    class Predictor:
        channels = ("MR",)

        def predict(self, source: Volume, *, resample_tilt: bool = False) -> Volume:
            if Path(source.meta["source"]).name.startswith("b"):
                raise MemoryError
            if Path(source.meta["source"]).name.startswith("c"):
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
            return source

    for name in "abcd":
        write_volume(Volume(NOISE, np.eye(4)), tmp_path / f"{name}.nii.gz")
    told: dict[str, str] = {}
    scans = [Scan(name, (tmp_path / f"{name}.nii.gz",), ".nii.gz") for name in "abcd"]
    written = predict_scans(
        ScanWork(task_named("segmentation"), tmp_path / "out"),
        Predictor(),  # type: ignore[arg-type]
        scans,
        failed=lambda scan, error: told.update({scan.name: str(error)}),
    )
    assert [path.name for _, path in written] == ["a.nii.gz", "d.nii.gz"]
    assert told == {name: f"{name}: predicting it needs more memory than there is" for name in "bc"}


def test_one_truth_that_cannot_be_read_is_told_and_the_others_are_scored(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = data / "labelsTr"
    arguments = ["evaluate", "--pred", str(labels), "--truth", str(labels), "--labels", "bright=3,dark=207"]
    broken = labels / "ball03.nii.gz"
    broken.write_bytes(broken.read_bytes()[:100])
    assert run([*arguments, "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert f"Not scored: ball03: {broken}" in said or f"Not scored: {broken}" in said
    assert "1 of 4 cases could not be scored" in said
    assert len((tmp_path / "out" / "metrics.csv").read_text().splitlines()) == 1 + 3 * 2


def test_hidden_leftovers_are_no_label_maps_and_no_scans(data: Path) -> None:
    from voxloom.evaluation.folders import label_files
    from voxloom.run.find_scans import find_scans

    (data / "labelsTr" / ".abcdef12-7-xyz.part.nii.gz").write_bytes(b"half")
    assert list(label_files(data / "labelsTr")) == [f"ball{n:02d}" for n in range(4)]
    assert [scan.name for scan in find_scans([data / "labelsTr"], 1)] == [f"ball{n:02d}" for n in range(4)]


def test_training_while_the_clock_goes_backwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.training.fakes import ball_training
    from voxloom.training.fit import fit

    whole = fit(ball_training(tmp_path / "whole", steps=6), device="cpu")
    backwards = itertools.count(2_000_000_000, -3600)
    monkeypatch.setattr(time, "time", lambda: float(next(backwards)))
    other = fit(ball_training(tmp_path / "backwards", steps=6), device="cpu", budget=300)
    assert other.weights_sha256 == whole.weights_sha256 or other.steps != whole.steps
    assert 0 <= other.seconds < 300


def test_a_run_killed_before_its_recipe_can_be_started_again(tmp_path: Path) -> None:
    from voxloom.run.lifecycle import never_started

    folder = tmp_path / "run"
    folder.mkdir()
    for name in (".lock", "plan.md", "data.json", ".abcdef12-7-xyz.part.yaml"):
        (folder / name).write_text("{}")
    assert never_started(folder)
    (folder / "notes.txt").write_text("mine")
    assert not never_started(folder)
    (folder / "notes.txt").unlink()
    (folder / "recipe.yaml").write_text("")
    assert not never_started(folder)


def test_a_scheduler_ends_a_command_in_order() -> None:
    script = (
        "import os, signal, sys, threading, time\n"
        "import voxloom.dataset\n"
        "from voxloom.cli import app\n"
        "def slow(path, series=()):\n"
        "    threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()\n"
        "    time.sleep(60)\n"
        "voxloom.dataset.Dataset = slow\n"
        "sys.argv = ['voxloom', 'inspect', 'somewhere']\n"
        "app.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 130, done.stderr
    assert done.stderr.strip().splitlines()[-1] == "Interrupted."


def test_one_case_without_memory_is_told_by_inspect_and_the_others_are_measured(data: Path) -> None:
    found = fingerprint(with_broken(data, "ball01", "memory"))
    assert [(case.id, "more memory" in str(case.problem)) for case in found.cases if case.problem] == [("ball01", True)]
    assert len(found.readable) == 3


def test_one_case_without_memory_is_told_by_evaluate_and_the_others_are_scored(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from voxloom.evaluation import folders

    real, labels = folders.read_label, str(data / "labelsTr")

    def short(path: Path, like: Volume | None = None) -> Volume:
        if Path(path).name.startswith("ball02"):
            raise MemoryError
        return real(path, like=like)

    monkeypatch.setattr(folders, "read_label", short)
    arguments = ["evaluate", "--pred", labels, "--truth", labels, "--labels", "bright=3,dark=207", "--workers", "1"]
    assert run([*arguments, "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "ball02: evaluating failed: it needs more memory" in said
    assert "1 of 4 cases could not be scored" in said
    assert len((tmp_path / "out" / "metrics.csv").read_text().splitlines()) == 1 + 3 * 2


HOLDER = """
import sys
from pathlib import Path
from voxloom.run.lifecycle import locked
with locked(Path(sys.argv[1])):
    print("working", flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_is_kept_out_of_a_run_until_the_first_is_killed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from voxloom.run.lifecycle import locked

    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "working\n"
        assert run(["train", str(data), "-o", str(folder)]) == 2
        assert (
            capsys.readouterr()
            .err.strip()
            .endswith(f"Error: {folder}: another process is working in this run. Wait for it, or choose another folder")
        )
        holder.kill()
    with locked(folder):
        assert [path.name for path in folder.iterdir()] == [".lock"], "the second process wrote nothing"
