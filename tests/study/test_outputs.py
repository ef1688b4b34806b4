"""A prediction is written over predictions of its own scan only, and what was not written is not noted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.study.conftest import Trained
from voxloom.cli.app import run
from voxloom.errors import BadInput
from voxloom.formats import write_volume
from voxloom.run.outputs import NOTE, Origin, claim_outputs
from voxloom.volume import Volume


def origin(path: Path, content: str | None = None) -> Origin:
    """A scan of one file, which is written where content is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is not None or not path.exists():
        path.write_text(content or path.name)
    return Origin(path, [path])


def claim(out: Path, *, written: str | None = None, **origins: Origin) -> list[str]:
    """Claim ``NAME.nii.gz`` for each origin, and write those of ``written`` (letters; all where it is None); what was told."""
    told: list[str] = []
    with claim_outputs(out, {f"{name}.nii.gz": one for name, one in origins.items()}, told.append):
        for name in origins if written is None else written:
            (out / "new").write_text("a prediction")
            (out / "new").replace(out / f"{name}.nii.gz")
    return told


def noted(out: Path) -> list[str]:
    return [name.removesuffix(".nii.gz") for name in json.loads((out / NOTE).read_text())["files"]]


def test_earlier_predictions_may_be_written_over(tmp_path: Path) -> None:
    out = tmp_path / "out"
    scans = {name: origin(tmp_path / f"{name}.nii.gz") for name in "abc"}
    assert claim(out, a=scans["a"], b=scans["b"]) == []
    assert claim(out, a=scans["a"]) == claim(out, c=scans["c"]) == []
    assert claim(out, b=scans["b"]) == []
    assert noted(out) == ["a", "b", "c"]


def test_the_prediction_of_another_scan_is_never_written_over(tmp_path: Path) -> None:
    out, one, other = (
        tmp_path / "out",
        origin(tmp_path / "p1" / "s.nii", "one"),
        origin(tmp_path / "p2" / "s.nii", "two"),
    )
    claim(out, s=one)
    with pytest.raises(BadInput, match=r"s\.nii\.gz: is the prediction of another scan, .*p1.s\.nii"):
        claim(out, s=other)
    copy = origin(tmp_path / "p3" / "s.nii", "one")
    assert claim(out, s=copy) == []
    (told,) = claim(out, s=origin(copy.path, "changed"))
    assert "s.nii.gz is predicted anew" in told
    assert claim(out, s=Origin(copy.path, [copy.path], ("T2",))) != []
    (out / "s.nii.gz").unlink()
    assert claim(out, s=other) == []


def test_a_folder_of_an_earlier_version_says_no_scans(tmp_path: Path) -> None:
    (tmp_path / NOTE).write_text('{"files": ["s.nii.gz"]}')
    (tmp_path / "s.nii.gz").write_text("a prediction")
    assert claim(tmp_path, s=origin(tmp_path / "scans" / "s.nii")) == []


def test_a_scan_is_never_written_over(tmp_path: Path) -> None:
    scan = origin(tmp_path / "scan.nii.gz", "a scan")
    claim(tmp_path / "out", scan=scan)
    (tmp_path / "link").symlink_to(tmp_path)
    for out in (tmp_path, tmp_path / "link", tmp_path / "out" / ".."):
        with pytest.raises(BadInput, match="over its own scan"):
            claim(out, scan=scan)
    assert not (tmp_path / NOTE).exists()


@pytest.mark.parametrize("note", [None, "{}", "[1", '{"files": ["other.nii.gz"]}'])
def test_a_file_of_the_users_is_never_written_over(note: str | None, tmp_path: Path) -> None:
    (tmp_path / "case.nii.gz").write_text("a label map")
    if note is not None:
        (tmp_path / NOTE).write_text(note)
    with pytest.raises(BadInput, match="it is not an earlier prediction"):
        claim(tmp_path, case=origin(tmp_path / "scans" / "case.nii"))


def test_what_was_not_written_is_not_noted(tmp_path: Path) -> None:
    scans = {name: origin(tmp_path / f"{name}.nii.gz") for name in "abc"}
    claim(tmp_path / "none", written="", **scans)
    assert not (tmp_path / "none").exists(), "the folder was made in vain"
    out = tmp_path / "out"
    claim(out, written="a", **scans)
    assert noted(out) == ["a"]
    before = (out / NOTE).read_bytes()
    claim(out, written="", a=origin(scans["a"].path, "changed"), b=scans["b"])
    assert (out / NOTE).read_bytes() == before, "the earlier prediction is still that of the earlier scan"


def test_work_that_is_killed_can_be_begun_again(tmp_path: Path) -> None:
    one = origin(tmp_path / "a.nii.gz")
    with claim_outputs(tmp_path / "out", {"a.nii.gz": one}, print):
        assert noted(tmp_path / "out") == ["a"], "noted before it is written"


def test_a_refused_prediction_leaves_nothing(trained: Trained, tmp_path: Path) -> None:
    two = write_volume(Volume(np.zeros((2, 12, 12, 12), np.float32), np.eye(4)), tmp_path / "two.nrrd")
    assert run(["predict", str(trained.run.folder), str(two), "-o", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
    scan = trained.unseen / "imagesTr" / "ball12_0000.nii.gz"
    assert run(["predict", str(trained.run.folder), str(scan), "-o", str(tmp_path / "out"), "--no-quality"]) == 0
    files = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*")}
    assert run(["predict", str(trained.run.folder), str(two), "-o", str(tmp_path / "out")]) == 2
    assert {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*")} == files
