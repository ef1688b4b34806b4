"""Where Voxloom runs: no network, no home folder, a read-only installation, paths with spaces and accents, hostile files."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import voxloom
from tests.faults.kills import TINY
from tests.study.conftest import write_balls
from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.formats import read_volume

SOURCES = sorted(Path(voxloom.__file__).parent.rglob("*.py"))

#: Ends every attempt to reach the network, or to write beside the installed code, and tells of it.
GUARD = """
import os, sys
from pathlib import Path
import voxloom

FORBIDDEN = (str(Path(voxloom.__file__).parent), sys.prefix)

def watch(event, details):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind", "urllib.Request"):
        if not (event == "socket.connect" and isinstance(details[1], (str, bytes))):
            raise RuntimeError(f"network: {event} {details[1:]}")
    if event == "open" and isinstance(details[0], str) and details[0].startswith(FORBIDDEN):
        if isinstance(details[1], str) and set(details[1]) & set("wax+"):
            raise RuntimeError(f"the installation is written to: {details[0]}")

sys.addaudithook(watch)
from voxloom.cli.app import run
"""


def guarded(script: str, folder: Path, *arguments: str) -> str:
    """Run Python code under the guard, without a home folder; what it prints."""
    (folder / "a file").write_text("where a home folder would be")
    home = str(folder / "a file" / "home")
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("XDG", "MPL", "HF_", "TORCH", "VOXLOOM")) and key not in ("HOME", "USERPROFILE")
    }
    environment |= {"HOME": home, "USERPROFILE": home, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", GUARD + script, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "RuntimeError" not in done.stderr, done.stderr
    return done.stdout


def test_a_whole_study_without_network_and_home(tmp_path: Path) -> None:
    folder = tmp_path / "Ordner mit Umlaut ü und 空白"
    data = write_balls(folder / "data set é", 4)
    sets = [f"--set={key}={value}" for key, value in TINY.items()]
    script = f"""
sets = {sets!r}
commands = [
    ["inspect", {str(data)!r}, "-o", "seite ü.html"],
    ["train", {str(data)!r}, "-o", "lauf ü", "--device", "cpu", *sets],
    ["predict", "lauf ü", {str(data / "imagesTr" / "ball00_0000.nii.gz")!r}, "-o", "aus ü", "--ending", ".mha"],
    ["evaluate", "lauf ü"],
]
for command in commands:
    assert run(command) == 0, command
"""
    out = guarded(script, folder)
    assert "seite ü.html" in out
    assert (folder / "lauf ü" / "report.html").is_file()
    assert read_volume(folder / "aus ü" / "ball00.mha").shape == read_volume(next(data.glob("imagesTr/ball00*"))).shape


def test_the_guard_bites(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"network: socket\.getaddrinfo"):
        guarded("import socket\nsocket.getaddrinfo('example.org', 80)\n", tmp_path)
    with pytest.raises(AssertionError, match="the installation is written to"):
        guarded("open(Path(voxloom.__file__).parent / 'new.txt', 'w')\n", tmp_path)


def test_workers_are_spawned_never_forked() -> None:
    pattern = re.compile(
        r"os\.fork|get_context\((?![\"']spawn)|ProcessPoolExecutor\((?!.*spawn)|multiprocessing\.Pool\("
    )
    hits = [
        f"{path.name}: {line.strip()}"
        for path in SOURCES
        for line in path.read_text().splitlines()
        if pattern.search(line)
    ]
    assert hits == []


class Payload:
    """What a hostile pickle does when it is loaded: it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.canary,)  # type: ignore[return-value]


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "scan.mha", "scan.nrrd", "scan.png", "scan.dcm"])
def test_a_pickle_in_disguise_is_never_loaded(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (tmp_path / name).write_bytes(pickle.dumps(Payload(canary)))
    with pytest.raises(BadInput):
        read_volume(tmp_path / name)
    assert not canary.exists()


def test_pickled_arrays_tables_and_recipes_are_never_loaded(tmp_path: Path) -> None:
    from voxloom.recipe.recipe import Recipe

    canary = tmp_path / "canary"
    objects = np.array([Payload(canary)], dtype=object)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as packed, packed.open("train_images.npy", "w") as f:
        np.lib.format.write_array(f, objects, allow_pickle=True)
    (tmp_path / "cases.parquet").write_bytes(pickle.dumps(Payload(canary)))
    (tmp_path / "r.yaml").write_text(f"name: !!python/object/apply:pathlib.Path.touch [{canary}]\n")
    for open_it in (lambda: Dataset(tmp_path / "a.npz"), lambda: Dataset(tmp_path / "cases.parquet")):
        with pytest.raises(BadInput):
            open_it()
    with pytest.raises(BadInput, match="not valid YAML"):
        Recipe.load(tmp_path / "r.yaml")
    assert not canary.exists()
    pickle.loads(pickle.dumps(Payload(canary)))
    assert canary.exists(), "the payload would have worked"
