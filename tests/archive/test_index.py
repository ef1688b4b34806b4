"""Indexing: whole, incremental, resumed, of broken archives, and what is told of each series."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest

from voxloom.archive import Archive, index_archive
from voxloom.archive import index as indexing
from voxloom.archive.catalogue import is_stale, problems_path
from voxloom.cli.app import run
from voxloom.errors import BadInput, VoxloomError

from .make import header, save, uid
from .phantom_archive import PATIENTS

REAL = ("brain-dicom", "dicom-trio", "ct-torso", "dicom-ct-tilt", "dicom-syntaxes")
#: description, images, slices, volumes, spacing, plane, oblique, weighting, contrast, derived, secondary, faults
EXPECTED = {
    ("T1post", 22, 22, 1, 6.5, "axial", 15.4, "T1", True, False, False, ""),
    ("HippoCrop", 32, 32, 1, 1.0, "axial", 0.0, None, None, True, False, ""),
    ("T1pre_reg", 22, 22, 1, 6.5, "axial", 15.4, "T1", False, False, False, ""),
    ("FLAIR_reg", 22, 22, 1, 6.5, "axial", 15.4, "FLAIR", None, False, False, ""),
    ("T2_reg", 22, 22, 1, 6.5, "axial", 15.4, "T2", None, False, False, ""),
    ("T1post", 24, 24, 1, 6.5, "axial", 5.0, "T1", True, False, False, ""),
    ("HippoCrop", 35, 35, 1, 1.0, "axial", 0.0, None, None, True, False, ""),
    ("dT1", 24, 24, 1, 6.5, "axial", 5.0, None, None, True, True, ""),
    ("FLAIR_reg", 24, 24, 1, 6.5, "axial", 5.0, "FLAIR", None, False, False, ""),
    ("T2_reg", 24, 24, 1, 6.5, "axial", 5.0, "T2", None, False, False, ""),
    ("gre_field_mapping", 36, 36, 2, 3.6, "axial", 0.9, "field map", None, False, False,
     "echoes at different positions"),
    ("gre_field_mapping", 36, 36, 1, 3.6, "axial", 0.9, "field map", None, False, False, ""),
    ("t1_MPRAGEcr_noGRAPPA", 176, 176, 1, 1.0, "sagittal", 5.8, "T1", None, False, False, ""),
    ("CT Body 3.0", 20, 20, 1, 2.0, "axial", 0.0, None, True, False, False, ""),
    (None, 28, 28, 1, 4.002, "axial", 18.5, None, None, False, False,
     "unevenly spaced slices; slices lean by 18.5 degrees (gantry tilt)"),
    ("ax_asc_35sl", 9, 1, 1, None, "axial", 6.2, "T2*", None, False, False,
     "mosaics: many slices in one picture, which are not counted here; 8 images at the position of another"),
}  # fmt: skip


@pytest.fixture(scope="module")
def real(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    path = tmp_path_factory.mktemp("real") / "archive.parquet"
    found = index_archive([data_dir / name for name in REAL], path, workers=1)
    assert (found.instances, found.others, found.problems, found.read) == (556, 2, 0, 558)
    return Archive(path)


def test_series_of_the_real_folders(real: Archive) -> None:
    rows = real.query(
        """SELECT SeriesDescription, images, derived_slices, derived_volumes, derived_spacing, derived_plane,
           derived_oblique_degrees, derived_weighting, derived_contrast,
           derived_derived, derived_secondary_capture, derived_faults FROM series"""
    )
    assert len(rows) == len(EXPECTED)
    assert {tuple(row.values()) for row in rows} == EXPECTED


def test_more_of_the_real_series(real: Archive) -> None:
    rows = {
        (row["SeriesDescription"], row["images"]): row
        for row in real.query("SELECT * FROM series ORDER BY SeriesNumber")
    }
    post = rows["T1post", 22]
    assert (post["SliceThickness"], post["SpacingBetweenSlices"], post["derived_spacing"]) == (5.0, 6.5, 6.5)
    assert (post["derived_vendor"], post["derived_field_strength"], post["derived_body_part"]) == ("GE", 3.0, "brain")
    assert (post["derived_weighting_evidence"], post["derived_weighting_confidence"]) == ("description and times", 0.95)
    ct = rows["CT Body 3.0", 20]
    assert not ct["derived_spacing_header_wrong"], "slices of 3 mm, 2 mm apart, overlap: no header says otherwise"
    assert (ct["SliceThickness"], ct["derived_spacing"], ct["derived_burned_in"]) == (3.0, 2.0, "unknown")
    assert ct["SeriesInstanceUID"].startswith("no-uid:")
    assert rows["dT1", 24]["derived_burned_in"] == "suspected"
    echoes = real.query("SELECT derived_echo_times FROM series WHERE derived_multi_echo")
    assert echoes == [{"derived_echo_times": [4.92, 7.38]}]
    assert real.query("SELECT count(*) AS n FROM series WHERE derived_duplicate_of IS NOT NULL") == [{"n": 0}]
    assert rows[None, 28]["GantryDetectorTilt"] is not None or rows[None, 28]["derived_tilt_degrees"] == 18.5


def test_kept_series_table_is_what_the_view_says(real: Archive, tmp_path: Path) -> None:
    assert not is_stale(real.path)
    alone = tmp_path / "archive.parquet"
    shutil.copy(real.path, alone)
    assert is_stale(alone)
    order = "ORDER BY SeriesInstanceUID"
    assert Archive(alone).query(f"SELECT * FROM series {order}") == real.query(f"SELECT * FROM series {order}")


def test_counts_of_the_phantom_archive(phantom: Archive) -> None:
    counts = phantom.counts()
    assert (counts.patients, counts.studies, counts.series) == (PATIENTS, PATIENTS, PATIENTS * 6 + 1)
    rows = phantom.query(
        """SELECT derived_plane, derived_weighting, count(*) AS n FROM series WHERE NOT derived_localizer
           GROUP BY ALL ORDER BY derived_plane, derived_weighting"""
    )
    assert [tuple(row.values()) for row in rows] == [
        ("axial", "T1", 40), ("axial", "T2", 40), ("coronal", "T2", 40), ("sagittal", "T1", 41), ("sagittal", "T2", 39),
        ("sagittal", None, 1),
    ]  # fmt: skip
    assert phantom.query("SELECT count(*) AS n FROM series WHERE localizer")[0]["n"] == 40


def test_faults_of_the_phantom_archive(phantom: Archive) -> None:
    rows = phantom.query(
        "SELECT PatientID, derived_faults FROM series WHERE NOT derived_complete AND NOT derived_localizer ORDER BY PatientID"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("ID000", "1 slice missing"),
        ("ID001", "1 image at the position of another"),
        ("ID002", "unevenly spaced slices"),
        ("ID008", "1 slice missing"),
    ]
    again = phantom.query(
        "SELECT PatientID, derived_duplicate_of, SeriesInstanceUID FROM series WHERE derived_duplicate_of IS NOT NULL"
    )
    assert [row["PatientID"] for row in again] == ["ID003"]
    assert {again[0]["derived_duplicate_of"], again[0]["SeriesInstanceUID"]} == {uid("series", 3, 0), uid("again")}
    copies = phantom.query("SELECT PatientID, derived_copies, derived_slices FROM series WHERE derived_copies > 0")
    assert [tuple(row.values()) for row in copies] == [("ID004", 6, 6)]
    with problems_path(phantom.path).open(encoding="utf-8") as f:
        broken = [Path(row["file"]).name for row in csv.DictReader(f)]
    assert broken == ["noise", "004"] or broken == ["004", "noise"]


def test_weighting_without_and_against_words(phantom: Archive) -> None:
    rows = phantom.query(
        """SELECT PatientID, derived_weighting, derived_weighting_evidence, derived_weighting_confidence FROM series
           WHERE derived_weighting_confidence < 0.95 AND NOT derived_localizer ORDER BY PatientID"""
    )
    assert [tuple(row.values()) for row in rows] == [
        ("ID011", "T1", "times", 0.7),
    ]  # fmt: skip
    against = phantom.query(
        "SELECT derived_weighting, derived_weighting_evidence AS why FROM series WHERE PatientID = 'ID012'"
    )
    assert {"derived_weighting": None, "why": "description says T1, times say T2"} in against


def test_names_shared_by_patients(phantom: Archive) -> None:
    rows = phantom.query(
        "SELECT PatientID, derived_possibly_the_same, derived_namesakes FROM patients WHERE derived_namesakes > 0 ORDER BY ALL"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("ID004", [], 1), ("ID005", [], 1), ("ID006", ["ID007"], 1), ("ID007", ["ID006"], 1),
    ]  # fmt: skip


def test_members_of_containers_are_rows(phantom: Archive) -> None:
    rows = phantom.query(
        "SELECT file, count(*) AS n FROM instances WHERE member IS NOT NULL GROUP BY file ORDER BY file"
    )
    assert [(Path(row["file"]).name, row["n"]) for row in rows] == [("nine.zip", 33), ("ten.tar.gz", 33)]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    for n in range(6):
        save(header(SOPInstanceUID=uid(n), ImagePositionPatient=[0, 0, 3 * n]), tmp_path / "in" / f"{n}")
    return tmp_path / "in"


def test_second_run_reads_only_what_is_new(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "archive.parquet"
    assert index_archive([small], path).read == 6
    again = index_archive([small], path)
    assert (again.read, again.removed, again.instances) == (0, 0, 6)
    (small / "5").unlink()
    save(header(SOPInstanceUID=uid("new")), small / "new")
    changed = small / "0"
    save(header(SOPInstanceUID=uid("other"), PatientID="P2"), changed)
    os.utime(changed, ns=(1, 1))
    third = index_archive([small], path)
    assert (third.read, third.removed, third.instances) == (2, 1, 6)
    assert {row["PatientID"] for row in Archive(path).query("SELECT PatientID FROM instances")} == {"P1", "P2"}


def test_other_folders_stay(small: Path, tmp_path: Path) -> None:
    path = tmp_path / "archive.parquet"
    save(header(PatientID="P9", SOPInstanceUID=uid("nine")), tmp_path / "more" / "9")
    index_archive([small], path)
    found = index_archive([tmp_path / "more"], path)
    assert (found.read, found.removed, found.instances) == (1, 0, 7)


@pytest.mark.parametrize("moment", ["after a batch", "between archive and ledger"])
def test_interrupted_run_goes_on(moment: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "archive.parquet"
    real_merge, real_path = indexing._merge, indexing.ledger_path

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    if moment == "after a batch":
        monkeypatch.setattr(indexing, "_merge", killed)
    else:
        monkeypatch.setattr(indexing, "derive_series", killed)
    with pytest.raises(KeyboardInterrupt):
        index_archive([small], path)
    monkeypatch.setattr(indexing, "_merge", real_merge)
    monkeypatch.setattr(indexing, "ledger_path", real_path)
    monkeypatch.undo()
    save(header(SOPInstanceUID=uid("late")), small / "late")
    found = index_archive([small], path)
    assert (found.read, found.instances) == (1, 7)
    assert not path.with_name("archive.parquet.work").exists()


def test_failed_batch_is_named_and_nothing_is_lost(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "archive.parquet"

    def failing(folder: str, number: int) -> int:
        raise MemoryError

    monkeypatch.setattr(indexing, "read_batch", failing)
    with pytest.raises(VoxloomError, match="batch 1 of 1: reading headers failed: it needs more memory"):
        index_archive([small], path)
    monkeypatch.undo()
    assert index_archive([small], path).instances == 6


def test_empty_folder_is_an_empty_archive(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert index_archive([tmp_path / "in"], tmp_path / "a.parquet").instances == 0
    assert Archive(tmp_path / "a.parquet").counts().series == 0


def test_damaged_containers_are_problems(small: Path, tmp_path: Path) -> None:
    (small / "broken.zip").write_bytes(b"PK\x03\x04 no zip at all")
    (small / "broken.tar.gz").write_bytes(b"\x1f\x8b nothing")
    found = index_archive([small], tmp_path / "a.parquet")
    assert (found.problems, found.instances) == (2, 6)
    assert "cannot be unpacked" in problems_path(tmp_path / "a.parquet").read_text(encoding="utf-8")


def test_links_are_followed_once(small: Path, tmp_path: Path) -> None:
    (small / "loop").symlink_to(small, target_is_directory=True)
    assert index_archive([small], tmp_path / "a.parquet").instances == 6


def test_what_links_lead_to_counts_once(small: Path, tmp_path: Path) -> None:
    """Links to files and folders of the tree, hard links, links to links and between two trees make no rows."""
    file = next(p for p in sorted(small.rglob("*")) if p.is_file())
    (small / "linked file").symlink_to(file)
    (small / "a linked folder").symlink_to(file.parent, target_is_directory=True)
    (small / "hard").hardlink_to(file)
    other = tmp_path / "other"
    other.mkdir()
    (other / "to the first").symlink_to(small, target_is_directory=True)
    (other / "broken link").symlink_to(tmp_path / "nowhere")
    found = index_archive([small, other], tmp_path / "a.parquet")
    assert (found.instances, found.problems) == (6, 1)
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("one", "two"):
        (outside / name).symlink_to(small, target_is_directory=True)
    assert index_archive([outside], tmp_path / "b.parquet").instances == 6


def test_a_question_that_cannot_be_answered(phantom: Archive, tmp_path: Path) -> None:
    for sql in ("SELECT nothing FROM series", "SELEC 1", "SELECT * FROM nowhere", "SELECT CAST('a' AS INTEGER)"):
        with pytest.raises(BadInput, match="the question cannot be answered") as caught:
            phantom.query(sql)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("description", "sequence", "repetition", "echo", "weighting"),
    [
        ("T1 sag", "SE", 3600, 105, None),
        ("T1 sag", None, 3600, 105, None),
        ("T1 sag", "SE", 600, 12, "T1"),
        ("T2 sag", "SE", 500, 12, None),
        ("T2 sag", None, 500, 12, None),
        ("PD sag", "SE", 3000, 100, None),
        ("FLAIR", "SE", 600, 12, None),
        ("t1_mprage", "GR", 2300, 3, "T1"),
        ("stir sag", "SE", 4000, 70, "STIR"),
        ("sag", "SE", 3600, 105, "T2"),
    ],
)
def test_words_that_the_times_refute_name_no_weighting(
    description: str, sequence: str | None, repetition: float, echo: float, weighting: str | None, tmp_path: Path
) -> None:
    words = {"SeriesDescription": description, "ScanningSequence": sequence}
    save(header(**words, RepetitionTime=repetition, EchoTime=echo), tmp_path / "in" / "a")
    index_archive([tmp_path / "in"], tmp_path / "a.parquet")
    (row,) = Archive(tmp_path / "a.parquet").query(
        "SELECT derived_weighting, derived_weighting_evidence AS why FROM series"
    )
    assert row["derived_weighting"] == weighting
    if weighting is None:
        assert row["why"].startswith(f"description says {description.split()[0]}, times say ")


@pytest.mark.parametrize(("told", "wrong"), [(None, False), (2.5, False), (-2.5, False), (5.0, True), (0.0, False)])
def test_overlapping_slices_are_not_a_wrong_spacing(told: float | None, wrong: bool, tmp_path: Path) -> None:
    for k in range(4):
        about = {"ImagePositionPatient": [0, 0, 2.5 * k], "SliceThickness": 5, "SpacingBetweenSlices": told}
        save(header(**about), tmp_path / "in" / f"{k}")
    index_archive([tmp_path / "in"], tmp_path / "a.parquet")
    (row,) = Archive(tmp_path / "a.parquet").query(
        "SELECT derived_spacing, derived_spacing_header_wrong AS wrong FROM series"
    )
    assert row == {"derived_spacing": 2.5, "wrong": wrong}


def test_refusals(small: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"is not a \.parquet file"):
        index_archive([small], tmp_path / "a.csv")
    with pytest.raises(BadInput, match="does not exist"):
        index_archive([tmp_path / "nowhere"], tmp_path / "a.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(BadInput, match="is not a Parquet file"):
        Archive(tmp_path / "text.parquet")
    with pytest.raises(BadInput, match="voxloom index"):
        Archive(tmp_path / "none.parquet")


def test_two_runs_at_once_are_refused(small: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    work = tmp_path / "a.parquet.work"
    work.mkdir()
    with FileLock(work / "lock"), pytest.raises(BadInput, match="another run is indexing"):
        index_archive([small], tmp_path / "a.parquet")


def test_command(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.parquet"
    assert run(["index", str(small), "-o", str(out)]) == 0
    captured = capsys.readouterr()
    assert "6 instances in 1 series, 1 studies, 1 patients" in captured.out
    assert "T1" in captured.err
    assert run(["index", str(small), "-o", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["instances"], facts["read"], facts["series"]) == (6, 0, 1)
    assert run(["index", str(tmp_path / "none"), "-o", str(out)]) == 2


def test_a_folder_without_dicom_leaves_no_archive_behind(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, broken = tmp_path / "plain", tmp_path / "broken"
    for folder in (plain, broken):
        folder.mkdir()
    (plain / "notes.txt").write_text("no DICOM")
    (broken / "half.dcm").write_bytes(next(p for p in small.rglob("*") if p.is_file()).read_bytes()[:200])
    made = tmp_path / "made"
    made.mkdir()
    assert run(["index", str(plain), "-o", str(made / "a.parquet")]) == 2
    assert "no DICOM file was found (1 others)" in capsys.readouterr().err
    assert list(made.iterdir()) == []
    assert run(["index", str(broken), "-o", str(made / "a.parquet")]) == 2
    assert "1 are broken" in capsys.readouterr().err
    assert [path.name for path in made.iterdir()] == ["a.problems.csv"]


def test_an_archive_whose_files_went_is_kept(small: Path, tmp_path: Path) -> None:
    moved, out = tmp_path / "moved", tmp_path / "a.parquet"
    shutil.copytree(small, moved)
    assert run(["index", str(moved), "-o", str(out)]) == 0
    for path in [p for p in moved.rglob("*") if p.is_file()]:
        path.unlink()
    (moved / "notes.txt").write_text("no DICOM")
    assert run(["index", str(moved), "-o", str(out)]) == 2
    assert Archive(out).counts().instances == 0
