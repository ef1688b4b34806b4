"""A prediction is written over predictions only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voxloom.errors import BadInput
from voxloom.study.outputs import NOTE, claim_outputs


def test_earlier_predictions_may_be_written_over(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def noted() -> set[str]:
        return set(json.loads((out / NOTE).read_text())["files"])

    claim_outputs(out, ["a.nii.gz", "b.nii.gz"], [tmp_path / "a.nii.gz"])
    assert noted() == {"a.nii.gz", "b.nii.gz"}
    (out / "a.nii.gz").write_text("a prediction")
    claim_outputs(out, ["a.nii.gz"], [])
    assert (out / "a.nii.gz").read_text() == "a prediction"  # claiming writes nothing but the note
    claim_outputs(out, ["c.nii.gz"], [])
    assert noted() == {"a.nii.gz", "b.nii.gz", "c.nii.gz"}  # what an earlier command claimed stays its own
    (out / "b.nii.gz").write_text("a prediction")
    claim_outputs(out, ["b.nii.gz"], [])
    (out / "d.nii.gz").write_text("the user's")
    with pytest.raises(BadInput, match="it is no earlier prediction"):
        claim_outputs(out, ["b.nii.gz", "d.nii.gz"], [])
    assert noted() == {"a.nii.gz", "b.nii.gz", "c.nii.gz"}


def test_a_scan_is_never_written_over(tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii.gz"
    scan.write_text("a scan")
    claim_outputs(tmp_path / "out", ["scan.nii.gz"], [scan])
    (tmp_path / "link").symlink_to(tmp_path)
    for out in (tmp_path, tmp_path / "link", tmp_path / "out" / ".."):
        with pytest.raises(BadInput, match="over its own scan"):
            claim_outputs(out, ["scan.nii.gz"], [scan])
    assert not (tmp_path / NOTE).exists()


@pytest.mark.parametrize("note", [None, "{}", "[1", '{"files": ["other.nii.gz"]}'])
def test_a_file_of_the_users_is_never_written_over(note: str | None, tmp_path: Path) -> None:
    (tmp_path / "case.nii.gz").write_text("a label map")
    if note is not None:
        (tmp_path / NOTE).write_text(note)
    with pytest.raises(BadInput, match="it is no earlier prediction"):
        claim_outputs(tmp_path, ["case.nii.gz"], [])
