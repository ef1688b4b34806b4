"""Columns carry the keywords of the standard or say that they are derived, and the names before them stay readable."""

from __future__ import annotations

import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from pydicom.datadict import dictionary_has_tag, keyword_for_tag, tag_for_keyword

from voxloom.archive import Archive, SelectRules, index_archive, load_rules, use_old_names
from voxloom.archive import index as indexing
from voxloom.archive.attach import read_attached
from voxloom.archive.catalogue import is_stale, ledger_path, series_path
from voxloom.archive.choose import choose
from voxloom.archive.columns import ALL_ELEMENTS, COLUMNS, OLD_COLUMNS
from voxloom.archive.conditions import sql_of
from voxloom.archive.database import connect, quoted
from voxloom.archive.names import OLD_NAMES, renamed
from voxloom.archive.partition import partition
from voxloom.cli.app import run
from voxloom.errors import BadInput
from voxloom.notes import collect

from .make import header, save, uid
from .phantom_archive import index_few

#: An archive of two patients of ``phantom_archive``, as the version before the keywords wrote it.
KEPT = Path(__file__).parent.parent / "fixtures" / "archive-format-0" / "archive.parquet"
TABLES = ("instances", "series", "studies", "patients")
#: Names that are neither an element nor derived: where a row comes from, and counts of rows and bytes.
OWN = {
    "file",
    "member",
    "file_size",
    "file_time",
    "file_row_number",
    "number",
    "instances",
    "images",
    "series",
    "studies",
    "bytes",
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of the kept archive."""
    for path in KEPT.parent.iterdir():
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / KEPT.name


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same images, indexed now."""
    return index_few(tmp_path_factory.mktemp("new"), 2)


def answer(path: Path, sql: str) -> list[dict[str, Any]]:
    """The answer to a question that uses no old name."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        return Archive(path).query(sql)


def test_elements_carry_the_keywords_of_the_standard() -> None:
    public = [element for element in ALL_ELEMENTS if dictionary_has_tag(element.tag)]
    assert len(public) > 55
    assert [element.column for element in public] == [keyword_for_tag(element.tag) for element in public]


def test_every_column_is_an_element_or_derived_or_of_the_catalogue(new: Path) -> None:
    with Archive(new).open() as db:
        for table in TABLES:
            for name, *_ in db.execute(f"DESCRIBE {table}").fetchall():
                assert name.startswith("derived_") or name in OWN or tag_for_keyword(name) is not None, (
                    f"{table}.{name}"
                )


def test_every_old_name_leads_to_a_column_and_no_two_to_one(new: Path) -> None:
    with Archive(new).open() as db:
        known = {t: {row[0] for row in db.execute(f"DESCRIBE {t}").fetchall()} for t in TABLES}
    assert set(OLD_COLUMNS) == set(pq.read_schema(KEPT).names)
    for name in pq.read_schema(KEPT).names:
        assert OLD_NAMES["instances"].get(name, name).partition("[")[0] in known["instances"]
    for name in pq.read_schema(series_path(KEPT)).names:
        assert OLD_NAMES["series"].get(name, name) in known["series"]
    for names in OLD_NAMES.values():
        assert len(set(names.values())) == len(names)


def test_an_old_archive_says_the_same_under_the_present_names(new: Path) -> None:
    for table in TABLES:
        question = f"SELECT * FROM {table} ORDER BY ALL"
        rows, expected = answer(KEPT, question), answer(new, question)
        place = {"file", "file_time", "member"}
        assert [{k: v for k, v in row.items() if k not in place} for row in rows] == [
            {k: row[k] for k in rows[0] if k not in place} for row in expected
        ]
        assert set(rows[0]) == set(expected[0])
    assert Archive(KEPT).counts() == Archive(new).counts()


def test_an_old_archive_is_renewed_by_the_next_index_without_reading_a_file_again(old: Path, tmp_path: Path) -> None:
    assert is_stale(old)
    save(header(PatientID="P9", SOPInstanceUID=uid("nine")), tmp_path / "more" / "9")
    before = answer(old, "SELECT * FROM series ORDER BY SeriesInstanceUID")
    found = index_archive([tmp_path / "more"], old, workers=1)
    assert (found.read, found.instances) == (1, 25)
    assert tuple(pq.read_schema(old).names) == COLUMNS
    assert not is_stale(old)
    assert answer(old, "SELECT * FROM series WHERE PatientID <> 'P9' ORDER BY SeriesInstanceUID") == before
    (row,) = answer(
        old, "SELECT ImagePositionPatient, PixelSpacing, derived_pixel_row FROM instances WHERE PatientID = 'P9'"
    )
    assert row == {"ImagePositionPatient": [0, 0, 0], "PixelSpacing": [0.7, 0.7], "derived_pixel_row": 0.7}


def test_nothing_new_renews_an_old_archive_too(old: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    index_archive([tmp_path / "empty"], old, workers=1)
    assert tuple(pq.read_schema(old).names) == COLUMNS
    assert Archive(old).counts().instances == 24


def test_parts_that_the_version_before_had_finished_are_taken(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    path, root = tmp_path / "a.parquet", tmp_path / "in"
    save(header(), root / "1")
    monkeypatch.setattr(indexing, "_merge", killed)
    with pytest.raises(KeyboardInterrupt):
        index_archive([root], path, workers=1)
    monkeypatch.undo()
    (part,) = path.with_name("a.parquet.work").glob("part-000000.parquet")
    with connect() as db:
        place = db.execute(f"SELECT file, file_size, file_time FROM read_parquet({quoted(part)})").fetchone()
        moved = f"* REPLACE ({quoted(place[0])} AS file, {place[1]} AS file_size, {place[2]} AS file_time)"
        db.execute(f"COPY (SELECT {moved} FROM read_parquet({quoted(old)}) LIMIT 1) TO {quoted(part)} (FORMAT parquet)")
    found = index_archive([root], path, workers=1)
    assert (found.read, found.instances) == (0, 1)
    assert answer(path, "SELECT PatientID, derived_plane FROM series") == [
        {"PatientID": "ID000", "derived_plane": "sagittal"}
    ]


def test_a_folder_that_the_version_before_cut(old: Path, tmp_path: Path) -> None:
    with connect() as db:
        rows = f"""SELECT * RENAME (file_row_number AS row_number), '2025-01' AS part
            FROM read_parquet({quoted(old)}, file_row_number = true)"""
        db.execute(f"COPY ({rows}) TO {quoted(tmp_path / 'cut')} (FORMAT parquet, PARTITION_BY (part))")
    question = "SELECT SeriesInstanceUID, derived_plane, instances FROM series ORDER BY ALL"
    assert answer(tmp_path / "cut", question) == answer(old, question) != []
    assert answer(tmp_path / "cut", "SELECT DISTINCT part FROM instances") == [{"part": "2025-01"}]
    assert answer(partition(old, "month"), question) == answer(old, question)


def test_an_archive_of_another_kind_is_told_how_to_be_renewed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with connect() as db:
        db.execute(f"COPY (SELECT 1 AS file) TO {quoted(path)} (FORMAT parquet)")
    for attempt in (lambda: Archive(path), lambda: index_archive([tmp_path], path)):
        with pytest.raises(BadInput, match=r"lacks member, file_size, file_time\. Index again, into a new file"):
            attempt()


@pytest.mark.parametrize("path", ["old", "new"])
@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ("SELECT series_uid, plane FROM series ORDER BY 1", "SELECT SeriesInstanceUID, derived_plane FROM series ORDER BY 1",
         "series_uid is called SeriesInstanceUID now, plane is called derived_plane now; the old names go with the next release"),
        ("SELECT s.rows AS r, modality FROM series s WHERE s.weighting = 'T1' GROUP BY ALL",
         "SELECT s.Rows AS r, Modality FROM series s WHERE s.derived_weighting = 'T1' GROUP BY ALL",
         "rows is called Rows now, modality is called Modality now, weighting is called derived_weighting now; the"),
        ("SELECT position_y, pixel_row FROM instances ORDER BY ALL",
         "SELECT ImagePositionPatient[2], derived_pixel_row FROM instances ORDER BY ALL",
         "position_y is called ImagePositionPatient[2] now, pixel_row is called derived_pixel_row now; the"),
        ('WITH t AS (SELECT "study_uid", modalities FROM studies) SELECT * FROM t ORDER BY study_uid',
         "SELECT StudyInstanceUID, derived_modalities FROM studies ORDER BY 1",
         "study_uid is called StudyInstanceUID now, modalities is called derived_modalities now; the"),
        ("SELECT name, sex, namesakes FROM patients ORDER BY name",
         "SELECT PatientName, PatientSex, derived_namesakes FROM patients ORDER BY 1",
         "name is called PatientName now, sex is called PatientSex now, namesakes is called derived_namesakes now; the"),
    ],
)  # fmt: skip
def test_questions_in_old_names_are_answered_in_them_with_one_line(
    before: str, now: str, told: str, path: str, new: Path
) -> None:
    archive = Archive(KEPT if path == "old" else new)
    with pytest.warns(FutureWarning, match=re.escape(told)) as heard:
        rows = archive.query(before)
    assert len(heard) == 1
    assert [list(row.values()) for row in rows] == [list(row.values()) for row in answer(archive.path, now)] != []
    assert not any(name in OLD_NAMES["series"].values() for name in rows[0])


def test_a_star_beside_old_names_has_the_columns_of_before(new: Path) -> None:
    with pytest.warns(FutureWarning, match="plane is called derived_plane now"):
        row = Archive(new).query("SELECT * FROM series WHERE plane = 'sagittal'")[0]
    assert set(pq.read_schema(series_path(KEPT)).names) <= set(row)
    with pytest.warns(FutureWarning):
        row = Archive(new).query("SELECT * FROM instances WHERE series_uid IS NOT NULL")[0]
    assert set(pq.read_schema(KEPT).names) <= set(row)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) AS rows, max(Rows) AS plane FROM series",
        "SELECT 'plane' AS word -- of every plane\nFROM series",
        "SELECT derived_plane AS plane FROM series ORDER BY plane",
        "SELECT modality, derived_plane FROM series",  # SQL does not ask for capitals
        "SELECT sum(instances) OVER (ORDER BY SeriesNumber ROWS 1 PRECEDING) FROM series",
    ],
)
def test_no_line_where_no_old_name_is_used(sql: str, new: Path) -> None:
    assert answer(new, sql)


def test_a_question_in_both_names_is_refused_with_the_present_ones(new: Path) -> None:
    with pytest.raises(BadInput, match=r"plane is called derived_plane now; the old names go") as caught:
        Archive(new).query("SELECT SeriesInstanceUID, plane FROM series")
    assert "\n" not in str(caught.value)


def test_a_connection_carries_old_names_on_request(new: Path) -> None:
    with Archive(new).open() as db:
        use_old_names(db)
        use_old_names(db)
        assert db.execute("SELECT plane FROM series").fetchall() == [("sagittal",)] * 4
        assert db.execute("SELECT derived_plane FROM main.series").fetchall() == [("sagittal",)] * 4


def test_answers_as_a_pandas_table(new: Path) -> None:
    frame = Archive(new).frame(
        "SELECT PatientID, EchoTime, derived_echo_times, KVP FROM series ORDER BY PatientID, EchoTime"
    )
    assert isinstance(frame, pd.DataFrame)
    assert frame["PatientID"].tolist() == ["ID000", "ID000", "ID001", "ID001"]
    assert frame["EchoTime"].tolist() == [12, 95, 12, 95]
    assert list(frame["derived_echo_times"][1]) == [95]
    assert frame["KVP"].isna().all()
    with pytest.warns(FutureWarning, match="echo_time is called EchoTime now"):
        assert list(Archive(new).frame("SELECT echo_time FROM series")) == ["echo_time"]
    with pytest.raises(BadInput, match="cannot be answered"):
        Archive(new).frame("SELECT nothing FROM series")


OLD_RULES = {
    "keep": [{"name": "MR", "where": {"modality": "MR", "derived": False}}],
    "channels": {"T1": {"where": {"weighting": "T1"}, "prefer": [{"plane": "sagittal"}, "-slices", "series_uid"]}},
}
PRESENT_RULES = {
    "keep": [{"name": "MR", "where": {"Modality": "MR", "derived_derived": False}}],
    "channels": {
        "T1": {
            "where": {"derived_weighting": "T1"},
            "prefer": [{"derived_plane": "sagittal"}, "-derived_slices", "SeriesInstanceUID"],
        }
    },
}


def rules_file(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_rules_in_old_names_choose_the_same_and_say_so_in_one_line(new: Path, tmp_path: Path) -> None:
    path = rules_file(tmp_path, OLD_RULES)
    with collect() as told:
        found = choose(Archive(new), load_rules(path), path)
    used = ["derived", "modality", "plane", "series_uid", "slices", "weighting"]
    assert [(note.source, note.text) for note in told] == [(str(path), renamed(used, "series"))]
    with collect() as nothing:
        assert choose(Archive(new), SelectRules.model_validate(PRESENT_RULES), "rules") == found
    assert nothing == []
    assert len(found.cases) == 2


def test_the_command_shows_the_line(new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = rules_file(tmp_path, {"channels": {"T1": {"where": {"weighting": "T1"}}}})
    assert run(["select", str(new), "-r", str(path), "-o", str(tmp_path / "out"), "--workers", "1"]) == 0
    shown = capsys.readouterr()
    assert (shown.out + shown.err).count("weighting is called derived_weighting now") == 1
    head = (tmp_path / "out" / "cases.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert head[3:] == [
        "group", "derived_age", "PatientSex", "derived_date", "Modality", "derived_weighting", "derived_plane",
        "derived_spacing", "derived_body_part", "derived_contrast",
    ]  # fmt: skip


def test_a_column_under_both_names_is_refused(new: Path, tmp_path: Path) -> None:
    path = rules_file(tmp_path, {"channels": {"T1": {"where": {"plane": "axial", "derived_plane": "sagittal"}}}})
    with pytest.raises(BadInput, match="plane and derived_plane name one column"):
        choose(Archive(new), load_rules(path), path)


def test_lists_and_attached_tables_in_old_names(new: Path, tmp_path: Path) -> None:
    for column in ("patient_id", "PatientID"):
        (tmp_path / "ids.csv").write_text(f"{column},why\nID001,good\n")
        where = {"PatientID": {"listed_in": "ids.csv"}}
        path = rules_file(tmp_path, {"channels": {"T1": {"where": where}}})
        assert {case.person for case in choose(Archive(new), load_rules(path), path).cases} == {"ID001"}
        (tmp_path / "marks.csv").write_text(f"{column},rater\nID001,A\n")
        with collect() as told:
            attached = read_attached(tmp_path / "marks.csv")
        assert (attached.key, attached.rows) == ("PatientID", {"ID001": {"rater": "A"}})
        line = "patient_id is called PatientID now; the old names go with the next release"
        assert [note.text for note in told] == ([line] if column == "patient_id" else [])


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ({"PixelSpacing": {"max": 0.7}}, 4),
        ({"PixelSpacing": {"min": 0.7, "max": 0.8}}, 4),
        ({"PixelSpacing": {"min": 0.71}}, 0),
        ({"PixelSpacing": 0.7}, 4),
        ({"PixelSpacing": {"not": [0.7]}}, 0),
        ({"derived_echo_times": [12, 50]}, 2),
        ({"derived_echo_times": {"known": True}}, 4),
        ({"derived_b_values": {"max": 1000}}, 0),
        ({"derived_b_values": {"not": 1000}}, 4),
        ({"derived_b_values": {"known": False}}, 4),
    ],
)
def test_a_condition_on_several_numbers_holds_for_each(where: dict[str, Any], count: int, new: Path) -> None:
    with Archive(new).open() as db:
        columns = {row[0]: row[1] for row in db.execute("DESCRIBE series").fetchall()}
        assert db.execute(f"SELECT count(*) FROM series WHERE {sql_of(where, columns, 'rules')}").fetchall() == [
            (count,)
        ]


def test_one_of_several_numbers_is_enough_to_fail(tmp_path: Path) -> None:
    for n, echo in enumerate((10, 90)):
        save(header(EchoTime=echo, PixelSpacing=[0.7, 0.9], SOPInstanceUID=uid("e", n)), tmp_path / "in" / str(n))
    index_archive([tmp_path / "in"], tmp_path / "a.parquet", workers=1)
    for where, count in (
        ({"derived_echo_times": {"max": 50}}, 0),
        ({"derived_echo_times": {"max": 90}}, 1),
        ({"PixelSpacing": {"max": 0.8}}, 0),
    ):
        path = rules_file(tmp_path, {"channels": {"MR": {"where": where}}})
        assert len(choose(Archive(tmp_path / "a.parquet"), load_rules(path), path).cases) == count


def test_pixels_of_detectors_are_told_apart(tmp_path: Path) -> None:
    save(header(PixelSpacing=None, ImagerPixelSpacing=[0.2, 0.3], DiffusionBValue=7.0), tmp_path / "in" / "a")
    index_archive([tmp_path / "in"], tmp_path / "a.parquet", workers=1)
    columns = (
        "PixelSpacing, ImagerPixelSpacing, derived_pixel_row, derived_pixel_column, DiffusionBValue, derived_b_value"
    )
    (row,) = answer(tmp_path / "a.parquet", f"SELECT {columns} FROM instances")
    assert list(row.values()) == [None, [0.2, 0.3], 0.2, 0.3, 7.0, 7.0]
    assert ledger_path(tmp_path / "a.parquet").exists()
