"""A prediction is written over predictions of its own scan only."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxloom.errors import BadInput
from voxloom.run.outputs import NOTE, Origin, claim_outputs


def origin(path: Path, content: str | None = None) -> Origin:
    """A scan of one file, which is written where content is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is not None or not path.exists():
        path.write_text(content or path.name)
    return Origin(path, [path])


def claim(out: Path, **origins: Origin) -> list[str]:
    """Claim ``NAME.nii.gz`` for each origin; what was told."""
    told: list[str] = []
    claim_outputs(out, {f"{name}.nii.gz": one for name, one in origins.items()}, told.append)
    return told


def test_earlier_predictions_may_be_written_over(tmp_path: Path) -> None:
    out = tmp_path / "out"
    scans = {name: origin(tmp_path / f"{name}.nii.gz") for name in "abc"}
    assert claim(out, a=scans["a"], b=scans["b"]) == []
    (out / "a.nii.gz").write_text("a prediction")
    assert claim(out, a=scans["a"]) == claim(out, c=scans["c"]) == []
    (out / "b.nii.gz").write_text("a prediction")
    assert claim(out, b=scans["b"]) == []


def test_the_prediction_of_another_scan_is_never_written_over(tmp_path: Path) -> None:
    out, one, other = (
        tmp_path / "out",
        origin(tmp_path / "p1" / "s.nii", "one"),
        origin(tmp_path / "p2" / "s.nii", "two"),
    )
    claim(out, s=one)
    (out / "s.nii.gz").write_text("a prediction")
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
