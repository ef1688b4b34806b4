"""Every verb that does many small works writes the same bytes on a cluster of two nodes as on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.study.conftest import TINY, write_balls
from voxloom.cli.app import run

#: Steps that show equality as well as a whole training would.
FEW = {**TINY, "training.steps": 3, "training.validations": 1, "folds.count": 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_balls(tmp_path_factory.mktemp("balls") / "set", 4)


@pytest.fixture(scope="module")
def runs(cluster: Any, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """Three folds trained here, and on the cluster; torch has one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("runs")
    changes = [word for key, value in FEW.items() for word in ("--set", f"{key}={value}")]
    for name, on in (("here", "local"), ("there", f"ray:{cluster.address}")):
        assert run(["train", str(data), "-o", str(root / name), *changes, "--on", on]) == 0
    yield root / "here", root / "there"
    torch.set_num_threads(before)


def contents(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Hash by path of the files below a folder that match."""
    found = sorted({path for name in names for path in folder.rglob(name) if path.is_file()})
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def test_folds_have_the_same_weights_and_predictions(runs: tuple[Path, Path]) -> None:
    here, there = (contents(one, ("model.safetensors", "*.nii.gz", "metrics.csv", "splits_final.json")) for one in runs)
    assert len([name for name in here if name.endswith("model.safetensors")]) == 3
    assert len([name for name in here if name.endswith(".nii.gz")]) == 4
    assert here == there


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("predict RUN SCANS -o OUT --maps --uncertainty folds", "*.nii.gz uncertainty.csv"),
        ("evaluate RUN DATA -o OUT", "*.nii.gz metrics.csv"),
        ("evaluate --pred LABELS --truth LABELS -o OUT", "metrics.csv statistics.json"),
        ("stress RUN -o OUT --only noise --cases 2", "stress.csv"),
        ("rank RUN SCANS -o OUT/rank.csv --members folds", "rank.csv"),
        ("prepare DATA -r auto -o OUT", "*.voxcase"),
    ],
)
def test_a_verb_writes_the_same_bytes(
    line: str, files: str, runs: tuple[Path, Path], data: Path, cluster: Any, tmp_path: Path
) -> None:
    unseen = tmp_path / "unseen"
    write_balls(unseen, 6)
    for n in range(4):  # the first four are the run's own cases
        (unseen / "imagesTr" / f"ball{n:02d}_0000.nii.gz").unlink()
        (unseen / "labelsTr" / f"ball{n:02d}.nii.gz").unlink()
    found = []
    for name, on in (("here", "local"), ("there", f"ray:{cluster.address}")):
        (tmp_path / name).mkdir()
        places = {"RUN": runs[0], "SCANS": unseen / "imagesTr", "DATA": unseen, "LABELS": unseen / "labelsTr"}
        words = [word.replace("OUT", str(tmp_path / name)) for word in line.split()]
        assert run([str(places.get(word, word)) for word in words] + ["--on", on]) == 0
        found.append(contents(tmp_path / name, files.split()))
    assert found[0] == found[1] != {}


def test_index_and_select_write_the_same_bytes(cluster: Any, tmp_path: Path) -> None:
    from tests.archive.phantom_archive import SERIES, _write_series

    for patient in range(2):
        _write_series(tmp_path / "dicom", patient, 0, SERIES[0])
    (tmp_path / "rules.yaml").write_text("channels: {MR: {where: {Modality: MR}}}\n")
    found = []
    for name, on in (("here", "local"), ("there", f"ray:{cluster.address}")):
        out = tmp_path / name
        archive, key = str(out / "archive.parquet"), str(tmp_path / "key")
        assert run(["index", str(tmp_path / "dicom"), "-o", archive, "--on", on]) == 0
        made = ["select", archive, "-r", str(tmp_path / "rules.yaml"), "-o", str(out / "set"), "--key", key]
        assert run([*made, "--on", on]) == 0
        found.append(contents(out, ("archive.parquet", "*.nii.gz", "cases.csv")))
    assert len(found[0]) == 4
    assert found[0] == found[1]


def test_workers_are_of_this_machine_only(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["index", str(tmp_path), "-o", str(tmp_path / "a.parquet"), "--workers", "2", "--on", "ray"]) == 2
    assert capsys.readouterr().err == "Error: --workers is for --on local. Leave it out: a cluster uses all its CPUs\n"
    assert not (tmp_path / "a.parquet").exists()
