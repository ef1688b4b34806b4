"""An archive that was cut by month or site answers every question as the whole one does."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxloom.archive import Archive
from voxloom.archive.partition import folder_of, partition
from voxloom.cli.app import run
from voxloom.errors import BadInput

from .phantom_archive import index_few

QUESTIONS = (
    "SELECT SeriesInstanceUID, instances, derived_plane, derived_spacing FROM series ORDER BY ALL",
    "SELECT SOPInstanceUID, SeriesInstanceUID, PatientID FROM instances ORDER BY ALL",
    "SELECT StudyInstanceUID, series, instances FROM studies ORDER BY ALL",
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return index_few(tmp_path_factory.mktemp("archive"), 3)


@pytest.mark.parametrize("by", ["month", "site"])
def test_a_cut_archive_answers_as_the_whole(archive: Path, by: str) -> None:
    cut = partition(archive, by)  # type: ignore[arg-type]
    assert cut == folder_of(archive, by) == archive.parent / f"archive.by-{by}"  # type: ignore[arg-type]
    assert list(cut.glob("part=*/*.parquet"))
    assert partition(archive, by) == cut  # type: ignore[arg-type]
    for question in QUESTIONS:
        assert Archive(cut).query(question) == Archive(archive).query(question) != []
    assert Archive(cut).counts() == Archive(archive).counts()


def test_parts_are_months_of_studies(archive: Path) -> None:
    found = Archive(partition(archive, "month")).query("SELECT DISTINCT part, StudyDate FROM instances")
    for row in found:
        date = row["StudyDate"]
        assert row["part"] == ("unknown" if date is None else f"{date[:4]}-{date[4:6]}")


def test_the_command_cuts_and_select_reads_the_folder(archive: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    assert run(["index", str(archive.parent / "dicom"), "-o", str(out), "--partition", "month", "--workers", "1"]) == 0
    (tmp_path / "rules.yaml").write_text("channels: {MR: {where: {Modality: MR}}}\n")
    for source in (out, tmp_path / "a.by-month"):
        assert run(["select", str(source), "-r", str(tmp_path / "rules.yaml"), "--dry-run"]) == 0


def test_what_is_cut_is_not_cut_again(archive: Path) -> None:
    with pytest.raises(BadInput, match=r"is cut already. Give the archive\.parquet"):
        partition(partition(archive, "site"), "month")
