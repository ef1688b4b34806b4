"""The real folders with faults, through the command line: refused with the reason and the remedy, or mended on request."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from voxloom.cli.app import run
from voxloom.dataset import Dataset


@pytest.fixture(scope="module")
def archive(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("real commands") / "archive.parquet"
    folders = [str(data_dir / name) for name in ("dicom-ct-tilt", "dicom-syntaxes")]
    assert run(["index", *folders, "-o", str(path), "--workers", "1"]) == 0
    return path


def rules(folder: Path, text: str) -> str:
    (folder / "rules.yaml").write_text(text)
    return str(folder / "rules.yaml")


def test_gantry_tilt_is_refused_with_the_remedy_and_straightened_on_request(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = "keep: [{name: CT, where: {Modality: CT}}]\nchannels: {CT: {}}\n"
    asked = ["select", str(archive), "-o", str(tmp_path / "out"), "--workers", "1", "-r"]
    assert run([*asked, rules(tmp_path, wanted)]) == 2
    said = capsys.readouterr().err
    assert "the gantry was tilted by 18.5 degrees, and its slices are 1.08, 4, 7 mm apart" in said
    assert "resample_tilt: true" in said
    assert not (tmp_path / "out").exists()
    link = tmp_path / "link.csv"
    assert run([*asked, rules(tmp_path, wanted + "resample_tilt: true\n"), "--link", str(link)]) == 0
    volume = Dataset(tmp_path / "out")[0].read_image()
    assert volume.spacing[2] == pytest.approx(1.08, abs=0.01)
    assert stat.S_IMODE(link.stat().st_mode) == 0o600
    for name in ("flow.txt", "flow.csv", "flow.svg"):
        assert (tmp_path / "out" / "selection" / name).stat().st_size > 100


def test_one_slice_in_nine_syntaxes_is_a_duplicate(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = "keep: [{name: MR, where: {Modality: MR}}]\nchannels: {MR: {}}\n"
    assert (
        run(["select", str(archive), "-o", str(tmp_path / "out"), "--workers", "1", "-r", rules(tmp_path, wanted)]) == 2
    )
    assert "280 slices lie at the position of another, such as image 1 and image 2" in capsys.readouterr().err
    assert run(["select", str(archive), "-r", rules(tmp_path, wanted), "--dry-run", "--json"]) == 0
    steps = {step["name"]: step["instances"] for step in json.loads(capsys.readouterr().out)["steps"]}
    assert steps["MR"] == 9
