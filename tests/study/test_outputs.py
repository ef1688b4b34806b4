"""A prediction is written over predictions only."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxloom.errors import BadInput
from voxloom.run.outputs import NOTE, claim_outputs


def test_earlier_predictions_may_be_written_over(tmp_path: Path) -> None:
    claim_outputs(tmp_path / "out", ["a.nii.gz", "b.nii.gz"], [tmp_path / "a.nii.gz"])
    (tmp_path / "out" / "a.nii.gz").write_text("a prediction")
    claim_outputs(tmp_path / "out", ["a.nii.gz"], [])
    claim_outputs(tmp_path / "out", ["c.nii.gz"], [])
    (tmp_path / "out" / "b.nii.gz").write_text("a prediction")
    claim_outputs(tmp_path / "out", ["b.nii.gz"], [])


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
